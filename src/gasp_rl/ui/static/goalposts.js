// Goalpost board: which hard questions were approached and solved, and how.
"use strict";

G.STATES = [["solved", "solved at every evaluation since"], ["once", "solved at some evaluation"], ["lifts", "lifts exist"], ["lemmas", "lemmas exist"], ["none", "never approached"]];

G.goalpostState = (g) => (g.lasting ? "solved" : g.solved ? "once" : g.lifts ? "lifts" : g.lemmas ? "lemmas" : "none");

G.MARK = { solved: "\u2605", once: "\u2713", lifts: "\u25b2", lemmas: "\u25c6", none: "\u00b7" };

G.pages.goalposts = async (root, ctx) => {
  const board = G.h("div", { class: "board", role: "list" });
  const summary = G.h("p", { class: "counts" });
  const pane = G.h("div", { class: "pane", tabindex: "-1" });

  const pick = (id) => {
    for (const cell of board.querySelectorAll("button")) cell.setAttribute("aria-pressed", String(cell.dataset.id === id));
    if (ctx.params.id !== id) ctx.set({ id });
    G.showGoalpost(pane, ctx, id);
  };

  const draw = async () => {
    const rows = (await ctx.ask("goalposts")).filter((g) => g.is_goalpost);
    const states = rows.map((g) => [g, G.goalpostState(g)]);
    const rank = (state) => G.STATES.findIndex(([key]) => key === state);
    const shown = states.filter(([, s]) => !ctx.params.state || s === ctx.params.state).sort((a, b) => rank(a[1]) - rank(b[1]));
    G.clear(summary, G.STATES.map(([key, words]) => G.h("button", { type: "button", class: `key ${key}`, title: words, "aria-pressed": String(ctx.params.state === key), onclick: () => { ctx.set({ state: ctx.params.state === key ? "" : key }); draw(); } },
      G.h("span", { "aria-hidden": "true" }, G.MARK[key]), `${states.filter(([, s]) => s === key).length} ${words}`)));
    G.clear(board, shown.length ? shown.map(([g, s]) => G.h("div", { role: "listitem" }, G.h("button", { type: "button", class: `cell ${s}`, "data-id": g.id, "aria-pressed": String(g.id === ctx.params.id), onclick: () => pick(g.id), title: `${g.id}: ${g.label}` },
      G.h("span", { class: "sign", "aria-hidden": "true" }, G.MARK[s]), G.h("b", null, g.id), G.h("span", { class: "num muted" }, g.trained ? `${g.trained.correct}/${g.trained.total}` : "untried"),
      G.h("span", { class: "label" }, g.label), G.h("span", { class: "hidden" }, G.STATES.find(([k]) => k === s)[1]))))
      : G.empty("No goalposts in this state"));
    const first = shown.find(([g]) => g.solved) || shown[0];
    const id = ctx.params.id || (first && first[0].id);
    if (id && pane.dataset.id !== id) pick(id);
  };

  G.append(root, [G.h("h1", null, "Goalposts"), summary, G.h("div", { class: "split wide" }, board, pane), G.grid(ctx)]);
  await draw();
  return { onSteps: draw, own: ["id"], onParams: (p) => { if (p.id && p.id !== pane.dataset.id) pick(p.id); } };
};

G.showGoalpost = async (pane, ctx, id) => {
  pane.dataset.id = id;
  try {
    const view = await ctx.ask("goalpost", { id });
    if (pane.dataset.id === id) G.clear(pane, G.goalpostCard(view, ctx));
  } catch (error) {
    if (pane.dataset.id === id) G.clear(pane, G.empty("Not here", error.message));
  }
};

// Roots of trees that are no goalposts, by their source.
G.ROOTS = { seed: "the seed: a program that all tasks of this tree descend from, no goalpost", guide: "a question drawn in a goalpost's place, no goalpost" };

