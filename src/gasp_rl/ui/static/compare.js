// Compare: two to four runs; settings, curves with seed bands, paired differences, solved only by.
"use strict";

G.pages.compare = async (root, ctx) => {
  const all = (await ctx.source.runs()).filter((r) => !r.error).map((r) => r.run);
  let chosen = (ctx.params.runs || "").split(",").filter((name) => all.includes(name));
  if (chosen.length < 2) chosen = [ctx.run, ...all.filter((name) => name !== ctx.run)].slice(0, 4);
  const body = G.h("div", { class: "stack" });
  const draw = async () => {
    if (chosen.length < 2) { G.clear(body, G.empty("Choose two runs or more", "Runs of one folder can be compared; gasp view DIR shows all of a folder.")); return; }
    try {
      const [made, names] = await Promise.all([ctx.source.compare(chosen), ctx.source.names(chosen[0])]);
      G.clear(body, G.comparison(made, ctx, names.about));
    } catch (error) { G.clear(body, G.empty("Cannot compare", error.message)); }
  };
  G.append(root, [G.h("h1", null, "Compare"),
    G.h("fieldset", { class: "toolbar" }, G.h("legend", { class: "hidden" }, "Runs to compare"), all.map((name) => G.h("label", { class: "check" },
      G.h("input", { type: "checkbox", checked: chosen.includes(name), onchange: (e) => { chosen = e.target.checked ? [...chosen, name].slice(-8) : chosen.filter((n) => n !== name); ctx.set({ runs: chosen.join(",") }); draw(); } }), ` ${name}`))),
    body]);
  await draw();
  return { onTheme: draw };
};

G.comparison = (c, ctx, about) => {
  const widest = Math.max(0.02, ...c.paired.flatMap((p) => [Math.abs(p.low), Math.abs(p.high)]));
  return [
    G.card("Goalposts solved", G.table("Goalposts solved", ["run", "solved", "solved by this run only"], c.runs.map((name, i) => [
      G.h("b", { class: "nowrap" }, name), c.solved[i], c.only[i].length ? c.only[i].map((id) => [G.h("a", { href: G.address("goalposts", { run: name, id }) }, id), " "]) : "none"]))),
    G.card("Paired differences", c.paired.length ? [G.table("Paired differences", ["benchmark", "questions", "difference", "", "n"], c.paired.map((p) => [p.benchmark, G.h("span", { class: "nowrap" }, p.tag || "all"), G.h("span", { class: "nowrap" }, `${p.second} \u2212 ${p.first}`), G.forest(p, widest), p.questions])),
      G.h("p", { class: "muted" }, "Mean difference of pass rates over common questions at the last evaluation; 95% bootstrap over questions.")] : G.empty("No common evaluations", "Runs are compared on the questions that both were evaluated on (gasp controls, eval.every).")),
    G.card("Settings that differ", c.differences.length ? G.table("Settings that differ", ["key", ...c.runs], c.differences.map((d) => [G.h("code", null, d.key), ...d.values.map((v) => G.h("code", null, v))])) : G.h("p", { class: "muted" }, "None: these runs share every setting.")),
    G.h("h2", null, "Curves"),
    G.h("p", { class: "keys2" }, c.groups.map((g, i) => [G.h("span", { class: `swatch s${i + 1}` }), `${g.join(" + ")}${g.length > 1 ? " (mean, band from lowest to highest seed)" : ""} `])),
    G.h("div", { class: "curves" }, G.sharedMetrics(c).map((name) => G.overlay(name, c, (about[name] || { unit: "number" }).unit))),
  ];
};

G.sharedMetrics = (c) => {
  const wanted = Object.keys(G.NICE);
  return wanted.filter((name) => c.runs.every((run) => c.steps[run].some((s) => name in s.metrics)));
};

G.overlay = (name, c, unit) => {
  const maps = Object.fromEntries(c.runs.map((run) => [run, new Map(c.steps[run].map((s) => [s.step, s.metrics[name]]))]));
  const x = [...new Set(c.runs.flatMap((run) => [...maps[run].keys()]))].sort((a, b) => a - b);
  const lines = c.groups.map((group) => {
    const at = x.map((step) => group.map((run) => maps[run].get(step)).filter((v) => v !== undefined && v !== null));
    const line = { label: group.join(" + "), y: at.map((v) => v.length ? v.reduce((a, b) => a + b, 0) / v.length : null) };
    if (group.length > 1) Object.assign(line, { low: at.map((v) => v.length ? Math.min(...v) : null), high: at.map((v) => v.length ? Math.max(...v) : null) });
    return line;
  });
  return G.h("figure", { class: "card curve" }, G.h("figcaption", null, G.h("span", { class: "name" }, G.NICE[name])), G.chart(name, unit, x, lines, { sync: "compare" }));
};

// A difference with its interval; all rows of a table share the scale.
G.forest = (p, widest) => {
  const width = 220, limit = widest * 1.15, x = (v) => width / 2 + v / limit * (width / 2 - 4);
  const words = `${(100 * p.mean).toFixed(1)} points [${(100 * p.low).toFixed(1)}, ${(100 * p.high).toFixed(1)}]`;
  return G.h("span", { class: "forest" }, G.svg("svg", { width, height: 18, role: "img", "aria-label": words },
    G.svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 18 }), G.svg("line", { class: "range", x1: x(p.low), x2: x(p.high), y1: 9, y2: 9 }), G.svg("circle", { class: "dot", cx: x(p.mean), cy: 9, r: 4.5 })), G.h("span", { class: "num" }, words));
};
