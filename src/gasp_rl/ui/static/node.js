// One node in full: program against its parent, examples, prompt, reward arithmetic, later attempts.
"use strict";

G.showNode = async (pane, ctx, id) => {
  pane.dataset.id = id;
  try {
    const goalpost = ctx.board ? ctx.board.has(id) : false;
    const view = goalpost ? await ctx.ask("goalpost", { id }) : await ctx.ask("node", { id });
    if (pane.dataset.id !== id) return;
    pane.dataset.goalpost = goalpost ? id : view.summary.goalpost;
    G.clear(pane, goalpost ? G.goalpostCard(view, ctx) : G.nodeCard(view, ctx));
    pane.scrollTop = 0;
  } catch (error) {
    if (pane.dataset.id === id) G.clear(pane, G.empty("Not here", error.message));
  }
};

G.nodeCard = (node, ctx) => {
  const s = node.summary;
  const tabs = [
    ["program", node.parent_program !== null ? "Program, diff" : "Program", () => G.programTab(node)],
    ["examples", `Examples ${node.shown.length + node.hidden.length || ""}`, () => G.examples(node)],
    ["prompt", "Prompt", () => G.prose(node.prompt, "prompt")],
    ["completion", "Reasoning", () => [G.h("p", { class: "muted" }, `${node.tokens} tokens, ended by ${node.finish}`), G.prose(node.completion, "completion")]],
    ["attempts", "Later attempts", () => G.usesTab(node, ctx)],
    ["nearest", "Nearest", () => G.nearestTab(node, ctx)],
  ];
  return G.h("article", { class: "card node" },
    G.lineageTrail(node, ctx),
    G.h("h2", null, G.shape(s.stage, G.present(s), s.verdict), s.label || "no message"),
    G.h("p", { class: "chips" }, G.h("span", { class: `tag ${s.stage}` }, s.stage), G.h("span", { class: "chip" }, "axis ", G.h("b", null, s.axis)), G.h("span", { class: "chip" }, "step ", G.h("b", null, s.step)), G.h("span", { class: "chip" }, G.h("code", null, s.id)), G.verdict(s.verdict)),
    node.detail && G.h("p", { class: "banner amber" }, node.detail),
    G.h("div", { class: "measures" },
      G.h("div", null, G.h("h3", null, "Probe"), s.pass_rate ? [G.rate(s.pass_rate), G.h("p", { class: "muted" }, `95% interval ${G.percent(s.pass_rate.low)} to ${G.percent(s.pass_rate.high)}`)] : G.h("p", { class: "muted" }, "It fell before it was probed."),
        G.h("h3", null, "Now"), s.recent ? G.rate(s.recent) : G.h("p", { class: "muted" }, "no induction attempts yet"), G.h("p", { class: "muted" }, `${s.used} solver attempts of any kind`),
        s.verdict === "accepted" && [G.h("h3", null, "What followed"), G.followed(s, node.goalpost_line)]),
      G.h("div", null, G.h("h3", null, "Reward"), G.rewardWords(s, ctx.config))),
    G.h("details", { class: "message", open: true }, G.h("summary", null, "Message to the student"), node.message ? G.prose(node.message, "message") : G.h("p", { class: "muted" }, "none was read")),
    G.tabs("Parts of this node", tabs, ctx.params.tab || "program", (key) => ctx.set({ tab: key })));
};

G.followed = (s, goalpost) => [
  s.lifts + s.rejected > 0 && G.h("p", null, `${G.count(s.lifts, "node")} built on it, ${s.rejected.toLocaleString("en-US")} more refused`),
  goalpost && goalpost.is_goalpost && G.h("p", null, goalpost.solved ? G.h("span", { class: "verdict good" }, `\u2713 goalpost first solved at step ${goalpost.first_solved}`) : G.h("span", { class: "muted" }, goalpost.evaluated ? `goalpost unsolved in ${G.count(goalpost.evaluated, "evaluation")}` : "goalpost not tried yet"))];

