// Overview: where the run is, twelve numbers, health in sentences, curves.
"use strict";

G.NICE = {
  "curriculum/goalposts_reached": "Goalposts reached", "curriculum/nodes": "Curriculum nodes",
  "lemma/accept_rate": "Lemmas accepted", "lift/accept_rate": "Lifts accepted",
  "novelty/nearest_mean": "Nearest neighbour", "student/correct/induction": "Induction right",
  "student/correct/deduction": "Deduction right", "student/correct/abduction": "Abduction right",
  "group/dead": "Dead groups", "policy/entropy": "Entropy", "policy/logprob_gap": "Log-prob gap",
  seconds: "Seconds per step",
  "rlvr/correct": "Real questions right", "deduction/accept_rate": "Deduction tasks accepted",
  "abduction/accept_rate": "Abduction tasks accepted", "induction/accept_rate": "Induction tasks accepted",
  "eval/validation/pass@1": "Validation pass@1", "tokens/completion_mean": "Tokens per completion",
  "policy/grad_norm": "Gradient norm", "sandbox/timeouts": "Sandbox timeouts",
};

G.pages.overview = async (root, ctx) => {
  const [view, names] = await Promise.all([ctx.opened || ctx.ask("overview"), ctx.source.names(ctx.run)]);
  const about = (name) => names.about[name] || { unit: "number", meaning: name };
  const tiles = G.h("div", { class: "tiles" });
  const curves = G.h("div", { class: "curves" });
  const controls = { smooth: Number(ctx.params.smooth || 0), search: ctx.params.search || "" };

  const drawTiles = () => G.clear(tiles, G.headline(names.headline, ctx.history).map((name) => {
    const series = ctx.history.get(name);
    return G.h("div", { class: "tile", title: about(name).meaning },
      G.h("div", { class: "label" }, G.NICE[name] || name),
      G.h("div", { class: "value" }, name === "seconds" ? G.number(series.last(), "seconds") : G.number(series.last(), about(name).unit)),
      G.sparkline(series));
  }));

  const drawCurves = () => {
    const wanted = controls.search.trim().toLowerCase();
    const chosen = (wanted ? ctx.history.names().filter((n) => n.toLowerCase().includes(wanted)) : G.headline(names.headline, ctx.history))
      .filter((n) => ctx.history.get(n).y.length);
    G.clear(curves, chosen.slice(0, 24).map((name) => {
      const { x, y } = ctx.history.get(name);
      const value = G.h("output", null, G.number(y[y.length - 1], about(name).unit));
      const chart = G.chart(name, about(name).unit, x, [{ label: name, y }], { smooth: controls.smooth });
      chart.addEventListener("cursor", (e) => {
        const at = e.detail === null || e.detail === undefined ? y.length - 1 : e.detail;
        value.textContent = `step ${x[at]}: ${G.number(y[at], about(name).unit)}`;
      });
      return G.h("figure", { class: "card curve" },
        G.h("figcaption", null, G.h("span", { class: "name" }, wanted ? name : G.NICE[name] || name), value,
          G.h("small", null, about(name).meaning)), chart);
    }), !chosen.length && G.empty(wanted ? "No metric of this name" : "No steps yet", wanted ? "Metric names look like lemma/accept_rate." : "Curves appear with the first committed step."));
  };

  const clock = G.h("div", { class: "stack" });
  const drawAll = () => { drawTiles(); drawCurves(); G.clear(clock, G.timeCard(ctx.history)); };
  const health = G.h("div", { class: "stack" });
  const drawHealth = ({ status }) => G.clear(health, G.healthBanner(status), G.healthTable(status.findings));
  drawHealth(view);
  G.append(root, [
    G.runHeader(view, ctx), health, tiles,
    G.h("div", { class: "toolbar" }, G.h("h2", null, "Curves"),
      G.field("Search metrics", { type: "search", value: controls.search, "data-search": true, placeholder: "for instance reject/", oninput: (e) => { controls.search = e.target.value; ctx.set({ search: e.target.value }); drawCurves(); } }),
      G.h("label", { class: "field" }, G.h("span", null, "Smoothing"),
        G.h("input", { type: "range", min: 0, max: 0.95, step: 0.05, value: controls.smooth, oninput: (e) => { controls.smooth = Number(e.target.value); ctx.set({ smooth: e.target.value }); drawCurves(); } }))),
    curves, clock,
    G.h("div", { class: "columns" }, G.settings(view.config), G.environment(view)),
  ]);
  drawAll();
  return {
    onSteps: async () => { drawAll(); drawHealth(await ctx.ask("overview")); },
    onTheme: drawCurves,
  };
};

