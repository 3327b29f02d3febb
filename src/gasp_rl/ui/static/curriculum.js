// Curriculum explorer: the tree goalpost, lemma, lift on the left, one node on the right.
"use strict";

G.CHILDREN = 100;

G.pages.curriculum = async (root, ctx) => {
  const tree = G.h("div", { class: "tree", role: "tree", "aria-label": "Curriculum", tabindex: "-1" });
  const pane = G.h("div", { class: "pane", tabindex: "-1", role: "region", "aria-label": "Selected node" });
  const count = G.h("span", { class: "muted", role: "status", title: "solved: a right sample of a trained policy in any evaluation" });
  const state = { step: Number(ctx.params.t) || 0, timer: null };
  const open = new Set((ctx.params.open || "").split(",").filter(Boolean));

  const query = (extra) => {
    const q = { ...extra };
    if (ctx.params.axis) q.axis = ctx.params.axis;
    if (state.step) q.last_step = state.step;
    if (!ctx.params.rejected && !q.verdict) q.verdict = "accepted";
    return q;
  };

  const select = (id, focus) => {
    for (const row of tree.children) {
      const here = row.dataset.id === id;
      row.setAttribute("aria-selected", String(here));
      row.tabIndex = here ? 0 : -1;
      if (here && focus) row.focus();
    }
    if (id !== ctx.params.node) ctx.set({ node: id });
    G.showNode(pane, ctx, id);
  };

  const makeRow = (item, level) => {
    const expandable = item.stage === "goalpost" ? item.lemmas + (ctx.params.rejected ? item.rejected : 0) > 0
      : item.verdict === "accepted" && item.lifts + (ctx.params.rejected ? item.rejected : 0) > 0;
    const row = G.h("div", {
      class: `row ${item.stage}${item.verdict && item.verdict !== "accepted" ? " fallen" : ""}`, role: "treeitem", tabindex: "-1",
      "aria-level": level, "aria-expanded": expandable ? "false" : null, "aria-selected": "false", "data-id": item.id,
      style: { "--level": level - 1 },
      onclick: (e) => (e.target.closest(".twisty") ? toggle(row) : select(item.id, true)),
      ondblclick: () => toggle(row),
    }, G.h("span", { class: `twisty${expandable ? "" : " none"}`, "aria-hidden": "true" }, "\u25b8"), G.rowContent(item));
    row.item = item;
    row.level = level;
    return row;
  };

  const expand = async (row) => {
    if (row.getAttribute("aria-expanded") !== "false") return;
    row.setAttribute("aria-expanded", "true");
    open.add(row.dataset.id);
    await addChildren(row, row, 0);
  };

  const addChildren = async (row, after, offset) => {
    const page = await ctx.ask("proposals", query({ parent: row.dataset.id, limit: G.CHILDREN, offset }));
    if (row.getAttribute("aria-expanded") !== "true") return;
    let last = after;
    for (const item of page.rows) {
      const child = makeRow(item, row.level + 1);
      last.after(child);
      last = child;
      if (open.has(item.id)) { await expand(child); while (last.nextElementSibling && last.nextElementSibling.level > row.level + 1) last = last.nextElementSibling; }
    }
    const left = page.total - offset - page.rows.length;
    if (left > 0) {
      const more = G.h("div", { class: "row more", role: "treeitem", "aria-level": row.level + 1, tabindex: "-1", style: { "--level": row.level }, onclick: async () => { const before = more.previousElementSibling; more.remove(); await addChildren(row, before, offset + page.rows.length); } }, `${left.toLocaleString("en-US")} more`);
      more.level = row.level + 1;
      last.after(more);
    }
  };

  const collapse = (row) => {
    row.setAttribute("aria-expanded", "false");
    open.delete(row.dataset.id);
    while (row.nextElementSibling && row.nextElementSibling.level > row.level) row.nextElementSibling.remove();
  };

  const toggle = async (row) => {
    if (row.getAttribute("aria-expanded") === "true") collapse(row);
    else await expand(row);
    ctx.set({ open: [...open].join(",") });
  };

  // A link to a node opens the branches that lead to it.
  const openLineage = async () => {
    const id = ctx.params.node;
    if (!id || ctx.board.has(id)) return;
    try {
      const { summary, lineage } = await ctx.ask("node", { id });
      for (const above of [summary.goalpost, ...lineage.map((n) => n.id)]) if (above !== id) open.add(above);
    } catch { /* the pane says that it is not here */ }
  };

  const draw = async () => {
    const flat = ctx.params.text || ctx.params.stage;
    const board = await ctx.ask("goalposts", state.step ? { last_step: state.step } : {});
    const goalposts = board.filter((g) => g.is_goalpost);
    const solved = goalposts.filter((g) => g.solved).length;
    let rows;
    if (flat) {
      const page = await ctx.ask("proposals", query({ text: ctx.params.text || "", stage: ctx.params.stage || "", limit: 200 }));
      count.textContent = `${page.total.toLocaleString("en-US")} found${page.total > page.rows.length ? `, ${page.rows.length} shown` : ""}`;
      rows = page.rows.map((item) => makeRow(item, 1));
    } else {
      const order = (g) => (g.lemmas + g.lifts ? 2 : 0) + (g.solved ? 1 : 0);
      board.sort((a, b) => order(b) - order(a));
      count.textContent = `${goalposts.length.toLocaleString("en-US")} goalposts, ${solved} solved`;
      rows = board.map((g) => makeRow({ ...g, stage: "goalpost" }, 1));
    }
    G.clear(tree, rows.length ? rows : G.empty(flat ? "Nothing matches" : "No goalposts", flat ? "Clear the search, or show rejected proposals." : "They appear when the run starts."));
    if (!flat) await openLineage();
    if (!flat) for (const row of rows) if (open.has(row.dataset.id)) await expand(row);
    if (rows.length) {
      const first = rows.find((r) => r.getAttribute("aria-expanded")) || rows[0];
      if (!flat && !open.size && !ctx.params.node) await expand(first);
      const chosen = [...tree.children].find((r) => r.dataset.id === ctx.params.node);
      if (ctx.params.node && !chosen) G.showNode(pane, ctx, ctx.params.node);
      else {
        select((chosen || first).dataset.id, false);
        if (chosen) tree.scrollTop = chosen.offsetTop - tree.offsetTop - 80;
      }
    }
  };

  const slider = G.h("input", { type: "range", min: 1, max: Math.max(1, ctx.history.last), value: state.step || ctx.history.last, "aria-label": "Show the tree as of this step", oninput: (e) => setTime(Number(e.target.value)) });
  const clock = G.h("output", null);
  const setTime = (t) => {
    state.step = t >= ctx.history.last ? 0 : t;
    clock.textContent = state.step ? `step ${state.step}` : "now";
    ctx.set({ t: state.step || "" });
    draw();
  };
  clock.textContent = state.step ? `step ${state.step}` : "now";
  const play = G.h("button", { type: "button", class: "icon", "aria-label": "Replay the growth of the tree", onclick: () => {
    if (state.timer) { clearInterval(state.timer); state.timer = null; play.textContent = "\u25b6"; return; }
    play.textContent = "\u23f8";
    let at = state.step || 1;
    state.timer = setInterval(() => {
      at += Math.max(1, Math.round(ctx.history.last / 60));
      slider.value = at;
      setTime(at);
      if (at >= ctx.history.last) play.click();
    }, 400);
  } }, "\u25b6");

  const rejectedBox = G.h("input", { type: "checkbox", checked: Boolean(ctx.params.rejected), onchange: (e) => { ctx.set({ rejected: e.target.checked ? "1" : "" }); draw(); } });
  let wait = 0;
  G.append(root, [
    G.h("h1", { class: "hidden" }, "Curriculum"),
    G.h("div", { class: "toolbar" },
      G.field("Search", { type: "search", "data-search": true, value: ctx.params.text || "", placeholder: "words of a message, or an id", oninput: (e) => { clearTimeout(wait); wait = setTimeout(() => { ctx.set({ text: e.target.value }); draw(); }, 150); } }),
      G.choice("Stage", ctx.params.stage, [["", "any"], ...Object.keys(G.STAGES).map((s) => [s, s])], (v) => { ctx.set({ stage: v }); draw(); }),
      G.choice("Axis", ctx.params.axis, [["", "any"], ["io", "io"], ["f", "f"], ["free", "free"]], (v) => { ctx.set({ axis: v }); draw(); }),
      G.h("label", { class: "check" }, rejectedBox, " rejected ", G.h("kbd", null, "x")),
      G.h("div", { class: "time" }, play, slider, clock)),
    G.h("div", { class: "split" }, G.h("div", { class: "side card" }, G.h("div", { class: "sidehead" }, count, G.legend()), tree), pane),
    G.driftCard(ctx),
  ]);
  tree.addEventListener("keydown", (e) => G.treeKeys(e, tree, { select, expand, collapse, toggle }));
  await draw();
  return {
    keys: {
      x: () => rejectedBox.click(),
      g: () => { const g = pane.dataset.goalpost; if (g) ctx.go("goalposts", { id: g }); },
      d: () => { const tabs = pane.querySelector(".tabs"); if (tabs) tabs.pick("program"); },
    },
    own: ["node", "tab", "open"],
    onParams: async (params) => {
      const id = params.node;
      if (!id || id === pane.dataset.id) return;
      if ([...tree.children].some((r) => r.dataset.id === id)) select(id, false);
      else await draw();
    },
    onSteps: () => { slider.max = ctx.history.last; if (!state.step) { slider.value = ctx.history.last; if (!tree.contains(document.activeElement)) draw(); } },
    close: () => clearInterval(state.timer),
  };
};

