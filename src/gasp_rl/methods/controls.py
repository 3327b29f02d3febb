"""Did it help? The trained policy beside its controls, on questions that it never trained on.

The base is shown at its own best temperature, since training at a fixed one also sharpens, and
goalposts are tried afresh by the base too: chosen for their zeros, some would fall to luck alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.errors import DataError
from gasp_rl.evals.compare import GroupResult, by_label
from gasp_rl.evals.policy import Policy, best_temperature
from gasp_rl.methods.session import Session, open_session
from gasp_rl.rng import seed_for
from gasp_rl.roles.student import pass_rate
from gasp_rl.store.progress import Progress
from gasp_rl.store.records import EvalRecord, GoalpostAttempt
from gasp_rl.store.run import RunStore
from gasp_rl.tasks import Question
from gasp_rl.types import PassRate

KS = (1, 20)
VALIDATION_SAMPLES = 20
VALIDATION_QUESTIONS = 72
"""About as many, alike of every label, are enough to choose between a few temperatures; never used
for anything that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One policy's samples on the test questions and on the goalposts.

    solutions: the first right completion at each goalpost, None where there is none.
    """

    name: str
    temperature: float
    test: Sequence[PassRate]
    goalposts: Sequence[PassRate]
    solutions: Sequence[str | None] = ()

    @property
    def solved(self) -> PassRate:
        """Goalposts with at least one right sample, of all."""
        return PassRate(sum(r.correct > 0 for r in self.goalposts), len(self.goalposts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Trained policy against its base, with the samples behind it.

    labels, tags: of each test question: its difficulty, and what else tells questions apart. Without
                  `data.test` runs on questions of one's own have no test questions.
    validated:    whether there were validation questions to choose temperatures by.
    """

    base: Measured
    trained: Measured
    labels: Sequence[str]
    tags: Sequence[str]
    samples: int
    validated: bool = True

    def groups(self, k: int) -> list[GroupResult]:
        """pass@k by label."""
        return self._by_label(range(len(self.labels)), k)

    def tagged(self, k: int) -> dict[str, list[GroupResult]]:
        """pass@k by label for the questions of each tag; empty when there is nothing to tell apart."""
        tags = dict.fromkeys(self.tags)
        if len(tags) < 2:
            return {}
        places = range(len(self.tags))
        return {tag: self._by_label([i for i in places if self.tags[i] == tag], k) for tag in tags}

    def _by_label(self, places: Sequence[int], k: int) -> list[GroupResult]:
        labels = [self.labels[i] for i in places]
        base, trained = ([m.test[i] for i in places] for m in (self.base, self.trained))
        return by_label(labels, base, trained, min(k, self.samples))


def compare_with_base(path: Path, progress: Progress, samples: int | None = None) -> Comparison:
    """Measure a finished run's last checkpoint against its base; results go into its store.

    samples: for each test question and goalpost; none takes `eval.samples` of the run.
    """
    config = Config.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
    n = samples or config.eval.samples
    with RunStore.open(path) as store, open_session(config) as session:
        points = store.resume_points()
        if not points:
            raise DataError(f"{path}: no checkpoint to evaluate; train it first")
        base = _measure("base", session, n, progress)
        session.engine.load(points[0].checkpoint)
        trained = _measure("trained", session, n, progress)
        for measured, step in ((base, 0), (trained, points[0].step)):
            commit_measured(store, session, measured, step)
    return Comparison(
        base=base,
        trained=trained,
        labels=[q.difficulty for q in session.test],
        tags=[", ".join(q.tags) for q in session.test],
        samples=n,
        validated=bool(session.validation),
    )


def _measure(name: str, session: Session, n: int, progress: Progress) -> Measured:
    config = session.config
    policy = Policy(
        name=name,
        student=session.student,
        temperature=config.student.sampling.temperature,
        max_tokens=config.student.sampling.max_tokens,
    )
    seed = seed_for(config.seed, 0, "controls")
    validation = _some_of_each(session.validation, VALIDATION_QUESTIONS)
    if validation:
        progress.say(f"{name}: choosing the temperature on validation questions")
        policy = best_temperature(
            policy, config.eval.temperatures, validation, VALIDATION_SAMPLES, 20, seed
        )
    return measure_at(policy, session, n, progress)


def measure_at(policy: Policy, session: Session, n: int, progress: Progress) -> Measured:
    """Sample the session's test questions and goalposts at the policy's temperature."""
    seed = seed_for(session.config.seed, 0, "controls")
    name, temperature = policy.name, policy.temperature
    rates: list[PassRate] = []
    if session.test:
        count = len(session.test)
        progress.say(f"{name}: {n} samples of {count} test questions at {temperature}")
        rates = policy.pass_rates(session.test, n, seed)
    progress.say(f"{name}: {n} fresh samples of {len(session.goalposts)} goalposts")
    groups = policy.attempts(session.goalposts, n, seed_for(seed, 0, "goalposts"))
    return Measured(
        name=name,
        temperature=temperature,
        test=rates,
        goalposts=[pass_rate(group) for group in groups],
        solutions=[next((a.text for a in group if a.right), None) for group in groups],
    )


def _some_of_each(questions: Sequence[Question], count: int) -> list[Question]:
    """The first questions of every label, `count` of all labels together."""
    labels = dict.fromkeys(q.difficulty for q in questions)
    each = max(1, count // max(1, len(labels)))
    return [q for label in labels for q in [q for q in questions if q.difficulty == label][:each]]


def commit_measured(store: RunStore, session: Session, measured: Measured, step: int) -> None:
    """Keep the counts of every question and goalpost under the policy's name and its step."""
    evals = [
        EvalRecord(
            benchmark="test",
            policy=measured.name,
            step=step,
            question=question.id,
            correct=rate.correct,
            total=rate.total,
            temperature=measured.temperature,
            label=question.difficulty,
            tags=question.tags,
        )
        for question, rate in zip(session.test, measured.test, strict=True)
    ]
    attempts = [
        GoalpostAttempt(
            step=step,
            goalpost=goalpost.id,
            policy=f"{measured.name}-fresh",
            correct=rate.correct,
            total=rate.total,
            temperature=measured.temperature,
            solution=solution,
        )
        for goalpost, rate, solution in zip(
            session.goalposts, measured.goalposts, measured.solutions, strict=True
        )
    ]
    store.commit_evals(evals, attempts)
