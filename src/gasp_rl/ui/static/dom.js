// Making page elements. Every string becomes a text node, and every character that could deceive
// the eye becomes a visible escape: what a model wrote is inert by construction.
"use strict";
const G = { pages: {} };

G.UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

G.visible = (text) => String(text).replace(G.UNSAFE, (c) => {
  const code = c.charCodeAt(0).toString(16);
  return code.length > 2 ? "\\u" + code.padStart(4, "0") : "\\x" + code.padStart(2, "0");
});

G.append = (parent, kids) => {
  for (const kid of kids.flat(Infinity)) {
    if (kid === null || kid === undefined || kid === false) continue;
    parent.append(kid instanceof Node ? kid : document.createTextNode(G.visible(kid)));
  }
  return parent;
};

G.assign = (element, props) => {
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else if (key === "value" || key === "checked") element[key] = value;
    else element.setAttribute(key, value === true ? "" : G.visible(value));
  }
  return element;
};

// h("p", {class: "note"}, "text", child) -> element
G.h = (tag, props, ...kids) => G.append(G.assign(document.createElement(tag), props), kids);
G.svg = (tag, props, ...kids) =>
  G.append(G.assign(document.createElementNS("http://www.w3.org/2000/svg", tag), props), kids);

G.clear = (element, ...kids) => {
  element.replaceChildren();
  return G.append(element, kids);
};

// -- numbers ------------------------------------------------------------------------------------

G.number = (value, unit) => {
  if (value === null || value === undefined) return "\u2013";
  if (unit === "share") return (100 * value).toFixed(Math.abs(value) < 0.0995 && value !== 0 ? 1 : 0) + "%";
  if (unit === "seconds") return G.duration(value);
  if (unit === "bytes") return (value / 2 ** 30).toFixed(1) + " GiB";
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(1);
  return value.toFixed(size < 0.1 ? 4 : size < 10 ? 3 : 1);
};

