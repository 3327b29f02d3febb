// Curves: uPlot for charts, small SVG for sparklines, scatter and reward curves.
"use strict";

// One metric over steps with bounded memory: beyond the cap, runs of four points become their
// minimum and maximum, so that spikes stay visible.
G.Series = class {
  constructor(cap = 2000) { this.cap = cap; this.x = []; this.y = []; }

  push(x, y) {
    this.x.push(x);
    this.y.push(y);
    if (this.x.length > this.cap) this.thin();
  }

  thin() {
    const x = [], y = [];
    for (let i = 0; i < this.x.length; i += 4) {
      const block = [...Array(Math.min(4, this.x.length - i)).keys()].map((j) => i + j);
      const low = block.reduce((a, b) => (this.y[b] < this.y[a] ? b : a));
      const high = block.reduce((a, b) => (this.y[b] > this.y[a] ? b : a));
      for (const at of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) {
        x.push(this.x[at]);
        y.push(this.y[at]);
      }
    }
    this.x = x;
    this.y = y;
  }

  last() { return this.y.length ? this.y[this.y.length - 1] : null; }
};

// All metrics of one run, by name.
G.History = class {
  constructor() { this.series = new Map(); this.last = 0; }

  add(steps) {
    for (const { step, metrics } of steps) {
      this.last = step;
      for (const [name, value] of Object.entries(metrics)) {
        if (value === null) continue;
        if (!this.series.has(name)) this.series.set(name, new G.Series());
        this.series.get(name).push(step, value);
      }
    }
  }

  get(name) { return this.series.get(name) || new G.Series(); }
  names() { return [...this.series.keys()].sort(); }
};

G.smooth = (values, weight) => {
  let mean = null;
  return values.map((v) => (mean = mean === null ? v : weight * mean + (1 - weight) * v));
};

G.css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

G.PALETTE = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];

// Distances between ticks on an axis of steps.
G.WHOLE = [1, 10, 100, 1000, 10000, 100000].flatMap((n) => [n, 2 * n, 5 * n]);

// lines: [{label, x, y, band: [low, high]?}] over a shared x.
G.chart = (title, unit, x, lines, { height = 170, sync = "steps", smooth = 0 } = {}) => {
  const host = G.h("div", { class: "plot", role: "img", "aria-label": `${title}: curve over steps` });
  const data = [x];
  const series = [{}];
  const bands = [];
  lines.forEach((line, i) => {
    const colour = G.css(G.PALETTE[i % G.PALETTE.length]);
    if (line.low) {
      data.push(line.high, line.low);
      series.push({ show: true, stroke: "transparent", points: { show: false } }, { show: true, stroke: "transparent", points: { show: false } });
      bands.push({ series: [data.length - 2, data.length - 1], fill: colour + "33" });
    }
    if (smooth) {
      data.push(line.y);
      series.push({ stroke: colour + "44", width: 1, points: { show: false } });
    }
    data.push(smooth ? G.smooth(line.y, smooth) : line.y);
    series.push({ label: line.label, stroke: colour, width: 1.75, points: { show: x.length < 2, size: 5 }, spanGaps: true, value: (u, v) => G.number(v, unit) });
  });
  const axis = { stroke: G.css("--muted"), grid: { stroke: G.css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const draw = () => {
    // A plot left behind would stay alive in its cursor group: the observer also sees a removal.
    if (host.plot) host.plot.destroy();
    host.plot = null;
    if (!host.isConnected || !host.clientWidth) return;
    host.replaceChildren();
    const plot = new uPlot({
      width: host.clientWidth, height, series, bands,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: sync }, points: { size: 6 }, y: false },
      scales: { x: { time: false }, y: { range: (u, low, high) => (low === high ? [low === 0 ? 0 : low - Math.abs(low) / 2, low === 0 ? (unit === "share" ? 0.1 : 1) : low + Math.abs(low) / 2] : uPlot.rangeNum(low, high, 0.1, true)) } },
      axes: [{ ...axis, size: 26, incrs: G.WHOLE }, { ...axis, size: 52, values: (u, ticks) => ticks.map((v) => G.tick(v, unit)) }],
      hooks: { setCursor: [(u) => host.dispatchEvent(new CustomEvent("cursor", { detail: u.cursor.idx }))] },
    }, data, host);
    host.plot = plot;
  };
  new ResizeObserver(draw).observe(host);
  return host;
};