G.lineageTrail = (node, ctx) => G.h("nav", { class: "trail", "aria-label": "Lineage" },
  G.link(node.summary.goalpost, "curriculum", { ...ctx.keep(), node: node.summary.goalpost }),
  node.lineage.map((step) => [G.h("span", { "aria-hidden": "true" }, "\u203a"),
    step.id === node.summary.id ? G.h("b", null, `${step.stage} ${step.id}`) : G.link(`${step.stage} ${step.id}`, "curriculum", { ...ctx.keep(), node: step.id })]));

G.rewardWords = (s, config) => {
  const teacher = config.teacher || {};
  const band = teacher[s.stage];
  if (s.verdict === "unparsable") return G.h("p", null, `Not parsable, so the reward is ${G.reward(s.reward)}.`);
  if (!s.pass_rate || !band) return G.h("p", null, `Rejected as ${s.verdict}, so the reward is ${G.reward(s.reward)}.`);
  const p = G.share(s.pass_rate);
  const inside = p >= band.low && p <= band.high;
  return [G.rewardCurve(band, s.pass_rate),
    G.h("p", { class: "sum" }, `p = ${s.pass_rate.correct}/${s.pass_rate.total} = ${p.toFixed(2)}, band ${band.low}\u2013${band.high}: `,
      inside ? `R(p; a = ${band.peak}, b = ${band.sharpness}) = [(p/a)\u00b7((1\u2212p)/(1\u2212a))^((1\u2212a)/a)]^b = ${G.learnability(p, band.peak, band.sharpness).toFixed(3)}` : `outside, so ${teacher.reward_outside}`,
      s.advantage === null ? "" : `; advantage ${s.advantage.toFixed(3)}`, `; stored reward ${G.reward(s.reward)}`)];
};

G.programTab = (node) => !node.program ? G.empty("No program was read", "The completion is under Reasoning.")
  : node.parent_program !== null ? [G.h("p", { class: "muted" }, node.parent_program === node.program ? "The same program as its parent's: what the student is shown of it is what changed." : "Against its parent, line by line."), G.diffView(node.parent_program, node.program, "program against its parent")]
    : G.code(node.program);

G.usesTab = (node, ctx) => {
  const uses = node.uses;
  const links = G.h("p", { class: "links" },
    G.link("probe attempts", "rollouts", { origin: node.summary.id, purpose: "probe" }), " \u00b7 ",
    G.link("solver attempts", "rollouts", { origin: node.summary.id, purpose: "attempt" }));
  if (!uses.length) return [links, G.empty("Not attempted yet", "Accepted nodes are drawn for the solver phase at random.")];
  const first = uses.slice(0, Math.ceil(uses.length / 2)), second = uses.slice(Math.ceil(uses.length / 2));
  const total = (list) => { const c = list.reduce((a, u) => a + u.rate.correct, 0), n = list.reduce((a, u) => a + u.rate.total, 0); return n ? `${c}/${n}` : "none"; };
  return [links,
    G.h("p", null, `First half of its attempts ${total(first)} right, second half ${total(second)}.`),
    G.h("div", { class: "strip", role: "img", "aria-label": "Share right by step" }, uses.map((u) =>
      G.h("span", { style: { "--c": G.colour(G.share(u.rate)) }, title: `step ${u.step} ${u.kind}: ${u.rate.correct}/${u.rate.total}` }))),
    G.table("Later attempts", ["step", "kind", "right"], uses.slice(-100).reverse().map((u) => [
      G.link(u.step, "rollouts", { origin: node.summary.id, purpose: "attempt", kind: u.kind, first_step: u.step, last_step: u.step }), u.kind, G.rate(u.rate)]))];
};

G.nearestTab = (node, ctx) => {
  if (!node.nearest_node) return G.empty("No neighbour", "It was the first of its kind, or it fell before the novelty check.");
  const near = node.nearest_node;
  return [G.h("p", null, "Cosine ", G.h("b", null, (node.summary.similarity || 0).toFixed(3)), " to ", G.link(near.id, "curriculum", { ...ctx.keep(), node: near.id }), `, ${near.label}`),
    G.h("div", { class: "beside" }, G.h("div", null, G.h("h3", null, near.id), G.code(near.program, "nearest program")), G.h("div", null, G.h("h3", null, "this one"), G.code(node.program, "this program")))];
};
