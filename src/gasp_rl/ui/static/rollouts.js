// Rollout reader: filter, read one, see its group side by side, colour tokens.
"use strict";

G.PAGE = 50;
G.VERDICTS = ["right", "wrong", "malformed", "accepted", ...G.REASONS];

G.pages.rollouts = async (root, ctx) => {
  const FILTERS = ["purpose", "role", "kind", "verdict", "origin", "group", "first_step", "last_step", "min_reward", "max_reward"];
  const list = G.h("div", { class: "list", role: "listbox", "aria-label": "Rollouts", tabindex: "0" });
  const foot = G.h("div", { class: "pager" });
  const pane = G.h("div", { class: "pane", tabindex: "-1" });
  let rows = [];
  let total = 0;

  const filters = () => Object.fromEntries(FILTERS.filter((k) => ctx.params[k]).map((k) => [k, ctx.params[k]]));

  const pick = (id, scroll) => {
    for (const item of list.children) {
      const here = item.dataset.id === id;
      item.setAttribute("aria-selected", String(here));
      if (here) {
        list.setAttribute("aria-activedescendant", item.id);
        if (scroll) item.scrollIntoView({ block: "nearest" });
      }
    }
    if (ctx.params.id !== id) ctx.set({ id });
    G.showRollout(pane, ctx, id);
  };

  const move = (by) => {
    const at = rows.findIndex((r) => r.id === ctx.params.id);
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
    if (next) pick(next.id, true);
  };

  const draw = async () => {
    const offset = Number(ctx.params.offset) || 0;
    const page = await ctx.ask("rollouts", { ...filters(), limit: G.PAGE, offset });
    ({ rows, total } = page);
    G.clear(list, rows.length ? rows.map((r, i) => G.h("div", { class: "item", role: "option", id: `rollout-${i}`, "data-id": r.id, "aria-selected": "false", onclick: () => pick(r.id) },
      G.verdict(r.verdict), G.h("span", { class: "title" }, `${r.role} ${r.purpose === "propose" ? "proposal" : r.kind}`, G.h("small", null, `step ${r.step} \u00b7 ${r.purpose}${r.origin ? ` \u00b7 ${r.origin}` : ""} \u00b7 ${r.tokens} tokens${r.finish === "length" ? ", cut" : ""}`)),
      G.h("span", { class: "num" }, r.reward === null ? "\u2013" : G.reward(r.reward)))) : (Object.keys(filters()).length ? G.empty("No rollouts match", "Loosen the filters.") : G.empty("No rollouts yet", "They appear with the first committed step.")));
    const page_ = (at, text, able) => G.h("button", { type: "button", disabled: !able, onclick: () => { ctx.set({ offset: at || "" }); draw(); } }, text);
    G.clear(foot, page_(Math.max(0, offset - G.PAGE), "\u2039 earlier", offset > 0), G.h("span", { class: "num", role: "status" }, rows.length ? `${(offset + 1).toLocaleString("en-US")}\u2013${(offset + rows.length).toLocaleString("en-US")} of ${total.toLocaleString("en-US")}` : "none"), page_(offset + G.PAGE, "later \u203a", offset + rows.length < total));
    if (ctx.params.id) pick(ctx.params.id);
    else if (rows.length) pick(rows[0].id);
    else G.clear(pane);
  };

  const change = (key) => (value) => { ctx.set({ [key]: value, offset: "", id: "" }); draw(); };
  const any = (values) => [["", "any"], ...values.map((v) => [v, v])];
  const number = (label, key) => G.field(label, { type: "number", step: "any", value: ctx.params[key] || "", onchange: (e) => change(key)(e.target.value) });
  G.append(root, [
    G.h("h1", { class: "hidden" }, "Rollouts"),
    G.h("div", { class: "toolbar" },
      G.choice("Purpose", ctx.params.purpose, any(["propose", "probe", "attempt", "rlvr", "eval"]), change("purpose")),
      G.choice("Role", ctx.params.role, any(["teacher", "student"]), change("role")),
      G.choice("Kind", ctx.params.kind, any(["induction", "deduction", "abduction"]), change("kind")),
      G.choice("Verdict", ctx.params.verdict, any(G.VERDICTS), change("verdict")),
      number("From step", "first_step"), number("to step", "last_step"), number("Reward from", "min_reward"), number("to", "max_reward"),
      G.field("Task from", { type: "search", "data-search": true, placeholder: "id of a node", value: ctx.params.origin || "", onchange: (e) => change("origin")(e.target.value) })),
    G.h("div", { class: "split" }, G.h("div", { class: "side card" }, list, foot), pane)]);
  list.addEventListener("keydown", (e) => {
    const by = { ArrowDown: 1, ArrowUp: -1, Home: -1e9, End: 1e9 }[e.key];
    if (by) { e.preventDefault(); move(by); }
  });
  await draw();
  return { keys: { j: () => move(1), k: () => move(-1), c: () => { const b = pane.querySelector("[data-colour]"); if (b) { b.selectedIndex = (b.selectedIndex + 1) % b.length; b.dispatchEvent(new Event("change")); } } }, own: ["id"], onParams: (p) => { if (p.id && p.id !== pane.dataset.id) pick(p.id, true); } };
};

