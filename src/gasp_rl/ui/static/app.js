// The frame: navigation, address, keyboard, live updates. The address holds the whole state.
"use strict";

G.MENU = [["overview", "Overview"], ["curriculum", "Curriculum"], ["funnel", "Funnel"], ["goalposts", "Goalposts"], ["rollouts", "Rollouts"], ["evals", "Evaluations"], ["compare", "Compare"]];
G.KEYS = [["1 \u2013 7", "pages"], ["/", "search"], ["\u2191 \u2193 \u2190 \u2192", "move in the tree or the list"], ["Enter", "open or close a branch"], ["x", "show rejected proposals"], ["d", "program against its parent"], ["g", "its goalpost"], ["j k", "next, previous rollout"], ["c", "colour tokens"], ["?", "this help"]];

G.address = (page, params) => {
  const kept = Object.entries({ run: G.app.run, ...params }).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  return `#/${page}?${new URLSearchParams(kept)}`;
};

G.readAddress = () => {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { page: G.pages[path] ? path : "overview", params: Object.fromEntries(new URLSearchParams(query || "")) };
};

// What a page asks first is asked for while the run is still being opened.
G.EARLY = {
  curriculum: (p) => [["goalposts", p.t ? { last_step: Number(p.t) } : {}]],
  goalposts: () => [["goalposts"]],
  evals: () => [["evals"]],
};
G.question = (what, query) => `${what}?${new URLSearchParams(query || {})}`;

