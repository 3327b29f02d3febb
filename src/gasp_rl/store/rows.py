"""Records to rows: the inserts and deletes of one transaction."""

import json
import sqlite3
from collections.abc import Mapping, Sequence

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
    db.executemany("insert or ignore into task values (?, ?, ?)", map(_task_row, record.tasks))
    _insert_proposals(db, record.proposals)
    _insert_completions(db, record, keep_text)
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


def _insert_proposals(db: sqlite3.Connection, proposals: Sequence[ProposalRecord]) -> None:
    first = _next_number(db, "proposal")
    _insert_many(db, "proposal", [_proposal_row(n, p) for n, p in enumerate(proposals, first)])
    bodies = [
        (n, pack_json(_body(p) | {"detail": p.detail})) for n, p in enumerate(proposals, first)
    ]
    _insert_many(db, "proposal_body", bodies)


def _insert_completions(db: sqlite3.Connection, record: StepRecord, keep_text: bool) -> None:
    """Every completion of the step: narrow columns in `rollout`, text beside it, each prompt once."""
    completions: list[ProposalRecord | RolloutRecord] = [*record.proposals, *record.rollouts]
    keys = {prompt: prompt_key(prompt) for prompt in dict.fromkeys(c.prompt for c in completions)}
    db.executemany(
        "insert or ignore into prompt values (?, ?)",
        [(key, pack_text(prompt)) for prompt, key in keys.items()],
    )
    first = _next_number(db, "rollout")
    after = first + len(record.proposals)
    teacher = [_teacher_row(n, p, keys) for n, p in enumerate(record.proposals, first)]
    student = [_student_row(n, r, keys) for n, r in enumerate(record.rollouts, after)]
    _insert_many(db, "rollout", teacher + student)
    texts = [_text_row(n, c, keep_text) for n, c in enumerate(completions, first)]
    _insert_many(db, "rollout_text", texts)


def _insert_many(db: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Whole rows, in the order of the table's columns."""
    if rows:
        marks = ",".join("?" * len(rows[0]))
        db.executemany(f"insert into {table} values ({marks})", rows)


def _next_number(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"select coalesce(max(number), 0) + 1 from {table}").fetchone()[0])


def _task_row(task: TaskRecord) -> tuple[object, ...]:
    return task.key, str(task.kind), pack_json(_body(task))


def _body(of: TaskRecord | ProposalRecord) -> dict[str, object]:
    return {
        "program": of.program,
        "message": of.message,
        "shown": [{"input": e.input, "output": e.output} for e in of.shown],
        "hidden": [{"input": e.input, "output": e.output} for e in of.hidden],
    }


def _verdict(proposal: ProposalRecord) -> str:
    return ACCEPTED if proposal.rejection is None else str(proposal.rejection)


def _proposal_row(number: int, proposal: ProposalRecord) -> tuple[object, ...]:
    rate = proposal.pass_rate
    return (
        number,
        proposal.id,
        proposal.step,
        str(proposal.stage),
        str(proposal.axis),
        proposal.parent,
        proposal.goalpost,
        _verdict(proposal),
        rate and rate.correct,
        rate and rate.total,
        proposal.reward,
        proposal.advantage,
        proposal.nearest,
        proposal.similarity,
        proposal.key,
        label_of(proposal.message),
    )


def _teacher_row(
    number: int, proposal: ProposalRecord, prompt_keys: Mapping[str, str]
) -> tuple[object, ...]:
    return (
        number,
        proposal.id,
        proposal.step,
        str(Purpose.PROPOSE),
        str(Role.TEACHER),
        str(proposal.stage.kind),
        proposal.key,
        proposal.parent,
        proposal.group,
        _verdict(proposal),
        proposal.reward,
        proposal.advantage,
        proposal.tokens,
        str(proposal.finish),
        proposal.version,
        prompt_keys[proposal.prompt],
    )


def _student_row(
    number: int, rollout: RolloutRecord, prompt_keys: Mapping[str, str]
) -> tuple[object, ...]:
    return (
        number,
        rollout.id,
        rollout.step,
        str(rollout.purpose),
        str(rollout.role),
        str(rollout.kind),
        rollout.task_key,
        rollout.origin,
        rollout.group,
        str(rollout.outcome),
        rollout.reward,
        rollout.advantage,
        rollout.tokens,
        str(rollout.finish),
        rollout.version,
        prompt_keys[rollout.prompt],
    )


def _text_row(
    number: int, completion: ProposalRecord | RolloutRecord, keep_text: bool
) -> tuple[object, ...]:
    trace = completion.trace if keep_text else None
    return (
        number,
        pack_text(completion.completion) if keep_text else None,
        pack_text(completion.detail) if completion.detail else None,
        pack_trace(trace) if trace else None,
    )