G.showRollout = async (pane, ctx, id) => {
  pane.dataset.id = id;
  try {
    const view = await ctx.ask("rollout", { id });
    if (pane.dataset.id === id) G.clear(pane, G.rolloutCard(view, ctx));
  } catch (error) {
    if (pane.dataset.id === id) G.clear(pane, G.empty("Not here", error.message));
  }
};

G.rolloutCard = (view, ctx) => {
  const s = view.summary;
  const body = G.h("div");
  const draw = () => G.clear(body, ctx.params.colour && view.trace ? G.tokens(view.completion, view.trace, ctx.params.colour === "advantage" ? s.advantage || 0 : null) : view.completion ? G.prose(view.completion, "completion") : G.empty("No text", "store.keep_rollouts was off."));
  draw();
  const proposal = s.purpose === "propose";
  return G.h("article", { class: "card node" },
    G.h("h2", null, `${s.role === "teacher" ? "Teacher" : "Student"}, ${proposal ? "proposal" : s.kind}`, G.verdict(s.verdict)),
    G.h("p", { class: "chips" },
      G.h("span", { class: "chip" }, G.h("code", null, s.id)), G.h("span", { class: "chip" }, "step ", G.h("b", null, s.step)), G.h("span", { class: "chip" }, "policy version ", G.h("b", null, s.version)),
      G.h("span", { class: "chip" }, "reward ", G.h("b", null, s.reward === null ? "not trained on" : G.reward(s.reward))), s.advantage !== null && G.h("span", { class: "chip" }, "advantage ", G.h("b", null, s.advantage.toFixed(3))),
      G.h("span", { class: "chip" }, `${s.tokens} tokens, ended by ${s.finish}`),
      s.origin && G.link(`${proposal ? "towards" : "task from"} ${s.origin}`, "curriculum", { node: proposal ? s.id : s.origin, rejected: proposal ? "1" : "" }, { class: "chip" })),
    view.detail && G.h("p", { class: `banner ${s.verdict === "right" || s.verdict === "accepted" ? "green" : "amber"}` }, view.detail),
    G.tabs("Parts of this rollout", [
      ["completion", "Completion", () => [view.trace ? G.colourChoice(ctx, s, draw) : view.completion && G.h("p", { class: "muted" }, "Its tokens were not kept, so they cannot be coloured (store.trace_tokens)."), body]],
      ["prompt", "Prompt", () => G.prose(view.prompt, "prompt")],
      ["task", "Task", () => view.task ? [G.h("p", { class: "muted" }, `${view.task.kind} task ${view.task.key}`), G.code(view.task.program), G.examples(view.task)] : G.empty("The task was not stored")],
      ["group", "Group", () => G.groupTab(s, ctx)]], ctx.params.tab || "completion", (key) => ctx.set({ tab: key })));
};

G.colourChoice = (ctx, s, draw) => {
  const field = G.choice("Colour tokens by", ctx.params.colour, [["", "nothing"], ["surprise", "log-probability"], ...(s.advantage === null ? [] : [["advantage", "advantage"]])], (v) => { ctx.set({ colour: v }); draw(); key(); });
  const words = G.h("span", { class: "heatkey" });
  const key = () => G.clear(words, !ctx.params.colour ? "key c changes it"
    : ctx.params.colour === "advantage" && s.advantage !== null ? [G.h("span", { class: `tokens ${s.advantage < 0 ? "down" : "up"}` }, [0.2, 0.6, 1].map((heat) => G.h("span", { style: { "--heat": heat } }, "\u2002\u2002"))), `pushed ${s.advantage < 0 ? "down" : "up"}, the deeper the stronger`]
      : [G.h("span", { class: "tokens" }, [1, 0.5, 0.01].map((p) => G.h("span", { style: { "--heat": G.heat(-Math.log(p), null) }, title: `p = ${p}` }, ` ${p} `))), "probability under the sampler"]);
  key();
  field.querySelector("select").setAttribute("data-colour", "");
  return G.h("div", { class: "colours" }, field, words);
};

G.groupTab = (s, ctx) => {
  const host = G.h("div", { class: "beside" }, G.h("p", { class: "muted" }, "reading\u2026"));
  ctx.ask("group", { id: s.group }).then((rows) => G.clear(host, rows.map((r) => G.h("div", { class: r.id === s.id ? "here" : "" },
    G.h("h3", null, G.link(r.id, "rollouts", { ...ctx.keep(), id: r.id }), G.verdict(r.verdict)),
    G.h("p", { class: "muted" }, `reward ${r.reward === null ? "\u2013" : G.reward(r.reward)}, advantage ${r.advantage === null ? "\u2013" : r.advantage.toFixed(2)}`), G.prose(r.completion, `completion ${r.id}`)))))
    .catch((error) => G.clear(host, G.empty("Not here", error.message)));
  return host;
};