G.goalpostCard = (view, ctx) => {
  const s = view.summary;
  const others = G.h("div");
  G.otherRuns(others, ctx, s.id);
  return G.h("article", { class: "card node" },
    G.h("h2", null, G.shape("goalpost"), s.id, G.h("small", null, s.source)),
    G.h("p", { class: "chips" }, !s.is_goalpost ? G.h("span", { class: "chip" }, G.ROOTS[s.source] || s.source) : s.solved ? G.h("span", { class: "verdict good" }, `\u2713 solved at ${s.solved} of ${G.count(s.evaluated, "evaluation")}, first at step ${s.first_solved}`) : G.h("span", { class: "verdict bad" }, s.evaluated ? `\u2717 unsolved in ${G.count(s.evaluated, "evaluation")}` : "\u2717 not tried yet")),
    G.prose(view.question, "question"),
    G.h("div", { class: "measures" },
      G.h("div", null, G.h("h3", null, "Base, fresh samples"), G.rate(s.base)),
      G.h("div", null, G.h("h3", null, "Trained, all evaluations"), G.rate(s.trained)),
      G.h("div", null, G.h("h3", null, "Built towards it"), G.h("p", null, `${G.count(s.lemmas, "lemma")}, ${G.count(s.lifts, "lift")}, ${s.rejected.toLocaleString("en-US")} rejected`))),
    G.tabs("Parts of this goalpost", [
      ["attempts", "Evaluations", () => view.attempts.length ? G.table("Evaluations", ["step", "policy", "temperature", "right"], view.attempts.map((a) => [a.step, a.policy, a.temperature, G.rate(a.rate)])) : G.empty("Not evaluated yet", "eval.every sets how often goalposts are tried.")],
      ["solution", "First solution", () => view.solution ? [G.h("p", { class: "muted" }, `First right sample, step ${view.solution.step}. The complete completion:`), G.prose(view.solution.text, "first solution")] : G.empty("No right sample yet")],
      ["chain", `Chain ${view.nodes.length || ""}`, () => G.chain(view.nodes, ctx)],
      ["others", "Other runs", () => others]], "attempts"));
};

// Nodes in tree order, indented by generation: what led here.
G.chain = (nodes, ctx) => {
  if (!nodes.length) return G.empty("Nothing accepted towards it yet");
  const ids = new Set(nodes.map((n) => n.id));
  const children = (parent) => nodes.filter((n) => n.parent === parent);
  const walk = (n, depth) => [G.h("li", { style: { "--level": depth } }, G.shape(n.stage, G.present(n)), G.link(n.label || n.id, "curriculum", { node: n.id }), G.h("small", { class: "muted" }, ` step ${n.step}`), G.rate(n.pass_rate)), ...children(n.id).flatMap((c) => walk(c, depth + 1))];
  return G.h("ul", { class: "chain" }, nodes.filter((n) => !ids.has(n.parent)).flatMap((n) => walk(n, 0)));
};

G.otherRuns = async (host, ctx, id) => {
  const runs = (await ctx.source.runs()).map((r) => r.run).filter((name) => name !== ctx.run).slice(0, 8);
  const rows = [];
  for (const run of runs) {
    const s = await ctx.source.ask(run, "goalpost_line", { id });
    rows.push(s ? [G.h("a", { href: G.address("goalposts", { run, id }) }, run), G.rate(s.base), G.rate(s.trained), s.solved ? `\u2713 step ${s.first_solved}` : "unsolved"]
      : [run, "\u2013", "\u2013", "not in this run"]);
  }
  G.clear(host, rows.length ? G.table("The same goalpost in other runs", ["run", "base", "trained", ""], rows) : G.empty("No other runs in this folder"));
};

// Evaluation by goalpost: the paper's grid.
G.grid = (ctx) => {
  const body = G.h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Goalposts by evaluation" });
  return G.h("details", { class: "card fold", ontoggle: async (e) => {
    if (!e.target.open || body.childNodes.length) return;
    const rows = Object.entries(await ctx.ask("trials"));
    const steps = [...new Set(rows.flatMap(([, trials]) => trials.map((a) => a.step)))].sort((a, b) => a - b);
    G.clear(body, rows.length ? G.table("Goalposts by step", ["goalpost", ...steps.map((t) => t ? `step ${t}` : "base")], rows.map(([id, trials]) => [id, ...steps.map((t) => {
      const a = trials.find((x) => x.step === t);
      return a ? G.h("span", { class: "heat", style: { "--c": a.rate.correct ? G.colour(Math.sqrt(G.share(a.rate))) : "transparent" }, title: G.rateWords(a.rate) }, `${a.rate.correct}/${a.rate.total}`) : "";
    })])) : G.empty("No goalpost has been solved yet"));
  } }, G.h("summary", null, "Solved goalposts by evaluation"), body);
};
