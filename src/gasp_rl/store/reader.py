"""The reading side of a run: read-only queries that give plain dataclasses. No torch."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gasp_rl.errors import StoreError
from gasp_rl.store.codec import unpack_json, unpack_text, unpack_trace
from gasp_rl.store.database import clear_errors, open_database
from gasp_rl.store.environment import read_environment
from gasp_rl.store.queries import (
    GOALPOST_ATTEMPTS,
    PROPOSAL,
    ROLLOUT,
    ROOTS,
    bodies,
    goalpost_summary,
    node_summary,
    proposal_clause,
    rollout_clause,
)
from gasp_rl.store.records import EvalRecord, GoalpostAttempt, GoalpostRecord
from gasp_rl.store.rows import ACCEPTED
from gasp_rl.store.views import (
    Drift,
    FunnelRow,
    GoalpostDetail,
    GoalpostSummary,
    NodeDetail,
    NodeSummary,
    NodeUse,
    ProposalFilter,
    RolloutDetail,
    RolloutFilter,
    RolloutSummary,
    StepSummary,
    TaskDetail,
)
from gasp_rl.types import PassRate

_ALWAYS = 2**62


class RunReader:
    """Queries over one run. Safe to share between threads; sees each step as it is committed."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> "RunReader":
        """Open a run folder read-only. Raises `StoreError` in one sentence when it cannot be."""
        return cls(path, open_database(path / "run.db", readonly=True))

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> "RunReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the run ---------------------------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The resolved configuration as written; empty when config.json is missing or damaged."""
        try:
            value = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def environment(self) -> dict[str, Any]:
        return read_environment(self.path)

    def info(self) -> dict[str, str]:
        """Facts noted about the run: `attempt`, and whatever the loop noted."""
        return {row["key"]: row["value"] for row in self._rows("select key, value from info")}

    def last_step(self) -> int:
        """The last committed step, 0 before the first."""
        return self._value("select coalesce(max(step), 0) from step")

    def steps(self, after: int = 0, until: int | None = None) -> list[StepSummary]:
        """Committed steps later than `after` (and not later than `until`), with their metrics."""
        rows = self._rows(
            "select step, attempt, finished, seconds, version, metrics, times from step"
            " where step > ? and step <= ? order by step",
            after,
            _ALWAYS if until is None else until,
        )
        return [
            StepSummary(
                **dict(row)
                | {"metrics": json.loads(row["metrics"]), "times": json.loads(row["times"])}
            )
            for row in rows
        ]

    def outline(self, window: int) -> tuple[list[StepSummary], list[float]]:
        """The first and the last few steps, and every step's seconds: enough to judge a run by,
        however long it is."""
        last = self.last_step()
        seconds = [row["seconds"] for row in self._rows("select seconds from step order by step")]
        first = self.steps(until=min(window, last))
        return [*first, *self.steps(max(window, last - window))], seconds

    def state(self, step: int) -> bytes | None:
        """The loop's state after a step; kept where a checkpoint lies, and for the last step."""
        row = self._row("select state from step where step = ?", step)
        return row["state"] if row else None

    def counts(self) -> dict[str, int]:
        """How many goalposts, proposals, accepted nodes and rollouts the run holds."""
        tables = ("proposal", "node", "rollout")
        goalposts = self._value("select count(*) from goalpost where source not in (?, ?)", *ROOTS)
        counts = {table: self._value(f"select count(*) from {table}") for table in tables}
        return {"goalpost": goalposts, **counts}

    # -- the curriculum --------------------------------------------------------------------------

    def goalpost_records(self) -> list[GoalpostRecord]:
        """Every goalpost as it was added."""
        rows = self._rows("select id, source, question from goalpost order by rowid")
        return [GoalpostRecord(r["id"], r["source"], unpack_text(r["question"])) for r in rows]

    def goalposts(
        self, last_step: int | None = None, only: str | None = None
    ) -> list[GoalpostSummary]:
        """The board: every goalpost (or the one of an id) with what was built towards it (up to
        `last_step`) and how attempts at it went. Other roots of trees come too:
        `summary.is_goalpost` tells."""
        built: dict[str, dict[str, int]] = {}
        for row in self._rows(
            "select goalpost, verdict, stage, count(*) as n from proposal"
            f" where step <= ? {'and goalpost = ?' if only else ''} group by 1, 2, 3",
            _ALWAYS if last_step is None else last_step,
            *([only] if only else []),
        ):
            what = row["stage"] if row["verdict"] == ACCEPTED else "rejected"
            counts = built.setdefault(row["goalpost"], {})
            counts[what] = counts.get(what, 0) + row["n"]
        tried = {row["goalpost"]: row for row in self._rows(GOALPOST_ATTEMPTS)}
        return [
            goalpost_summary(record, built.get(record.id, {}), tried.get(record.id))
            for record in self.goalpost_records()
            if only in (None, record.id)
        ]

    def goalpost_ids(self) -> list[str]:
        """Ids of every goalpost, in the order in which they were added."""
        return [row["id"] for row in self._rows("select id from goalpost order by rowid")]

    def goalposts_solved(self) -> list[str]:
        """Ids of goalposts with a right sample of a trained policy, sorted."""
        rows = self._rows(
            "select distinct goalpost as id from goalpost_attempt where step > 0 and correct > 0"
            " order by 1"
        )
        return [row["id"] for row in rows]

    def goalpost(self, id: str) -> GoalpostDetail:
        """One goalpost with its statement."""
        row = self._row("select question from goalpost where id = ?", id)
        if row is None:
            raise StoreError(f"{self.path}: no goalpost {id!r}")
        (summary,) = self.goalposts(only=id)
        return GoalpostDetail(summary=summary, question=unpack_text(row["question"]))

    def root_of(self, node: str) -> str | None:
        """The goalpost of an accepted node, None when there is no such node."""
        row = self._row("select goalpost from node where id = ?", node)
        return row["goalpost"] if row else None

    def proposals(
        self, where: ProposalFilter | None = None, *, limit: int = 100, offset: int = 0
    ) -> list[NodeSummary]:
        """A page of proposals in the order of their making."""
        clause, values = proposal_clause(where or ProposalFilter())
        rows = self._rows(
            f"{PROPOSAL} {clause} order by p.number limit ? offset ?", *values, limit, offset
        )
        return [node_summary(row) for row in rows]

    def count_proposals(self, where: ProposalFilter | None = None) -> int:
        """How many proposals a filter matches."""
        clause, values = proposal_clause(where or ProposalFilter())
        return self._value(f"select count(*) from proposal p {clause}", *values)

    def has_proposal(self, id: str) -> bool:
        """Whether a proposal has this id."""
        return self._row("select 1 from proposal where id = ?", id) is not None

    def has_goalpost(self, id: str) -> bool:
        """Whether a goalpost has this id."""
        return self._row("select 1 from goalpost where id = ?", id) is not None

    def summary(self, id: str) -> NodeSummary:
        """One proposal as lists show it: its texts stay on the disk."""
        row = self._row(f"{PROPOSAL} where p.id = ?", id)
        if row is None:
            raise StoreError(f"{self.path}: no proposal {id!r}")
        return node_summary(row)

    def node(self, id: str) -> NodeDetail:
        """One proposal, accepted or not, with its program, examples, prompt and completion."""
        row = self._row(f"{PROPOSAL} where p.id = ?", id)
        if row is None:
            raise StoreError(f"{self.path}: no proposal {id!r}")
        return self._node_detail(row)

    def accepted(self) -> Iterator[NodeDetail]:
        """Every accepted node in the order of acceptance: the curriculum, and novelty's buffer."""
        for row in self._rows(f"{PROPOSAL} where p.verdict = 'accepted' order by p.number"):
            yield self._node_detail(row)

    def lineage(self, id: str) -> list[str]:
        """Proposal ids from the lemma down to this node (the goalpost is the lemma's parent)."""
        chain = [id]
        row = self._row("select parent, goalpost from proposal where id = ?", id)
        while row is not None and row["parent"] != row["goalpost"]:
            chain.append(row["parent"])
            row = self._row("select parent, goalpost from proposal where id = ?", row["parent"])
        return chain[::-1]

    def uses(self, id: str) -> list[NodeUse]:
        """Solver-phase attempts at a node by step and kind: does it become easy, and when?"""
        rows = self._rows(
            "select step, kind, sum(verdict = 'right') as correct, count(*) as total from rollout"
            " where origin = ? and purpose = 'attempt' group by step, kind order by step, kind",
            id,
        )
        return [
            NodeUse(step=r["step"], kind=r["kind"], rate=PassRate(r["correct"], r["total"]))
            for r in rows
        ]

    def funnel(self, first: int = 0, last: int | None = None) -> list[FunnelRow]:
        """Proposals of steps first..last by stage, axis and verdict."""
        ranged = first > 0 or last is not None  # without a range one index answers alone
        rows = self._rows(
            "select stage, axis, verdict, count(*) as count from proposal"
            f" {'where step between ? and ?' if ranged else ''} group by verdict, stage, axis",
            *([first, _ALWAYS if last is None else last] if ranged else []),
        )
        return [FunnelRow(**dict(row)) for row in rows]

    def drift(self) -> list[Drift]:
        """Accepted nodes with later induction attempts: probe against what followed."""
        rows = self._rows(
            "select n.id, n.stage, n.correct, n.total, u.right, u.later from node n join"
            " (select origin, sum(verdict = 'right') as right, count(*) as later from rollout"
            "  where purpose = 'attempt' and kind = 'induction' group by origin) u"
            " on u.origin = n.id where n.total > 0 order by n.number"
        )
        return [
            Drift(
                id=r["id"],
                stage=r["stage"],
                probed=PassRate(r["correct"], r["total"]),
                later=PassRate(r["right"], r["later"]),
            )
            for r in rows
        ]

    # -- rollouts and evaluations ----------------------------------------------------------------

    def rollouts(
        self, where: RolloutFilter | None = None, *, limit: int = 100, offset: int = 0
    ) -> list[RolloutSummary]:
        """A page of rollouts in the order of their making."""
        clause, values = rollout_clause(where or RolloutFilter())
        rows = self._rows(
            f"{ROLLOUT} {clause} order by number limit ? offset ?", *values, limit, offset
        )
        return [RolloutSummary(**dict(row)) for row in rows]

    def count_rollouts(self, where: RolloutFilter | None = None) -> int:
        """How many rollouts a filter matches."""
        clause, values = rollout_clause(where or RolloutFilter())
        return self._value(f"select count(*) from rollout {clause}", *values)

    def rollout(self, id: str) -> RolloutDetail:
        """One rollout with prompt, completion, verdict in words and its task."""
        row = self._row(f"{ROLLOUT} where id = ?", id)
        if row is None:
            raise StoreError(
                f"{self.path}: no goalpost, node or rollout has the id {id!r}; `gasp show` lists them"
            )
        summary = RolloutSummary(**dict(row))
        text = self._row(
            "select t.completion, t.detail, t.trace, p.text as prompt from rollout r"
            " join rollout_text t using (number) join prompt p on p.key = r.prompt_key"
            " where r.id = ?",
            id,
        )
        assert text is not None
        return RolloutDetail(
            summary=summary,
            prompt=unpack_text(text["prompt"]),
            completion=unpack_text(text["completion"]),
            detail=unpack_text(text["detail"]),
            task=self.task(summary.task_key) if summary.task_key else None,
            trace=unpack_trace(text["trace"]) if text["trace"] else None,
        )

    def task(self, key: str) -> TaskDetail | None:
        """A stored task, None when it was not stored."""
        row = self._row("select kind, body from task where key = ?", key)
        if row is None:
            return None
        return TaskDetail(key=key, kind=row["kind"], **bodies(unpack_json(row["body"])))

    def goalpost_attempts(
        self, goalpost: str | None = None, *, solutions: bool = True
    ) -> list[GoalpostAttempt]:
        """Evaluations at goalposts, of one or of all, in the order of steps."""
        rows = self._rows(
            "select step, goalpost, policy, correct, total, temperature,"
            f" {'solution' if solutions else 'null as solution'} from goalpost_attempt"
            " where ? is null or goalpost = ? order by step, policy, goalpost",
            goalpost,
            goalpost,
        )
        return [
            GoalpostAttempt(
                **dict(row) | {"solution": row["solution"] and unpack_text(row["solution"])},
            )
            for row in rows
        ]

    def evals(self, benchmark: str | None = None) -> list[EvalRecord]:
        """Evaluation results for each question, of one benchmark or of all."""
        rows = self._rows(
            "select * from eval where ? is null or benchmark = ?"
            " order by benchmark, step, policy, question",
            benchmark,
            benchmark,
        )
        return [
            EvalRecord(
                **dict(row)
                | {
                    "pass_at": {int(k): v for k, v in json.loads(row["pass_at"]).items()},
                    "tags": tuple(json.loads(row["tags"])),
                },
            )
            for row in rows
        ]

    # -- rows ------------------------------------------------------------------------------------

    def select(self, sql: str, limit: int = 1000) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Any single read-only statement: column names and at most `limit` rows."""
        path = self.path / "run.db"
        db = open_database(path, readonly=True)
        db.set_authorizer(_allow_reading)
        db.set_progress_handler(lambda: 0, 1_000_000)  # lets Ctrl-C end a statement without end
        try:
            with clear_errors(path):
                cursor = db.execute(sql)
                if cursor.description is None:
                    raise StoreError(
                        f"{path}: write one statement that gives rows (got {sql!r:.100})"
                    )
                names = [column[0] for column in cursor.description]
                return names, [tuple(row) for row in cursor.fetchmany(limit)]
        finally:
            db.close()

    def _node_detail(self, row: sqlite3.Row) -> NodeDetail:
        summary = node_summary(row)
        body_row = self._row(
            "select body from proposal_body b join proposal p using (number) where p.id = ?",
            summary.id,
        )
        assert body_row is not None
        body = unpack_json(body_row["body"])
        rollout = self.rollout(summary.id)
        return NodeDetail(
            summary=summary,
            **bodies(body),
            detail=body["detail"],
            prompt=rollout.prompt,
            completion=rollout.completion,
            tokens=rollout.summary.tokens,
            finish=rollout.summary.finish,
            task_key=rollout.summary.task_key,
        )

    def _rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with clear_errors(self.path / "run.db"), self._lock:
            return self._db.execute(sql, values).fetchall()

    def _row(self, sql: str, *values: object) -> sqlite3.Row | None:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def _value(self, sql: str, *values: object) -> int:
        return int(self._rows(sql, *values)[0][0])


def _allow_reading(action: int, *details: object) -> int:
    """SQLite's authorizer for `select`: reading and calling functions, nothing else."""
    reading = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
    reading |= {sqlite3.SQLITE_RECURSIVE}
    return sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY
