"""A finished run measured: checkpoints and temperatures chosen on validation, shown on test.

Every count goes into the run's own store. What is there already is not sampled again, and each
piece has its own seed, so that measuring in two goes equals measuring in one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from gasp_rl.config import Config
from gasp_rl.evals.passk import pass_at_k
from gasp_rl.evals.policy import Policy
from gasp_rl.methods.controls import commit_measured, measure_at
from gasp_rl.methods.loop import goalpost_records
from gasp_rl.methods.session import Session, open_session
from gasp_rl.rng import seed_for
from gasp_rl.store.progress import Progress
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import EvalRecord
from gasp_rl.store.run import RunStore
from gasp_rl.studies.measured import MeasuredRun, Shown, collect, coverage
from gasp_rl.studies.study import Run, Selection, Study

CANDIDATE = "checkpoint"
"""Policy name of validation counts that a checkpoint is chosen by."""


def measure_run(path: Path, run: Run, study: Study, progress: Progress) -> MeasuredRun:
    """Choose checkpoints and temperatures on validation questions, then sample test and goalposts."""
    config = run.config
    with RunStore.open(path) as store, open_session(config) as session:
        store.add_goalposts(goalpost_records(session))
        weights = candidates(
            {point.step: point.checkpoint for point in store.resume_points()},
            config.store.checkpoint_every,
        )
        name = "trained" if weights else "base"
        for step in sorted(weights) or [0]:
            for temperature in config.eval.temperatures:
                candidate = Shown(step, temperature)
                _try_candidate(store, session, study, weights, candidate, progress)
        chosen = choose(store.reader, study.selections, max(weights, default=0), config)
        for shown in sorted(set(chosen.values())):
            if not _is_shown(store.reader, shown, name):
                _load(session, weights, shown.step)
                policy = _policy(session, name, shown.temperature)
                measured = measure_at(policy, session, config.eval.samples, progress)
                commit_measured(store, session, measured, shown.step)
        tags = {question.id: ", ".join(question.tags) for question in session.test}
        validated = bool(session.validation)
        return collect(store.reader, run, coverage(study, config), chosen, tags, validated)


def candidates(checkpoints: Mapping[int, Path], every: int) -> dict[int, Path]:
    """The checkpoints to choose from, by step: those that an unbroken run has kept too.

    A run that was asked to stop saved one more, which must not give it one more choice.
    """
    last = max(checkpoints, default=0)
    return {
        step: path
        for step, path in checkpoints.items()
        if step == last or (every and step % every == 0)
    }


def choose(
    reader: RunReader, selections: Sequence[Selection], last: int, config: Config
) -> dict[Selection, Shown]:
    """The checkpoint and temperature that each selection shows, by validation counts alone.

    Ties go to the later checkpoint and the lower temperature. Without validation questions every
    selection shows the last checkpoint at the first temperature of `eval.temperatures`.
    """
    counts: dict[Shown, list[EvalRecord]] = {}
    for row in reader.evals("validation"):
        if row.policy == CANDIDATE:
            counts.setdefault(Shown(row.step, row.temperature), []).append(row)
    chosen = {}
    for selection in selections:
        k = 1 if selection == "pass@1" else 20
        scores = {shown: _mean_pass(rows, k) for shown, rows in counts.items()}
        if selection == "last":
            scores = {shown: score for shown, score in scores.items() if shown.step == last}
        chosen[selection] = max(
            scores,
            key=lambda shown: (scores[shown], shown.step, -shown.temperature),
            default=Shown(last, config.eval.temperatures[0]),
        )
    return chosen


def _try_candidate(
    store: RunStore,
    session: Session,
    study: Study,
    weights: Mapping[int, Path],
    shown: Shown,
    progress: Progress,
) -> None:
    """Sample every validation question for one candidate, unless that was done with as many samples.

    Counts of another number of samples are replaced, since a question has one row for a candidate.
    """
    done = {
        row.question: row.total
        for row in store.reader.evals("validation")
        if Shown(row.step, row.temperature) == shown and row.policy == CANDIDATE
    }
    if all(done.get(question.id) == study.validation_samples for question in session.validation):
        return
    _load(session, weights, shown.step)
    progress.say(f"validation: step {shown.step} at temperature {shown.temperature}")
    policy = _policy(session, CANDIDATE, shown.temperature)
    seed = seed_for(session.config.seed, shown.step, "study/validation")
    rates = policy.pass_rates(session.validation, study.validation_samples, seed)
    store.commit_evals(
        [
            EvalRecord(
                benchmark="validation",
                policy=CANDIDATE,
                step=shown.step,
                question=question.id,
                correct=rate.correct,
                total=rate.total,
                temperature=shown.temperature,
                label=question.difficulty,
                tags=question.tags,
            )
            for question, rate in zip(session.validation, rates, strict=True)
        ]
    )


def _is_shown(reader: RunReader, shown: Shown, name: str) -> bool:
    """Both test and goalposts are committed together; goalposts are never empty."""
    return any(
        (a.step, a.temperature, a.policy) == (shown.step, shown.temperature, f"{name}-fresh")
        for a in reader.goalpost_attempts()
    )


def _load(session: Session, weights: Mapping[int, Path], step: int) -> None:
    if step:
        session.engine.load(weights[step])


def _policy(session: Session, name: str, temperature: float) -> Policy:
    return Policy(
        name=name,
        student=session.student,
        temperature=temperature,
        max_tokens=session.config.student.sampling.max_tokens,
    )


def _mean_pass(rows: Sequence[EvalRecord], k: int) -> float:
    return fmean(pass_at_k(row.total, row.correct, min(k, row.total)) for row in rows)