G.rowContent = (item) => {
  if (item.stage === "goalpost") return [
    G.shape("goalpost"), G.h("span", { class: "title" }, G.h("b", null, item.id), " ", item.label),
    G.h("span", { class: "facts" },
      !item.is_goalpost ? G.h("span", { class: "chip" }, item.source) : item.solved ? G.h("span", { class: "verdict good" }, `\u2713 step ${item.first_solved}`) : null,
      G.h("span", { class: "num muted counts-of", title: "lemmas and lifts accepted, proposals rejected" }, `${item.lemmas}\u25c6 ${item.lifts}\u25b2 ${item.rejected}\u2717`))];
  const fallen = item.verdict !== "accepted";
  return [
    G.shape(item.stage, G.present(item), item.verdict),
    G.h("span", { class: "title" }, item.label || G.h("i", null, "no message")),
    G.h("span", { class: "facts" },
      fallen ? G.h("span", { class: "verdict bad" }, `\u2717 ${item.verdict}`) : null,
      G.rate(item.pass_rate),
      !fallen && G.h("span", { class: "num muted now", title: item.recent ? `last induction attempts: ${G.rateWords(item.recent)}` : "not attempted yet" }, item.used ? `${item.used}\u00d7${item.recent ? ` now ${item.recent.correct}/${item.recent.total}` : ""}` : ""))];
};

