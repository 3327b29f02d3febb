// Program text: numbered lines, line diff, side by side, tokens coloured. All of it inert.
"use strict";

G.LONGEST_LINE = 2000;
G.clip = (line) => line.length > G.LONGEST_LINE ? `${line.slice(0, G.LONGEST_LINE)} \u2026 [${line.length.toLocaleString("en-US")} characters]` : line;

G.KEYWORDS = /(#.*$)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\b(def|return|for|in|if|else|elif|while|not|and|or|lambda|import|from|None|True|False|class|try|except|with|as|yield|pass|break|continue|is)\b|\b(\d+(?:\.\d+)?)\b/g;

// A light touch of colour for Python; the text itself is never changed.
G.tint = (line) => {
  if (line.length > 400) return [line];
  const parts = [];
  let last = 0;
  for (const m of line.matchAll(G.KEYWORDS)) {
    parts.push(line.slice(last, m.index));
    parts.push(G.h("span", { class: m[1] ? "c" : m[2] ? "s" : m[3] ? "k" : "n" }, m[0]));
    last = m.index + m[0].length;
  }
  parts.push(line.slice(last));
  return parts;
};

G.code = (text, label = "program") => G.lines(text.split("\n").map((line) => ["", line]), label);

// rows: [mark, line]; mark is "", "+" or "-".
G.lines = (rows, label) => {
  let number = 0;
  const shown = rows.slice(0, 2000);
  return G.h("div", { class: "code", role: "region", tabindex: "0", "aria-label": label },
    shown.map(([mark, line]) => G.h("div", { class: `line${mark === "+" ? " added" : mark === "-" ? " removed" : ""}` },
      G.h("span", { class: "no", "aria-hidden": "true" }, mark === "-" ? "" : ++number),
      G.h("span", { class: "mark" }, mark || " "),
      G.h("span", { class: "src" }, G.tint(G.clip(line))))),
    rows.length > shown.length && G.h("div", { class: "line muted" }, `\u2026 ${rows.length - shown.length} more lines`));
};

// Longest common subsequence over lines; beyond 600 lines the middle is shown as replaced.
G.diff = (before, after) => {
  const a = before.split("\n"), b = after.split("\n");
  if (a.length > 600 || b.length > 600) return [...a.map((l) => ["-", l]), ...b.map((l) => ["+", l])];
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const rows = [];
  let i = 0, j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) { rows.push(["", a[i]]); i++; j++; }
    else if (table[i + 1][j] >= table[i][j + 1]) rows.push(["-", a[i++]]);
    else rows.push(["+", b[j++]]);
  }
  while (i < a.length) rows.push(["-", a[i++]]);
  while (j < b.length) rows.push(["+", b[j++]]);
  return rows;
};

G.diffView = (before, after, label) => G.lines(G.diff(before, after), label);

// Prose of a prompt or completion, with a way to see all of a long one.
G.prose = (text, label) => {
  const limit = 6000;
  const box = G.h("div", { class: "prose", role: "region", tabindex: "0", "aria-label": label });
  const show = (all) => G.clear(box, all ? text : text.slice(0, limit),
    !all && text.length > limit && G.h("button", { type: "button", class: "more", onclick: () => show(true) }, `show all ${text.length.toLocaleString("en-US")} characters`));
  show(false);
  return box;
};

// Tokens of a completion. By surprise: deeper means less likely under the sampler. By advantage:
// its sign is the hue, its size times the token's surprise the depth, as the gradient sees it.
G.heat = (surprise, advantage) => Math.min(1, advantage === null ? Math.sqrt(surprise / 5) : Math.sqrt(Math.abs(advantage) * (1 - Math.exp(-surprise))));

G.tokens = (text, trace, advantage = null) => {
  const hue = advantage === null ? "" : advantage < 0 ? " down" : " up";
  const box = G.h("div", { class: `prose tokens${hue}`, role: "region", tabindex: "0", "aria-label": "completion by token" });
  let start = 0;
  const letters = /[\ud800-\udfff]/.test(text) ? [...text] : text; // ends count code points
  const cut = (from, to) => (letters === text ? text.slice(from, to) : letters.slice(from, to).join(""));
  trace.ends.slice(0, 4000).forEach((end, i) => {
    const surprise = -trace.logprobs[i];
    box.append(G.h("span", {
      style: { "--heat": G.heat(surprise, advantage).toFixed(2) },
      title: `log-probability ${trace.logprobs[i].toFixed(3)}, p ${Math.exp(trace.logprobs[i]).toFixed(3)}`,
    }, cut(start, end)));
    start = end;
  });
  box.append(document.createTextNode(G.visible(cut(start))));
  return box;
};

G.examples = (node) => {
  const rows = [...node.shown.map((e) => ["shown", e]), ...node.hidden.map((e) => ["hidden", e])];
  if (!rows.length) return G.empty("No examples", "The proposal fell before its inputs were run.");
  return G.table("Examples", ["", "input", "output"], rows.map(([which, e]) => [
    G.h("span", { class: `tag ${which === "hidden" ? "held" : "shown"}` }, which), G.h("code", null, `f(${G.clip(e.input)})`), G.h("code", null, G.clip(e.output))]));
};
