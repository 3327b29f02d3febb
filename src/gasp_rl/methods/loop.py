"""The training loop: step, trial, commit, checkpoint. Resuming is replaying from a checkpoint."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.curriculum.lineage import Node
from gasp_rl.engines.protocol import Engine
from gasp_rl.evals.policy import Policy
from gasp_rl.methods.budget import spent_by
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.session import Session, open_session
from gasp_rl.rng import seed_for
from gasp_rl.store.progress import Progress, Silent
from gasp_rl.store.records import EvalRecord, GoalpostAttempt, GoalpostRecord, StepRecord
from gasp_rl.store.run import RunStore
from gasp_rl.tasks import Induction, Question
from gasp_rl.types import Axis, PassRate, Stage

KEEP_LAST = 2
"""Checkpoints kept beside every `store.checkpoint_every`-th and the best one."""


def train(
    config: Config,
    dir: Path | None = None,
    recipe: str = "",
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Path:
    """Run a configuration from its start; returns the run's folder.

    engine: takes the place of the one that `config.engine` names.
    """
    with open_session(config, engine) as session, RunStore.create(config, dir, recipe) as store:
        store.add_goalposts(
            GoalpostRecord(id=g.id, source=g.source, question=g.statement)
            for g in (*session.goalposts, *session.guides)
        )
        _run(store, session, 0, progress or Silent())
        return store.path


def resume(path: Path, progress: Progress | None = None, engine: Engine | None = None) -> Path:
    """Continue a run from its last checkpoint, to the same end as if it had not stopped."""
    config = Config.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
    with RunStore.open(path) as store, open_session(config, engine) as session:
        done = 0
        if points := store.resume_points():
            done = points[0].step
            session.engine.load(points[0].checkpoint)
        store.rollback_to(done)
        _restore(session, store)
        _run(store, session, done, progress or Silent())
    return path


def _run(store: RunStore, session: Session, done: int, progress: Progress) -> None:
    config = session.config
    store.add_goalposts(goalpost_records(session))
    spent = spent_by(store.reader)
    progress.start_run(config.name, config.steps, done)
    reached = {a.goalpost for a in store.reader.goalpost_attempts() if a.correct}
    try:
        for step in range(done + 1, config.steps + 1):
            if spent.exhausts(config.budget):
                break
            journal = Journal(step, progress)
            if config.eval.every and step % config.eval.every == 0:
                _trial(session, step, journal, reached)
            record = _with_state(session.method.step(step, journal), session)
            record = _counted(record, session, reached)
            store.commit_step(record)
            times = journal.times()
            progress.step_committed(step, record.seconds, {**record.metrics, **times})
            spent = spent.after(record.seconds, record.metrics)
            if _is_checkpoint(step, config) or spent.exhausts(config.budget):
                store.save_checkpoint(step, session.engine.save)
                store.prune(keep_last=KEEP_LAST, every=config.store.checkpoint_every)
        store.note("finished", "yes")
    finally:
        progress.close()


def goalpost_records(session: Session) -> list[GoalpostRecord]:
    """The session's goalposts as the store keeps them."""
    return [
        GoalpostRecord(id=g.id, source=g.source, question=g.statement) for g in session.goalposts
    ]


def _is_checkpoint(step: int, config: Config) -> bool:
    every = config.store.checkpoint_every
    return step == config.steps or bool(every and step % every == 0)


def _with_state(record: StepRecord, session: Session) -> StepRecord:
    """What resuming needs besides the weights: the accepted tasks are in the store already."""
    state = {"nodes": len(session.buffers.nodes), "version": session.engine.version}
    return replace(record, state=json.dumps(state).encode())


def _counted(record: StepRecord, session: Session, reached: set[str]) -> StepRecord:
    metrics = {
        **record.metrics,
        "curriculum/nodes": float(len(session.buffers.nodes)),
        "curriculum/goalposts_reached": float(len(reached)),
    }
    return replace(record, metrics=metrics)


def _trial(session: Session, step: int, journal: Journal, reached: set[str]) -> None:
    """Sample every goalpost and the validation split; nothing of it is trained on."""
    config = session.config
    policy = Policy(
        name="trial",
        student=session.student,
        temperature=config.student.sampling.temperature,
        max_tokens=config.student.sampling.max_tokens,
    )
    with journal.phase("eval"):
        seed = seed_for(config.seed, step, "trial")
        n = config.eval.goalpost_samples
        groups = policy.attempts(session.goalposts, n, seed)
        for goalpost, group in zip(session.goalposts, groups, strict=True):
            right = [a for a in group if a.right]
            if right:
                reached.add(goalpost.id)
            journal.goalpost_attempts.append(
                GoalpostAttempt(
                    step=step,
                    goalpost=goalpost.id,
                    policy="trained",
                    correct=len(right),
                    total=n,
                    temperature=policy.temperature,
                    solution=right[0].text if right else None,
                )
            )
        if session.validation and config.eval.validation_samples:
            rates = policy.pass_rates(session.validation, config.eval.validation_samples, seed)
            journal.evals += _eval_records(session.validation, rates, step, policy.temperature)
            mean = sum(r.value for r in rates) / len(rates)
            journal.metrics["eval/validation/pass@1"] = mean


def _eval_records(
    questions: Sequence[Question], rates: Sequence[PassRate], step: int, temperature: float
) -> list[EvalRecord]:
    return [
        EvalRecord(
            benchmark="validation",
            policy="trained",
            step=step,
            question=question.id,
            correct=rate.correct,
            total=rate.total,
            temperature=temperature,
            label=question.difficulty,
            pass_at={1: rate.value},
        )
        for question, rate in zip(questions, rates, strict=True)
    ]


def _restore(session: Session, store: RunStore) -> None:
    """Fill the buffers from the accepted proposals that the store holds, in their order."""
    index = session.buffers.index
    for record in store.reader.accepted():
        task = Induction(record.program, record.message, record.shown, record.hidden)
        summary = record.summary
        assert summary.pass_rate is not None
        node = Node(
            id=summary.id,
            stage=Stage(summary.stage),
            axis=Axis(summary.axis),
            parent=summary.parent,
            goalpost=summary.goalpost,
            task=task,
            pass_rate=summary.pass_rate,
        )
        session.buffers.add(node, index.vectors([(task.message, task.program)])[0])