G.legend = () => G.h("span", { class: "legend" },
  G.shape("goalpost"), "goalpost", G.shape("lemma", { correct: 1, total: 2 }), "lemma", G.shape("lift", { correct: 1, total: 10 }), "lift",
  G.h("span", { class: "ramp", role: "img", "aria-label": "Fill: pass rate from 0 to 100%" }), "0\u2013100%");

G.treeKeys = (e, tree, act) => {
  const row = e.target.closest(".row");
  if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
  const rows = [...tree.children];
  const at = rows.indexOf(row);
  const to = (next) => { if (next) { next.focus(); if (next.dataset.id) act.select(next.dataset.id, true); } };
  const moves = {
    ArrowDown: () => to(rows[at + 1]),
    ArrowUp: () => to(rows[at - 1]),
    Home: () => to(rows[0]),
    End: () => to(rows[rows.length - 1]),
    ArrowRight: () => (row.getAttribute("aria-expanded") === "false" ? act.expand(row) : to(rows[at + 1])),
    ArrowLeft: () => (row.getAttribute("aria-expanded") === "true" ? act.collapse(row) : to(rows.slice(0, at).reverse().find((r) => r.level < row.level))),
    Enter: () => (row.classList.contains("more") ? row.click() : act.toggle(row)),
  };
  if (!moves[e.key]) return;
  e.preventDefault();
  moves[e.key]();
};

G.driftCard = (ctx) => {
  const body = G.h("div", { class: "drift" });
  return G.h("details", { class: "card fold", ontoggle: async (e) => {
    if (!e.target.open || body.childNodes.length) return;
    const points = await ctx.ask("drift");
    const shown = points.slice(-1500);
    const mean = (f) => points.reduce((sum, d) => sum + f(d), 0) / points.length;
    G.clear(body, points.length ? [G.scatter(shown, (id) => ctx.go("curriculum", { node: id })),
      G.h("div", null, G.h("p", null, `At acceptance these ${points.length.toLocaleString("en-US")} nodes had a mean pass rate of ${G.percent(mean((d) => G.share(d.probed)))}; in later induction attempts ${G.percent(mean((d) => G.share(d.later)))}.`),
        G.h("p", { class: "muted" }, "A probe of ten attempts is noisy: some nodes were accepted by luck and fall back, others became easy because the student learnt. Above the diagonal: easier than at acceptance. Area: number of later attempts. Selecting on the probe alone moves points toward their true rate."),
        G.h("p", { class: "keys2" }, G.h("span", { class: "swatch one" }), "lemma ", G.h("span", { class: "swatch two" }), "lift"))]
      : G.empty("No later attempts yet"));
  } }, G.h("summary", null, "How much of the curriculum is noise? Pass rate at acceptance against later"), body);
};
