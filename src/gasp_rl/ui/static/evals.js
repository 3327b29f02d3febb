// Evaluations: pass rates by benchmark, label and policy, then question by question.
"use strict";

// Mean over questions with a normal 95% interval over questions.
G.meanInterval = (values) => {
  const n = values.length, mean = values.reduce((a, b) => a + b, 0) / n;
  const variance = n > 1 ? values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1) : 0;
  return { mean, half: 1.96 * Math.sqrt(variance / n), n };
};

// Unbiased pass@k from c right ones of n samples (Chen and others, 2021): 1 - C(n-c, k) / C(n, k).
G.passAt = (n, c, k) => {
  if (n - c < k) return 1;
  let missed = 1;
  for (let i = n - c + 1; i <= n; i++) missed *= 1 - k / i;
  return 1 - missed;
};

G.pages.evals = async (root, ctx) => {
  const [rows, { controls }] = await Promise.all([ctx.ask("evals"), ctx.ask("overview")]);
  G.append(root, [G.h("h1", null, "Evaluations")]);
  if (!rows.length) { G.append(root, [G.empty("No evaluations yet", "eval.every sets how often they run; gasp eval runs them on demand.")]); return {}; }
  const benchmarks = [...new Set(rows.map((r) => r.benchmark))];
  const chosen = benchmarks.includes(ctx.params.benchmark) ? ctx.params.benchmark : benchmarks[0];
  const of = rows.filter((r) => r.benchmark === chosen);
  const least = Math.min(...of.map((r) => r.total));
  const ks = [...new Set([...of.flatMap((r) => Object.keys(r.pass_at)).map(Number), ...[1, 5, 10, 20, 50, 100].filter((n) => n <= least)])].sort((a, b) => a - b);
  const k = ks.includes(Number(ctx.params.k)) ? Number(ctx.params.k) : ks[0];
  const value = (r) => r.pass_at[k] !== undefined ? r.pass_at[k] : k <= r.total ? G.passAt(r.total, r.correct, k) : undefined;
  const policies = [...new Map(of.map((r) => [`${r.step}|${r.policy}|${r.temperature}`, { step: r.step, policy: r.policy, temperature: r.temperature }])).entries()].sort((a, b) => a[1].step - b[1].step);
  const labels = [...new Set(of.map((r) => r.label))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const tags = [...new Set(of.map((r) => r.tags.join(", ")))].sort();
  const keyOf = (r) => `${r.step}|${r.policy}|${r.temperature}`;
  const within = (key, label, tag) => of.filter((r) => keyOf(r) === key && (label === null || r.label === label) && (tag === null || r.tags.join(", ") === tag));
  const cell = (key, label, tag) => {
    const here = within(key, label, tag);
    const values = here.map(value).filter((v) => v !== undefined);
    const samples = here.reduce((sum, r) => sum + r.total, 0);
    if (!values.length) return "\u2013";
    const { mean, half, n } = G.meanInterval(values);
    return G.h("span", { class: "heat", style: { "--c": G.colour(mean) }, title: `${n} questions, 95% interval over questions \u00b1${G.number(half, "share")}` }, G.number(mean, "share"), G.h("small", null, half ? ` \u00b1${(100 * half).toFixed(1)}` : ` of ${samples.toLocaleString("en-US")}`));
  };
  const change = (label, tag) => {
    const at = (key) => new Map(within(key, label, tag).map((r) => [r.question, value(r)]));
    const before = at(policies[0][0]), after = at(policies[policies.length - 1][0]);
    const moves = [...after].filter(([q, v]) => v !== undefined && before.get(q) !== undefined).map(([q, v]) => v - before.get(q));
    if (!moves.length) return "\u2013";
    const { mean, half } = G.meanInterval(moves);
    const sure = Math.abs(mean) > half && mean !== 0;
    return G.h("span", { class: `num ${sure ? mean > 0 ? "up" : "down" : "muted"}`, title: `${moves.length} questions` }, `${mean > 0 ? "+" : mean < 0 ? "\u2212" : ""}${Math.abs(100 * mean).toFixed(1)}`, half ? G.h("small", null, ` \u00b1${(100 * half).toFixed(1)}`) : null);
  };
  const table = (tag) => {
    const shown = labels.filter((label) => tag === null || of.some((r) => r.label === label && r.tags.join(", ") === tag));
    return G.h("div", { class: "matrix" }, G.table(`${chosen}${tag === null ? "" : `, ${tag || "no tag"}`} by policy and label`, ["policy", "step", "temperature", ...shown.map((l) => /^\d+$/.test(l) ? `depth ${l}` : l), "all"], [...policies.map(([key, p]) => [G.h("span", { class: "nowrap" }, p.policy), p.step, p.temperature, ...shown.map((l) => cell(key, l, tag)), G.h("b", null, cell(key, null, tag))]),
      ...(policies.length > 1 ? [[G.h("span", { class: "nowrap" }, "change"), "", "", ...[...shown, null].map((l) => change(l, tag))]] : [])]));
  };
  const refresh = (key) => (v) => { ctx.set({ [key]: v }); ctx.redraw(); };
  // One temperature, or a curve would jump where a policy was sampled at two.
  const trained = policies.filter(([, p], i, { length }) => p.step > 0 && p.temperature === policies[length - 1][1].temperature);
  G.append(root, [
    G.h("div", { class: "toolbar" }, G.choice("Benchmark", chosen, benchmarks.map((b) => [b, b]), refresh("benchmark")), ks.length > 0 && G.choice("Measure", String(k), ks.map((n) => [String(n), `pass@${n}`]), refresh("k"))),
    G.card(`${chosen}, pass@${k}`, table(null),
      G.h("p", { class: "muted" }, "Mean over questions; change: last row against first, question by question; \u00b1 is a 95% interval over questions, which says nothing about training seeds; where all questions agree, the number of samples stands in its place.")),
    tags.length > 1 && G.card(`Split by kind of question, pass@${k}`, tags.map((tag) => [G.h("h3", { class: "part" }, tag || "no tag", G.h("span", { class: "muted" }, `${new Set(of.filter((r) => r.tags.join(", ") === tag).map((r) => r.question)).size} questions`)), table(tag)]),
      G.h("p", { class: "muted" }, "A mean over kinds of questions can hide that they move apart.")),
    trained.length > 2 && G.card("Over steps", G.chart(`${chosen} over steps`, "share", trained.map(([, p]) => p.step),
      labels.slice(0, 6).map((label) => ({ label, y: trained.map(([key]) => { const v = of.filter((r) => keyOf(r) === key && r.label === label).map(value); return v.length ? G.meanInterval(v).mean : null; }) })), { height: 240, sync: "evals" }),
      G.h("p", { class: "keys2" }, labels.slice(0, 6).map((l, i) => [G.h("span", { class: `swatch s${i + 1}` }), `${l || "all"} `]))),
    G.questions(of, policies, value),
    controls && G.h("details", { class: "card fold" }, G.h("summary", null, "Base against trained, in words (controls.md)"), G.prose(controls, "controls")),
  ]);
  return {};
};

G.questions = (rows, policies, value) => {
  const [lastKey, last] = policies[policies.length - 1];
  const first = new Map(rows.filter((r) => `${r.step}|${r.policy}|${r.temperature}` === policies[0][0]).map((r) => [r.question, r]));
  const now = rows.filter((r) => `${r.step}|${r.policy}|${r.temperature}` === lastKey)
    .map((r) => [r, first.has(r.question) ? value(r) - value(first.get(r.question)) : 0]).sort((a, b) => b[1] - a[1]);
  return G.h("details", { class: "card fold" }, G.h("summary", null, `Question by question (${now.length}): ${last.policy} at step ${last.step} against ${policies[0][1].policy} at step ${policies[0][1].step}`),
    G.table("Questions", ["question", "label", "then", "now", "change"], now.slice(0, 500).map(([r, change]) => [r.question, r.label, G.rate((first.get(r.question) || {}).rate), G.rate(r.rate), G.h("span", { class: change > 0 ? "up" : change < 0 ? "down" : "muted" }, `${change > 0 ? "+" : change < 0 ? "\u2212" : ""}${Math.abs(100 * change).toFixed(0)}`)])));
};