G.duration = (seconds) => {
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${String(Math.round(seconds % 3600 / 60)).padStart(2, "0")} min`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
  return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
};

G.reward = (value) => (value === null ? "\u2013" : String(+value.toFixed(3)).replace("-", "\u2212"));
G.count = (n, one, many = `${one}s`) => `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
G.percent = (p) => Math.round(100 * p) + "%";
G.share = (rate) => rate.correct / rate.total;

// -- pass rates ---------------------------------------------------------------------------------

// Viridis (van der Walt and Smith, 2015) at five stops: even in lightness, safe for colour blindness.
G.SCALE = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
G.colour = (p) => {
  const at = Math.max(0, Math.min(1, p)) * (G.SCALE.length - 1);
  const low = Math.min(Math.floor(at), G.SCALE.length - 2);
  const mix = G.SCALE[low].map((c, i) => Math.round(c + (G.SCALE[low + 1][i] - c) * (at - low)));
  return `rgb(${mix.join(",")})`;
};

// Interval bar: the 95% interval as a band, the observed rate as a tick.
G.interval = (rate, width = 72) => {
  if (!rate) return G.h("span", { class: "muted" }, "\u2013");
  const x = (p) => 6 + p * (width - 12);
  const p = G.share(rate);
  return G.svg("svg", { class: "interval", width, height: 14, role: "img", "aria-label": G.rateWords(rate) },
    G.svg("line", { x1: x(0), x2: x(1), y1: 7, y2: 7, class: "axis" }),
    G.svg("rect", { x: x(rate.low), width: Math.max(1, x(rate.high) - x(rate.low)), y: 3.5, height: 7, rx: 3.5, class: "band" }),
    G.svg("circle", { cx: x(p), cy: 7, r: 4, fill: G.colour(p), class: "dot" }));
};

G.rateWords = (rate) => rate
  ? `${rate.correct} of ${rate.total} right, 95% interval ${G.percent(rate.low)} to ${G.percent(rate.high)}`
  : "not measured";

G.rate = (rate) => !rate ? G.h("span", { class: "muted" }, "\u2013")
  : G.h("span", { class: "rate", title: G.rateWords(rate) },
    G.h("span", { class: "num" }, `${rate.correct}/${rate.total}`), G.interval(rate));

// Shape says the stage, fill says the pass rate, dashes say rejected.
G.shape = (stage, rate, verdict) => {
  const fallen = verdict && verdict !== "accepted";
  const fill = fallen || !rate ? "none" : G.colour(G.share(rate));
  const paths = {
    goalpost: "M4.5 14.5V2.5M4.5 3h8l-2 2.6 2 2.6h-8", lemma: "M8 1.5 14.5 8 8 14.5 1.5 8Z", lift: "M8 2 14.8 13.5H1.2Z",
    deduction: "M2 3 14 8 2 13Z", abduction: "M14 3 2 8 14 13Z", induction: "M3 3H13V13H3Z",
  };
  return G.svg("svg", { class: `shape ${stage}${fallen ? " fallen" : ""}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    G.svg("path", { d: paths[stage], fill: stage === "goalpost" ? "none" : fill }));
};

G.MARKS = { right: "\u2713", accepted: "\u2713", wrong: "\u2717", malformed: "\u2205" };
G.verdict = (verdict) => {
  const good = verdict === "right" || verdict === "accepted";
  return G.h("span", { class: `verdict ${good ? "good" : "bad"}` }, `${G.MARKS[verdict] || "\u2717"} ${verdict}`);
};

// What a node's fill shows: its recent attempts once there are a few, before that its probe.
G.present = (node) => (node.recent && node.recent.total >= 4 ? node.recent : node.pass_rate);

// -- parts of pages -----------------------------------------------------------------------------

G.empty = (title, hint, way) => G.h("div", { class: "empty" }, G.h("strong", null, title), hint && G.h("p", null, hint), way);

G.card = (title, ...kids) => G.h("section", { class: "card" }, title && G.h("h2", null, title), kids);

G.table = (caption, heads, rows, onrow) => G.h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
  G.h("table", null,
    G.h("caption", { class: "hidden" }, caption),
    G.h("thead", null, G.h("tr", null, heads.map((head) => G.h("th", { scope: "col" }, head)))),
    G.h("tbody", null, rows.map((row, i) => G.h("tr", onrow && { class: "link", onclick: () => onrow(i) },
      row.map((cell) => G.h("td", null, cell)))))));

G.link = (text, page, params, props) => G.h("a", { href: G.address(page, params), ...props }, text);

G.choice = (label, value, options, onchange) => G.h("label", { class: "field" }, G.h("span", null, label),
  G.h("select", { onchange: (e) => onchange(e.target.value) },
    options.map(([key, text]) => G.assign(G.h("option", { value: key }, text), { selected: key === (value || "") }))));

G.field = (label, props) => G.h("label", { class: "field" }, G.h("span", null, label), G.h("input", props));

// Tabs: one button each; the panel is made when it is chosen.
G.tabs = (label, tabs, chosen, onchoose) => {
  const panel = G.h("div", { class: "panel", role: "tabpanel", tabindex: "0" });
  const buttons = tabs.map(([key, text, make]) => G.h("button", {
    role: "tab", type: "button", "data-tab": key,
    onclick: () => { pick(key); if (onchoose) onchoose(key); },
    onkeydown: (e) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!move) return;
      e.preventDefault();
      e.stopPropagation();
      const next = buttons[(buttons.indexOf(e.target) + move + buttons.length) % buttons.length];
      next.focus();
      next.click();
    },
  }, text));
  const pick = (key) => {
    const index = Math.max(0, tabs.findIndex((tab) => tab[0] === key));
    buttons.forEach((b, i) => {
      b.setAttribute("aria-selected", String(i === index));
      b.tabIndex = i === index ? 0 : -1;
    });
    panel.setAttribute("aria-label", tabs[index][1]);
    G.clear(panel, tabs[index][2]());
  };
  pick(chosen);
  const root = G.h("div", { class: "tabs" }, G.h("div", { role: "tablist", "aria-label": label }, buttons), panel);
  root.pick = pick;
  return root;
};
