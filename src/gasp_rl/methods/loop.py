"""The training loop: step, trial, commit, checkpoint. Resuming is replaying from a checkpoint."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from gasp_rl.config import Config, override_config
from gasp_rl.curriculum.lineage import Node
from gasp_rl.engines.pieces import Pieces
from gasp_rl.engines.protocol import Engine, MeasuresMemory
from gasp_rl.errors import ConfigError, StoreError
from gasp_rl.evals.policy import Policy
from gasp_rl.methods.budget import spent_by
from gasp_rl.methods.gasp import Gasp
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.session import Session, open_session
from gasp_rl.methods.stopping import Stopping, dead, listening
from gasp_rl.miniature import assets
from gasp_rl.planning.plan import beside_plan
from gasp_rl.rng import seed_for
from gasp_rl.roles.prompts import copy_own_prompts
from gasp_rl.store.checkpoints import verify_checkpoint
from gasp_rl.store.folder import new_run_path, read_config, require_free, write_config
from gasp_rl.store.progress import Progress, Silent
from gasp_rl.store.records import (
    GUIDE,
    SEED,
    TRAINED,
    EvalRecord,
    GoalpostAttempt,
    GoalpostRecord,
    StepRecord,
)
from gasp_rl.store.run import ResumePoint, RunStore
from gasp_rl.store.trackers import Tracked
from gasp_rl.tasks import Induction, Question
from gasp_rl.types import Axis, Metrics, PassRate, Stage

MAY_CHANGE = {"steps", "stop_when_dead"}
"""Settings that resuming may change: they decide when a run ends, not what its steps do."""

WARM = 3
"""Step after which memory has been held that a run holds; it is then compared with the plan."""

VALIDATION = "eval/validation/pass@1"

Opener = Callable[[Config, Engine | None], AbstractContextManager[Session]]
"""`open_session`, or what wraps it to exchange a part: another method, other rewards."""


def train(
    config: Config,
    dir: Path | None = None,
    recipe: str = "",
    progress: Progress | None = None,
    engine: Engine | None = None,
    opener: Opener = open_session,
) -> Path:
    """Run a configuration from its start; returns the run's folder.

    engine: takes the place of the one that `config.engine` names. opener: makes the run's parts.
    Raises `RunStopped` when it was asked to end early; `resume` then continues it.
    """
    require_free(dir or new_run_path(config))
    with opener(config, engine) as session, RunStore.create(config, dir, recipe) as store:
        with listening(store.path) as stopping:
            _run(store, session, 0, progress or Silent(), stopping)
        return store.path


def resume(
    path: Path,
    progress: Progress | None = None,
    engine: Engine | None = None,
    overrides: Sequence[str] = (),
    opener: Opener = open_session,
) -> Path:
    """Continue a run from its last sound checkpoint, to the same end as if it had not stopped.

    overrides: may change when the run ends; all else would make it another run (`fork_run`).
    engine, opener: those that the run began with.
    """
    progress = progress or Silent()
    config = _resumed_config(path, overrides)
    with RunStore.open(path) as store:
        if end := _reached_end(store, config):
            progress.say(end)
            return path
        with opener(config, engine) as session:
            _continue(store, session, progress)
    return path


def _continue(store: RunStore, session: Session, progress: Progress) -> None:
    config, path = session.config, store.path
    point = _load_last_sound(store, session, progress)
    done = point.step if point else 0
    if done > config.steps:
        raise ConfigError(f"{path}: is at step {done} already; steps={config.steps} is behind it")
    write_config(path, config)
    store.rollback_to(done)
    _restore(session, store)
    if point:
        _check_restored(store, session, point)
    with listening(path) as stopping:
        _run(store, session, done, progress, stopping)


def _run(
    store: RunStore, session: Session, done: int, progress: Progress, stopping: Stopping
) -> None:
    config = session.config
    store.require_space(_least_checkpoint_bytes(config))
    store.note("finished", "")
    store.note("stopped", "")
    store.add_goalposts(goalpost_records(session))
    spent = spent_by(store.reader)
    if config.track:
        progress = Tracked(progress, config.track, store.path, config, done)
    progress.start_run(config.name, config.steps, done)
    attempts = store.reader.goalpost_attempts()
    reached = {a.goalpost for a in attempts if a.correct and a.policy == TRAINED}
    watch, pieces = session.student.watch, Pieces(session.student.engine.tokenizer)
    traces = config.store.trace_tokens if config.store.keep_rollouts else 0
    try:
        for step in range(done + 1, config.steps + 1):
            if spent.exhausts(config.budget):
                break
            journal = Journal(step, progress, watch, pieces, traces)
            if config.eval.every and step % config.eval.every == 0:
                _trial(session, step, journal, reached)
            record = _with_state(session.method.step(step, journal), session)
            record = _counted(record, session, reached)
            store.commit_step(record)
            measured = record.times | _memory(session.engine)
            progress.step_committed(step, record.seconds, {**record.metrics, **measured})
            if step == WARM and (line := beside_plan(config, measured)):
                progress.say(line)
            spent = spent.after(record.seconds, record.metrics)
            early = stopping.asked(step, config.steps)
            early = early or dead(store.reader, step, config.steps, config.stop_when_dead)
            if early or _is_checkpoint(step, config) or spent.exhausts(config.budget):
                _save(store, session, record)
            if early:
                store.note("stopped", str(early))
                raise early
        store.note("finished", "yes")
    finally:
        progress.close()


def goalpost_records(session: Session) -> list[GoalpostRecord]:
    """The session's goalposts, and the questions in their place, as the store keeps them."""
    goalposts = {g.id for g in session.goalposts}
    guides = [g for g in session.guides if g.id not in goalposts]
    return [
        *(GoalpostRecord(g.id, g.source, g.statement) for g in session.goalposts),
        *(GoalpostRecord(g.id, SEED if g.source == SEED else GUIDE, g.statement) for g in guides),
    ]


