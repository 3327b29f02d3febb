// Funnel: how many proposals still stand after each check, and examples of those that fell.
"use strict";

G.REASONS = ["unparsable", "misdescribed", "unsafe", "fails", "non-deterministic", "duplicate", "too-hard", "too-easy"];
G.STANDING = { unparsable: "parsed", misdescribed: "described", unsafe: "safe", fails: "runs", "non-deterministic": "deterministic", duplicate: "new", "too-hard": "not too hard", "too-easy": "in band" };

G.STAGES = { lemma: "Lemmas", lift: "Lifts", deduction: "Deduction tasks", abduction: "Abduction tasks", induction: "Induction tasks" };

G.pages.funnel = async (root, ctx) => {
  const bars = G.h("div", { class: "funnels" });
  const list = G.h("div");
  const range = () => ({ first_step: ctx.params.first_step || "", last_step: ctx.params.last_step || "" });

  const draw = async () => {
    const rows = (await ctx.ask("funnel", range())).filter((r) => !ctx.params.axis || r.axis === ctx.params.axis);
    if (!rows.length) { G.clear(bars, G.empty("No proposals in these steps", "Widen the range of steps.")); return; }
    G.clear(bars, Object.keys(G.STAGES).map((stage) => {
      const of = rows.filter((r) => r.stage === stage);
      return of.length > 0 && G.funnelCard(stage, of, ctx.params, (verdict) => { ctx.set({ stage, verdict }); draw(); examples(); });
    }));
  };

  const examples = async () => {
    if (!ctx.params.verdict) { G.clear(list, G.h("p", { class: "hint" }, "Choose a bar to see what fell there.")); return; }
    const page = await ctx.ask("proposals", { stage: ctx.params.stage || "", axis: ctx.params.axis || "", verdict: ctx.params.verdict, limit: 100, ...range() });
    G.clear(list, G.card(`${page.total.toLocaleString("en-US")} ${ctx.params.stage || ""} proposals: ${ctx.params.verdict}`,
      G.table("Proposals with this verdict", ["", "proposal", "step", "axis", "message", "probe", "nearest", "reward"], page.rows.map((p) => [
        G.shape(p.stage, p.pass_rate, p.verdict), G.link(p.id, "curriculum", { node: p.id, rejected: "1" }), p.step, p.axis, p.label || G.h("i", { class: "muted" }, "no message"),
        G.rate(p.pass_rate), p.similarity === null ? "\u2013" : p.similarity.toFixed(2), G.reward(p.reward)])),
      page.total > page.rows.length && G.h("p", { class: "muted" }, `The first ${page.rows.length} are shown.`)));
  };

  const change = (key) => (value) => { ctx.set({ [key]: value }); draw(); examples(); };
  G.append(root, [
    G.h("h1", null, "Funnel"),
    G.h("p", { class: "lead" }, "Each proposal is checked in this order and falls at the first check it fails. The counts sum to all proposals."),
    G.h("div", { class: "toolbar" },
      G.field("From step", { type: "number", min: 1, max: ctx.history.last, value: ctx.params.first_step || "", placeholder: "1", onchange: (e) => change("first_step")(e.target.value) }),
      G.field("to step", { type: "number", min: 1, max: ctx.history.last, value: ctx.params.last_step || "", placeholder: String(ctx.history.last), onchange: (e) => change("last_step")(e.target.value) }),
      G.choice("Axis", ctx.params.axis, [["", "any"], ["io", "io"], ["f", "f"], ["free", "free"]], change("axis"))),
    bars, list]);
  await Promise.all([draw(), examples()]);
  return { onSteps: draw };
};

G.funnelCard = (stage, rows, params, onpick) => {
  const count = (verdict) => rows.filter((r) => r.verdict === verdict).reduce((sum, r) => sum + r.count, 0);
  const total = rows.reduce((sum, r) => sum + r.count, 0);
  const axes = [...new Set(rows.map((r) => r.axis))].sort();
  let standing = total;
  const line = (name, left, lost, verdict) => G.h("button", {
    type: "button", class: "level", disabled: !verdict || !(lost || verdict === "accepted"), "aria-pressed": String(params.verdict === verdict && params.stage === stage),
    onclick: () => onpick(verdict), "data-verdict": verdict,
  }, G.h("span", { class: "name" }, name),
    G.h("span", { class: "bar", "aria-hidden": "true" }, G.h("span", { class: "left", style: { width: `${100 * left / total}%` } }), G.h("span", { class: "lost", style: { width: `${100 * lost / total}%` } })),
    G.h("span", { class: "num" }, left.toLocaleString("en-US")),
    G.h("span", { class: "num fell" }, lost ? `\u2212${lost.toLocaleString("en-US")} ${verdict}` : ""));
  const lines = [line("written", total, 0)];
  for (const reason of G.REASONS) {
    const lost = count(reason);
    standing -= lost;
    lines.push(line(G.STANDING[reason], standing, lost, reason));
  }
  const accepted = line("accepted", standing, 0, "accepted");
  accepted.classList.add("accepted");
  return G.h("section", { class: "card funnel" },
    G.h("h2", null, G.shape(stage, { correct: 1, total: 2 }), G.STAGES[stage], G.h("small", null, `${G.number(standing / total, "share")} accepted of ${total.toLocaleString("en-US")}; ${axes.map((a) => `axis ${a} ${rows.filter((r) => r.axis === a).reduce((s, r) => s + r.count, 0).toLocaleString("en-US")}`).join(", ")}`)),
    lines, accepted);
};