// The twelve numbers: where a method does not have one, the next that it has takes its place.
G.headline = (wanted, history) => {
  const has = (name) => history.get(name).y.length > 0;
  const spare = Object.keys(G.NICE).filter((name) => !wanted.includes(name) && has(name));
  return [...wanted.filter(has), ...spare, ...wanted.filter((name) => !has(name))].slice(0, wanted.length);
};

G.budget = (config) => Object.entries(config.budget || {}).filter(([, v]) => v !== null).map(([k, v]) => `${v.toLocaleString("en-US")} ${k.replaceAll("_", " ")}`).join(", ");

G.runHeader = ({ status, info, config, counts, kept }, ctx) => {
  const ended = status.finished && status.step < status.steps;
  return G.h("header", { class: "head" },
    G.h("div", null, G.h("h1", null, status.run),
      G.h("p", { class: "chips" },
        [["method", config.method], ["model", (config.model || {}).path], ["engine", (config.engine || {}).name], ["seed", config.seed], ["hardware", config.hardware]]
          .filter(([, v]) => v !== undefined && v !== "").map(([k, v]) => G.h("span", { class: "chip" }, `${k} `, G.h("b", null, String(v)))),
        info.forked_from && G.h("span", { class: "chip" }, "forked from ", G.h("b", null, info.forked_from)))),
    G.h("div", { class: "progress" },
      G.h("div", { class: "steps" }, G.h("b", null, status.step), ended ? " steps" : ` of ${status.steps} steps`,
        G.h("span", { class: `badge ${status.finished || status.stopped ? "done" : "live"}` }, status.finished ? "finished" : status.stopped ? "stopped" : ctx.source.live ? "live" : "unfinished")),
      G.h("progress", { max: Math.max(1, ended ? status.step : status.steps), value: status.step, "aria-label": "steps done" }),
      ended && G.h("small", null, `ended by its budget: ${G.budget(config)}`),
      kept && G.h("small", { class: "kept" }, `this file keeps the text of ${kept.rollouts.toLocaleString("en-US")} of ${kept.of.toLocaleString("en-US")} rollouts`),
      G.h("small", null, `${counts.proposal.toLocaleString("en-US")} proposals, ${counts.node.toLocaleString("en-US")} accepted, ${counts.rollout.toLocaleString("en-US")} rollouts, ${G.duration(status.seconds)}`)),
    status.stopped && G.h("p", { class: "banner amber" }, G.h("b", null, "Stopped early. "), status.stopped),
    info.synthetic && G.h("p", { class: "banner amber" }, G.h("b", null, "Synthetic data. "), info.synthetic),
    config.engine && config.engine.name === "scripted" && !info.synthetic && G.h("p", { class: "banner amber" }, G.h("b", null, "Scripted engine. "), "No model was trained in this run."),
    config.sandbox && config.sandbox.unsafe && G.h("p", { class: "banner red" }, G.h("b", null, "Unsafe sandbox. "), "Programs ran without seccomp."));
};

G.PHASES = { seeds: "Seeds", propose: "Proposals", lemma: "Lemmas", lift: "Lifts", renewal: "Renewal", solver: "Solver", eval: "Trial" };
G.PARTS = ["sampling", "judging", "training"];

