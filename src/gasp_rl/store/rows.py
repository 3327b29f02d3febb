"""Records to rows: the inserts and deletes of one transaction."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

from gasp_rl.store.codec import label_of, pack_json, pack_text, pack_trace, prompt_key
from gasp_rl.store.records import (
    EvalRecord,
    GoalpostAttempt,
    GoalpostRecord,
    ProposalRecord,
    Purpose,
    RolloutRecord,
    StepRecord,
    TaskRecord,
    TokenTrace,
)
from gasp_rl.types import Role

ACCEPTED = "accepted"


def insert_goalpost(db: sqlite3.Connection, goalpost: GoalpostRecord) -> None:
    db.execute(
        "insert or ignore into goalpost values (?, ?, ?)",
        (goalpost.id, goalpost.source, pack_text(goalpost.question)),
    )


def insert_step(
    db: sqlite3.Connection, record: StepRecord, attempt: int, now: float, keep_text: bool
) -> None:
    """All rows of one step; the caller holds the transaction."""
    metrics = json.dumps(record.metrics)
    db.execute(
        "insert into step (step, attempt, finished, seconds, version, metrics, times, state)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.step,
            attempt,
            now,
            record.seconds,
            record.version,
            metrics,
            json.dumps(record.times),
            record.state,
        ),
    )
    for task in record.tasks:
        _insert_task(db, task)
    for proposal in record.proposals:
        _insert_proposal(db, proposal, keep_text)
    for rollout in record.rollouts:
        _insert_rollout(db, rollout, str(rollout.outcome), keep_text)
    insert_evals(db, record.evals, record.goalpost_attempts)


def insert_evals(
    db: sqlite3.Connection, evals: Sequence[EvalRecord], attempts: Sequence[GoalpostAttempt]
) -> None:
    """Evaluation rows; the primary keys make a repeated evaluation replace the earlier one."""
    db.executemany(
        "insert or replace into eval (benchmark, policy, step, question, label, correct, total,"
        " temperature, pass_at, tags) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                e.benchmark,
                e.policy,
                e.step,
                e.question,
                e.label,
                e.correct,
                e.total,
                e.temperature,
                json.dumps(dict(e.pass_at)),
                json.dumps(e.tags),
            )
            for e in evals
        ],
    )
    db.executemany(
        "insert or replace into goalpost_attempt values (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                a.step,
                a.goalpost,
                a.policy,
                a.correct,
                a.total,
                a.temperature,
                None if a.solution is None else pack_text(a.solution),
            )
            for a in attempts
        ],
    )


def delete_after(db: sqlite3.Connection, step: int) -> None:
    """Every row of later steps; content-addressed prompts and tasks may stay."""
    for text, table in (("proposal_body", "proposal"), ("rollout_text", "rollout")):
        db.execute(
            f"delete from {text} where number in (select number from {table} where step > ?)",
            (step,),
        )
    for table in ("proposal", "rollout", "goalpost_attempt", "eval", "step"):
        db.execute(f"delete from {table} where step > ?", (step,))


def _insert_task(db: sqlite3.Connection, task: TaskRecord) -> None:
    body = {
        "program": task.program,
        "message": task.message,
        "shown": [asdict(e) for e in task.shown],
        "hidden": [asdict(e) for e in task.hidden],
    }
    db.execute(
        "insert or ignore into task values (?, ?, ?)", (task.key, str(task.kind), pack_json(body))
    )


def _insert_proposal(db: sqlite3.Connection, proposal: ProposalRecord, keep_text: bool) -> None:
    verdict = ACCEPTED if proposal.rejection is None else str(proposal.rejection)
    rate = proposal.pass_rate
    cursor = db.execute(
        "insert into proposal (id, step, stage, axis, parent, goalpost, verdict, correct, total,"
        " reward, advantage, nearest, similarity, task_key, label)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            proposal.id,
            proposal.step,
            str(proposal.stage),
            str(proposal.axis),
            proposal.parent,
            proposal.goalpost,
            verdict,
            rate and rate.correct,
            rate and rate.total,
            proposal.reward,
            proposal.advantage,
            proposal.nearest,
            proposal.similarity,
            proposal.key,
            label_of(proposal.message),
        ),
    )
    body = {
        "program": proposal.program,
        "message": proposal.message,
        "shown": [asdict(e) for e in proposal.shown],
        "hidden": [asdict(e) for e in proposal.hidden],
        "detail": proposal.detail,
    }
    db.execute("insert into proposal_body values (?, ?)", (cursor.lastrowid, pack_json(body)))
    _insert_completion(
        db,
        id=proposal.id,
        step=proposal.step,
        purpose=Purpose.PROPOSE,
        role=Role.TEACHER,
        kind=proposal.stage.kind,
        task_key=proposal.key,
        origin=proposal.parent,
        group=proposal.group,
        verdict=verdict,
        reward=proposal.reward,
        advantage=proposal.advantage,
        tokens=proposal.tokens,
        finish=proposal.finish,
        version=proposal.version,
        prompt=proposal.prompt,
        completion=proposal.completion,
        detail=proposal.detail,
        trace=proposal.trace,
        keep_text=keep_text,
    )


def _insert_rollout(
    db: sqlite3.Connection, rollout: RolloutRecord, verdict: str, keep_text: bool
) -> None:
    _insert_completion(
        db,
        id=rollout.id,
        step=rollout.step,
        purpose=rollout.purpose,
        role=rollout.role,
        kind=rollout.kind,
        task_key=rollout.task_key,
        origin=rollout.origin,
        group=rollout.group,
        verdict=verdict,
        reward=rollout.reward,
        advantage=rollout.advantage,
        tokens=rollout.tokens,
        finish=rollout.finish,
        version=rollout.version,
        prompt=rollout.prompt,
        completion=rollout.completion,
        detail=rollout.detail,
        trace=rollout.trace,
        keep_text=keep_text,
    )


def _insert_completion(
    db: sqlite3.Connection,
    *,
    prompt: str,
    completion: str,
    detail: str,
    trace: TokenTrace | None,
    keep_text: bool,
    **columns: object,
) -> None:
    """One rollout row: narrow columns in `rollout`, text beside it, the prompt once."""
    key = prompt_key(prompt)
    known = db.execute("select 1 from prompt where key = ?", (key,)).fetchone()
    if not known:
        db.execute("insert into prompt values (?, ?)", (key, pack_text(prompt)))
    columns["grp"] = columns.pop("group")
    columns["prompt_key"] = key
    values = [str(v) if isinstance(v, str) else v for v in columns.values()]
    marks = ",".join("?" * len(values))
    cursor = db.execute(f"insert into rollout ({','.join(columns)}) values ({marks})", values)
    db.execute(
        "insert into rollout_text values (?, ?, ?, ?)",
        (
            cursor.lastrowid,
            pack_text(completion) if keep_text else None,
            pack_text(detail) if detail else None,
            pack_trace(trace) if trace and keep_text else None,
        ),
    )
