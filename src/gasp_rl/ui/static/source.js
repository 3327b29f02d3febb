// Where the data comes from: the live server, or what a report file holds. Both answer alike.
"use strict";

G.LiveSource = class {
  constructor() { this.live = true; }

  async fetch(path, query) {
    const answer = await fetch(`/api/${path}?${new URLSearchParams(query || {})}`);
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.error || answer.statusText);
    return value;
  }

  runs() { return this.fetch("runs"); }
  names(run) { return this.fetch("names", { run }); }
  compare(runs) { return this.fetch("compare", { runs: runs.join(",") }); }
  ask(run, what, query) { return this.fetch(`run/${what}`, { ...query, run }); }

  // Calls back with each batch of new steps. EventSource reconnects by itself from its last id.
  follow(run, after, onsteps, onrollback) {
    const events = new EventSource(`/api/events?${new URLSearchParams({ run, after })}`);
    events.addEventListener("steps", (event) => onsteps(JSON.parse(event.data)));
    events.addEventListener("rollback", () => onrollback());
    return () => events.close();
  }
};

// data.runs[name] holds: line, overview, steps, goalposts, trials, proposals, nodes (by id), drift,
// rollouts, details (by id), evals, board (by goalpost id); data.compare, data.names.
G.ReportSource = class {
  constructor(data) { this.live = false; this.data = data; }

  async runs() { return Object.values(this.data.runs).map((run) => run.line); }
  async names() { return this.data.names; }

  async compare(runs) {
    const made = this.data.compare;
    if (!made || runs.join() !== made.runs.join()) throw new Error(`This report compares ${made ? made.runs.join(", ") : "nothing"}.`);
    return made;
  }

  follow() { return () => {}; }

  async ask(name, what, query = {}) {
    const run = this.data.runs[name];
    if (!run) throw new Error(`This report holds no run named ${name}.`);
    const answers = {
      line: () => run.line,
      overview: () => run.overview,
      steps: () => run.steps.filter((step) => step.step > (query.after || 0)),
      goalposts: () => this.goalposts(run, Number(query.last_step) || 0),
      trials: () => run.trials,
      goalpost: () => ({ ...this.found(run.board[query.id], query.id), nodes: run.proposals.filter((p) => p.goalpost === query.id && p.verdict === "accepted").slice(0, 200) }),
      proposals: () => this.page(run.proposals, query, G.matchesProposal),
      goalpost_line: () => run.goalposts.find((g) => g.id === query.id) || null,
      node: () => this.node(run, query.id),
      funnel: () => this.funnel(run, query),
      drift: () => run.drift,
      rollouts: () => this.page(run.rollouts, query, G.matchesRollout),
      rollout: () => this.found(run.details[query.id], query.id),
      group: () => run.rollouts.filter((r) => r.group === query.id && run.details[r.id]).slice(0, 16)
        .map((r) => ({ ...r, completion: run.details[r.id].completion })),
      evals: () => run.evals,
    };
    return answers[what]();
  }

  // Lineage, the parent's program and the neighbour are found here rather than stored twice.
  node(run, id) {
    run.byId ||= new Map(run.proposals.map((p) => [p.id, p]));
    const detail = this.found(run.nodes[id], id);
    const summary = run.byId.get(id);
    const lineage = [];
    for (let at = summary; at; at = run.byId.get(at.parent)) lineage.unshift(at);
    const parent = run.nodes[summary.parent];
    const near = run.nodes[summary.nearest];
    return { ...detail, summary, lineage, goalpost_line: run.goalposts.find((g) => g.id === summary.goalpost) || null,
      parent_program: summary.stage === "lift" && parent ? parent.program : null,
      nearest_node: near ? { id: summary.nearest, label: run.byId.get(summary.nearest).label, program: near.program } : null };
  }

  found(value, id) {
    if (value) return value;
    throw new Error(`${id} is not in this report, which keeps a selection; the run's folder has it.`);
  }

  goalposts(run, last) {
    if (!last) return run.goalposts;
    const counts = {};
    for (const p of run.proposals) {
      if (p.step > last) continue;
      const c = counts[p.goalpost] ||= { lemmas: 0, lifts: 0, rejected: 0 };
      c[p.verdict !== "accepted" ? "rejected" : ["lift", "induction"].includes(p.stage) ? "lifts" : "lemmas"] += 1;
    }
    return run.goalposts.map((g) => ({ ...g, ...(counts[g.id] || { lemmas: 0, lifts: 0, rejected: 0 }) }));
  }

  page(rows, query, matches) {
    const found = rows.filter((row) => matches(row, query));
    const offset = Number(query.offset) || 0;
    return { total: found.length, rows: found.slice(offset, offset + (Number(query.limit) || 200)) };
  }

  funnel(run, query) {
    const counts = new Map();
    for (const p of run.proposals) {
      if (!G.inSteps(p, query)) continue;
      const key = [p.stage, p.axis, p.verdict].join();
      counts.set(key, (counts.get(key) || 0) + 1);
    }
    return [...counts].map(([key, count]) => {
      const [stage, axis, verdict] = key.split(",");
      return { stage, axis, verdict, count };
    });
  }
};

G.inSteps = (row, q) => !(q.first_step && row.step < q.first_step) && !(q.last_step && row.step > q.last_step);
G.equal = (row, q, names) => names.every((name) => !q[name] || row[name] === q[name]);

G.matchesProposal = (row, q) => G.inSteps(row, q) && G.equal(row, q, ["stage", "axis", "goalpost", "parent"])
  && (!q.verdict || (q.verdict === "rejected" ? row.verdict !== "accepted" : row.verdict === q.verdict))
  && (!q.text || `${row.label} ${row.id}`.toLowerCase().includes(q.text.toLowerCase()));

G.matchesRollout = (row, q) => G.inSteps(row, q) && G.equal(row, q, ["purpose", "role", "kind", "verdict", "origin", "group"])
  && (!q.min_reward || (row.reward !== null && row.reward >= q.min_reward))
  && (!q.max_reward || (row.reward !== null && row.reward <= q.max_reward));

// A report's data: gzip, base64, in a data block that no browser executes.
G.readReport = async (element) => {
  const bytes = Uint8Array.from(atob(element.textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};