// Seconds of a step by phase, each divided into its parts: the mean over the last twenty steps.
G.timeCard = (history) => {
  const steps = history.get("seconds").x.slice(-20);
  const mean = (name) => {
    const { x, y } = history.get(name);
    return steps.length ? y.reduce((sum, v, i) => (x[i] >= steps[0] ? sum + v : sum), 0) / steps.length : 0;
  };
  const phases = history.names().filter((n) => /^time\/[^/]+$/.test(n)).map((n) => n.slice(5));
  if (!phases.length) return false;
  const rank = (phase) => (Object.keys(G.PHASES).indexOf(phase) + 1 || 0.5) + (phase === "eval" ? 9 : 0);
  const rows = phases.sort((a, b) => rank(a) - rank(b)).map((phase) => {
    const total = mean(`time/${phase}`);
    const parts = G.PARTS.map((part) => [part, mean(`time/${phase}/${part}`)]);
    return { name: G.PHASES[phase] || phase, phase, total, parts: [...parts, ["the rest", Math.max(0, total - parts.reduce((sum, p) => sum + p[1], 0))]] };
  });
  const widest = Math.max(...rows.map((r) => r.total)) || 1;
  const step = mean("seconds");
  const bar = (row) => G.h("span", { class: "timebar", role: "img", "aria-label": row.parts.map(([part, s]) => `${part} ${s.toFixed(2)} s`).join(", ") },
    row.parts.map(([part, s], i) => s > 0 && G.h("span", { class: `t${i}`, title: `${part}: ${s.toFixed(2)} s`, style: { width: `${100 * s / widest}%` } })));
  return G.card("Where the time goes", G.h("p", { class: "keys2" }, [...G.PARTS, "the rest"].map((part, i) => [G.h("span", { class: `swatch tall t${i}` }), `${part} `]),
    G.h("span", { class: "muted" }, `mean of the last ${steps.length} steps, ${G.duration(step)} each`)),
  G.table("Seconds of a step by phase", ["phase", "", "seconds", "of the step"], rows.map((row) => [
    G.h("span", { class: "nowrap" }, row.name), bar(row), G.h("span", { class: "num" }, row.total.toFixed(2)),
    G.h("span", { class: "num muted" }, row.phase === "eval" ? "beside it" : G.percent(step ? row.total / step : 0))])));
};

G.WORDS = { green: "Healthy", amber: "Worth a look", red: "In trouble" };
G.ICONS = { green: "\u2713", amber: "!", red: "\u2717" };

G.healthBanner = (status) => {
  const first = status.findings.find((f) => f.level !== "green");
  return G.h("p", { class: `banner ${status.health}`, role: "status" },
    (first || status.step > 0) && G.h("b", null, `${G.ICONS[status.health]} ${G.WORDS[status.health]}. `),
    first ? `${first.rule} ${G.number(first.value)} (limit ${G.number(first.threshold)}): ${first.meaning}; ${first.advice}.`
      : status.findings.length ? status.step ? `${G.count(status.findings.length, "check")} over the last steps passed.` : "Nothing to judge before the first step." : "Too early to tell.");
};

G.healthTable = (findings) => findings.length > 0 && G.h("details", { class: "card fold" },
  G.h("summary", null, `Health checks (${findings.length})`),
  G.table("Health checks", ["", "rule", "value", "limit", "meaning", "advice"], findings.map((f) => [
    G.h("span", { class: `level ${f.level}` }, `${G.ICONS[f.level]} ${f.level}`), f.rule, G.number(f.value), G.number(f.threshold), f.meaning, f.level === "green" ? "" : f.advice])));

G.flatten = (tree, prefix = "") => Object.entries(tree || {}).flatMap(([key, value]) =>
  value && typeof value === "object" && !Array.isArray(value) ? G.flatten(value, `${prefix}${key}.`) : [[prefix + key, JSON.stringify(value)]]);

G.settings = (config) => G.h("details", { class: "card fold" }, G.h("summary", null, "Settings"),
  G.table("Settings", ["key", "value"], G.flatten(config).map(([k, v]) => [G.h("code", null, k), G.h("code", null, v)])));

G.environment = ({ environment: e, info }) => G.h("details", { class: "card fold" }, G.h("summary", null, "Environment"),
  G.table("Environment", ["", ""], [
    ["python", e.python], ["platform", e.platform], ["cpu", e.cpu && `${e.cpu.model}, ${e.cpu.usable_cores} cores`], ["gpu", e.gpu || "none"],
    ["commit", e.git && e.git.commit ? e.git.commit + (e.git.changed ? " with changes (code.diff)" : "") : "not a checkout"],
    ["attempts", info.attempt],
    ["packages", Object.entries(e.packages || {}).filter(([n]) => ["gasp-rl", "numpy", "torch", "transformers", "pydantic"].includes(n)).map(([n, v]) => `${n} ${v}`).join(", ")],
  ].map(([k, v]) => [k, v || "unknown"])));