def _least_checkpoint_bytes(config: Config) -> int:
    """Weights and AdamW's two moments, each at least as large as the weights of the model folder;
    of an adapter, or of its address on a server, too little to matter."""
    if config.engine.lora_rank or config.engine.name == "tinker":
        return 0
    folder = assets.model_folder(config.model.path)
    return 3 * sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _save(store: RunStore, session: Session, record: StepRecord) -> None:
    """A checkpoint of the step just committed; `best` is by the step's own trial, if it had one."""
    settings = session.config.store

    def save(folder: Path) -> None:
        session.engine.save(folder)
        copy_own_prompts(assets.model_folder(session.config.model.path), folder)

    store.save_checkpoint(record.step, save, record.metrics.get(VALIDATION))
    store.prune(keep_last=settings.keep_last, every=settings.keep_every)


def _resumed_config(path: Path, overrides: Sequence[str]) -> Config:
    changed = {o.partition("=")[0].strip() for o in overrides} - MAY_CHANGE
    if changed:
        raise ConfigError(
            f"{path}: resuming may change {' and '.join(sorted(MAY_CHANGE))} alone, not "
            f"{', '.join(sorted(changed))}; `gasp fork` makes a new run from this one"
        )
    return override_config(read_config(path), overrides, f"{path / 'config.json'}")


def _reached_end(store: RunStore, config: Config) -> str:
    """Why there is nothing left to do, known before a model is loaded; empty when there is.

    A last checkpoint that is damaged is something to do: its steps are run again.
    """
    done = store.reader.last_step()
    spent = spent_by(store.reader).exhausts(config.budget)
    if store.reader.info().get("finished") != "yes" or not (spent or done == config.steps):
        return ""
    newest = store.resume_points()[:1]
    try:
        if done > config.steps or [point.step for point in newest] != [done]:
            return ""
        verify_checkpoint(newest[0].checkpoint)
    except StoreError:
        return ""
    if spent:
        return f"{store.path}: its budget is spent, after step {done}; `gasp fork` with a larger one goes on"
    return f"{store.path}: all {done} steps are done; steps=N with a larger N goes on"


def _load_last_sound(store: RunStore, session: Session, progress: Progress) -> ResumePoint | None:
    """Load the last checkpoint whose files are as they were written; damaged ones are named.

    None when the run has no checkpoint yet: it then begins again. Raises `StoreError` when it has
    some and all are damaged, rather than throw away what its steps have learnt.
    """
    points = store.resume_points()
    for point in points:
        try:
            verify_checkpoint(point.checkpoint)
        except StoreError as error:
            store.log(f"damaged checkpoint: {error}")
            progress.say(f"{error}; trying the one before")
            continue
        session.engine.load(point.checkpoint)
        return point
    if points:
        raise StoreError(
            f"{store.checkpoints}: none of {len(points)} checkpoints is sound (log.txt says why); "
            "restore one from a copy, or remove the folder to begin again"
        )
    return None


def _check_restored(store: RunStore, session: Session, point: ResumePoint) -> None:
    """What came back must be what the step left: else someone else changed the run's files."""
    state, restored = json.loads(point.state), _state(session)
    if state != restored:
        raise StoreError(
            f"{store.path}: step {point.step} was committed with {state}, but its files give "
            f"{restored}; they were changed since"
        )


def _memory(engine: Engine) -> Metrics:
    return engine.memory_peak() if isinstance(engine, MeasuresMemory) else {}


def _is_checkpoint(step: int, config: Config) -> bool:
    every = config.store.checkpoint_every
    return step == config.steps or bool(every and step % every == 0)


def _with_state(record: StepRecord, session: Session) -> StepRecord:
    """What resuming needs besides the weights: the accepted tasks are in the store already."""
    return replace(record, state=json.dumps(_state(session)).encode())


def _state(session: Session) -> dict[str, int]:
    return {"nodes": len(session.buffers.nodes), "version": session.engine.version}


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
                    policy=TRAINED,
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
            journal.metrics[VALIDATION] = mean


def _eval_records(
    questions: Sequence[Question], rates: Sequence[PassRate], step: int, temperature: float
) -> list[EvalRecord]:
    return [
        EvalRecord(
            benchmark="validation",
            policy=TRAINED,
            step=step,
            question=question.id,
            correct=rate.correct,
            total=rate.total,
            temperature=temperature,
            label=question.difficulty,
            tags=question.tags,
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
        node = Node(
            id=summary.id,
            stage=Stage(summary.stage),
            axis=Axis(summary.axis),
            parent=summary.parent,
            goalpost=summary.goalpost,
            task=task,
            pass_rate=summary.pass_rate,
            step=summary.step,
        )
        session.buffers.add(node, index.vectors([(task.message, task.program)])[0])
    if isinstance(session.method, Gasp):
        session.method.fresh.recall(store.reader.goalpost_attempts())