G.tick = (v, unit) => unit === "share" ? G.percent(v) : Math.abs(v) >= 1000 ? (v / 1000) + "k" : Math.abs(v) < 0.001 && v ? v.toExponential(1) : String(+v.toPrecision(3));

G.sparkline = (series, width = 120, height = 28) => {
  const { x, y } = series;
  if (y.length < 2) return G.svg("svg", { class: "spark", width, height, "aria-hidden": "true" });
  const low = Math.min(...y), high = Math.max(...y), span = high - low || 1;
  const px = (v) => 1 + (v - x[0]) / (x[x.length - 1] - x[0] || 1) * (width - 2);
  const py = (v) => height - 3 - (v - low) / span * (height - 6);
  const path = y.map((v, i) => `${i ? "L" : "M"}${px(x[i]).toFixed(1)} ${py(v).toFixed(1)}`).join("");
  return G.svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, G.svg("path", { d: path }));
};

// Unit square scatter: probed against later pass rate; area says how many later attempts.
G.scatter = (points, onpick) => {
  const size = 320, pad = 38;
  const at = (p) => pad + p * (size - pad - 10);
  const up = (p) => size - pad - p * (size - pad - 10);
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const stages = { lemma: "--series-1", lift: "--series-2", deduction: "--series-1", abduction: "--series-1", induction: "--series-2" };
  return G.svg("svg", { class: "scatter", viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": `Pass rate at acceptance against later, ${points.length} nodes` },
    ticks.map((t) => [
      G.svg("line", { class: "grid", x1: at(t), x2: at(t), y1: up(0), y2: up(1) }),
      G.svg("line", { class: "grid", x1: at(0), x2: at(1), y1: up(t), y2: up(t) }),
      G.svg("text", { x: at(t), y: size - pad + 15, "text-anchor": "middle" }, G.percent(t)),
      G.svg("text", { x: pad - 6, y: up(t) + 4, "text-anchor": "end" }, G.percent(t))]),
    G.svg("line", { class: "diagonal", x1: at(0), y1: up(0), x2: at(1), y2: up(1) }),
    G.svg("text", { class: "title", x: at(0.5), y: size - 5, "text-anchor": "middle" }, "pass rate when accepted"),
    G.svg("text", { class: "title", x: 11, y: up(0.5), "text-anchor": "middle", transform: `rotate(-90 11 ${up(0.5)})` }, "pass rate later"),
    points.map((d, i) => G.svg("circle", {
      cx: at(G.share(d.probed)) + ((i * 37) % 11 - 5) * 0.9, cy: up(G.share(d.later)), r: 2 + Math.min(5, Math.sqrt(d.later.total)),
      style: { fill: `var(${stages[d.stage]})` }, onclick: () => onpick(d.id),
    }, G.svg("title", null, `${d.id}: ${d.probed.correct}/${d.probed.total}, later ${d.later.correct}/${d.later.total}`))));
};

// Generalised learnability R(p; a, b) of the paper, drawn with its band and this proposal's p.
G.learnability = (p, a, b) => Math.pow((p / a) * Math.pow((1 - p) / (1 - a), (1 - a) / a), b);

G.rewardCurve = (band, rate) => {
  const width = 260, height = 96, x = (p) => 8 + p * (width - 16), y = (r) => height - 18 - r * (height - 28);
  const path = [...Array(101).keys()].map((i) => `${i ? "L" : "M"}${x(i / 100).toFixed(1)} ${y(G.learnability(i / 100, band.peak, band.sharpness)).toFixed(1)}`).join("");
  const p = rate && G.share(rate);
  return G.svg("svg", { class: "reward", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Reward over pass rate" },
    G.svg("rect", { class: "band", x: x(band.low), width: x(band.high) - x(band.low), y: 4, height: height - 22 }),
    G.svg("line", { class: "axis", x1: x(0), x2: x(1), y1: y(0), y2: y(0) }),
    G.svg("path", { d: path }),
    [0, band.low, band.high, 1].filter((t) => t || band.low > 0.15).map((t) => G.svg("text", { x: x(t), y: height - 4, "text-anchor": t === 1 ? "end" : t === 0 ? "start" : "middle" }, G.percent(t))),
    rate && G.svg("circle", { cx: x(p), cy: y(Math.min(1, G.learnability(p, band.peak, band.sharpness))), r: 5, fill: G.colour(p), class: "dot" }));
};