G.App = class {
  constructor(source, host) {
    this.source = source;
    this.host = host;
    this.run = "";
    this.page = "";
    this.current = {};
    this.serial = 0;
  }

  async start() {
    addEventListener("hashchange", () => this.follow());
    addEventListener("keydown", (e) => this.key(e));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.current.onTheme && this.current.onTheme());
    await this.follow();
  }

  // Change the address without drawing again: the page has already done what it says.
  set(change) {
    const params = { ...this.params, ...change };
    for (const key of Object.keys(params)) if (params[key] === "" || params[key] === null) delete params[key];
    this.params = params;
    this.context.params = params;
    history.replaceState(null, "", G.address(this.page, params));
  }

  async follow() {
    const { page, params } = G.readAddress();
    const before = this.params || {};
    const changed = [...new Set([...Object.keys(params), ...Object.keys(before)])].filter((key) => key !== "run" && params[key] !== before[key]);
    const same = page === this.page && (params.run || this.run) === this.run && this.current.onParams;
    if (same && changed.every((key) => this.current.own.includes(key))) {
      this.params = this.context.params = params;
      this.current.onParams(params);
      return;
    }
    await this.draw(page, params);
  }

  async draw(page, params) {
    const serial = ++this.serial;
    if (this.current.close) this.current.close();
    this.current = {};
    const main = G.h("main", { id: "main", tabindex: "-1", "data-page": page });
    try {
      const runs = await this.source.runs();
      const good = runs.filter((r) => !r.error);
      if (!good.length) return this.blank(runs);
      const run = params.run || good[good.length - 1].run;
      const early = new Map((G.EARLY[page] || (() => []))(params).map(([what, query]) => [G.question(what, query), this.source.ask(run, what, query)]));
      for (const answer of early.values()) answer.catch(() => {}); // whoever asks for it hears of it
      await this.openRun(run);
      if (serial !== this.serial) return;
      this.page = page;
      this.params = params;
      this.frame(runs, main);
      const ctx = this.context = {
        source: this.source, run, params, history: this.history, config: this.config, opened: this.opened, board: this.board,
        ask: (what, query) => {
          const key = G.question(what, query), answer = early.get(key);
          early.delete(key);
          return answer || this.source.ask(run, what, query);
        },
        set: (change) => { if (serial === this.serial) this.set(change); },
        go: (to, more) => { location.hash = G.address(to, more); },
        redraw: () => this.draw(this.page, this.params),
        keep: () => Object.fromEntries(Object.entries(this.params).filter(([k]) => k !== "id" && k !== "node")),
      };
      this.opened = null;
      const made = await G.pages[page](main, ctx);
      if (serial !== this.serial) { if (made.close) made.close(); return; }
      this.current = made;
      main.dataset.ready = "1";
      document.title = `${G.visible(run)} \u00b7 ${page} \u00b7 gasp`;
    } catch (error) {
      if (serial === this.serial) {
        if (!main.isConnected) G.clear(this.host, main);
        G.clear(main, G.empty("This cannot be shown", error.message, G.h("a", { href: "#/overview" }, "Open the latest run that can be read")));
        main.dataset.ready = "1";
      }
    }
    return undefined;
  }

  blank(runs) {
    G.clear(this.host, G.h("main", { id: "main", tabindex: "-1", "data-ready": "1" }, runs.length
      ? G.empty("No run can be read", runs.map((r) => r.error).join(" "))
      : G.empty("No runs here yet", "Start one with gasp demo; this page shows it while it runs.")));
    setTimeout(() => this.follow(), 3000);
  }

  async openRun(run) {
    if (run === this.run) return;
    if (this.unfollow) this.unfollow();
    const [overview, steps] = await Promise.all([this.source.ask(run, "overview"), this.source.ask(run, "steps")]);
    this.run = run;
    this.opened = overview;
    this.config = overview.config;
    this.board = new Set(overview.goalposts);
    this.history = new G.History();
    this.history.add(steps);
    this.unfollow = this.source.follow(run, this.history.last, (more) => this.arrived(more), () => { this.run = ""; this.draw(this.page, this.params); });
  }

  // New steps of a live run: at most one redraw a second, and none while the tab is hidden.
  arrived(steps) {
    this.history.add(steps);
    if (this.pending) return;
    this.pending = setTimeout(() => {
      this.pending = null;
      const badge = document.querySelector("[data-step]");
      if (badge) badge.textContent = `step ${this.history.last}`;
      if (!document.hidden && this.current.onSteps) this.current.onSteps();
    }, 1000);
  }

  frame(runs, main) {
    const picker = G.h("select", { "aria-label": "Run", onchange: (e) => { location.hash = `#/${this.page}?${new URLSearchParams({ run: e.target.value })}`; } },
      runs.map((r) => G.assign(G.h("option", { value: r.run, disabled: Boolean(r.error) }, r.error ? `${r.run} (unreadable)` : r.run), { selected: r.run === this.run })));
    const line = runs.find((r) => r.run === this.run) || {};
    G.clear(this.host, G.h("header", { class: "top" },
      G.h("a", { class: "brand", href: G.address("overview", {}) }, G.h("span", { "aria-hidden": "true" }, "\u2691"), " gasp"),
      G.h("div", { class: "runpick" }, picker, G.h("span", { class: `level ${line.health}` }, `${G.ICONS[line.health] || ""} ${line.health || ""}`), G.h("span", { class: "num muted", "data-step": true }, `step ${this.history.last}`)),
      G.h("nav", { "aria-label": "Pages" }, G.MENU.map(([key, text]) => G.h("a", { href: G.address(key, {}), "aria-current": key === this.page ? "page" : null }, text))),
      G.h("button", { type: "button", class: "icon help", "aria-label": "Keyboard help", onclick: () => this.help() }, "?")), main);
    const here = this.host.querySelector("nav [aria-current]");
    if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;
  }

  help() {
    const dialog = G.h("dialog", { "aria-label": "Keyboard" }, G.h("h2", null, "Keyboard"),
      G.h("dl", null, G.KEYS.map(([key, words]) => [G.h("dt", null, G.h("kbd", null, key)), G.h("dd", null, words)])),
      G.h("form", { method: "dialog" }, G.h("button", null, "Close")));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog")) return;
    if (e.target.closest("input, select, textarea")) { if (e.key === "Escape") e.target.blur(); return; }
    const number = Number(e.key);
    const action = number >= 1 && number <= G.MENU.length ? () => { location.hash = G.address(G.MENU[number - 1][0], {}); }
      : e.key === "/" ? () => { const box = document.querySelector("[data-search]"); if (box) box.focus(); }
        : e.key === "?" ? () => this.help() : (this.current.keys || {})[e.key];
    if (action) { e.preventDefault(); action(); }
  }
};

(async () => {
  const block = document.getElementById("report-data");
  const source = block ? new G.ReportSource(await G.readReport(block)) : new G.LiveSource();
  G.app = new G.App(source, document.getElementById("app"));
  await G.app.start();
})();
