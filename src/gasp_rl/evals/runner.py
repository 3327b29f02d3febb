"""Evaluate a policy on benchmarks: sample what is missing, grade what is ungraded, report.

Everything goes through the samples file, so a run that was killed continues where it stood.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gasp_rl.errors import DataError, StoreError
from gasp_rl.evals.judge import Grading, judge
from gasp_rl.evals.passk import Estimate, mean_pass_at_k
from gasp_rl.evals.prompts import OwnPrompter, Prompter
from gasp_rl.evals.sampler import Ask, Sampler, Sampling
from gasp_rl.evals.samples import Graded, Sample, SampleStore
from gasp_rl.rng import seed_for
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks.question import Question

GRADE_CHUNK = 64
"""Samples graded in one go; their verdicts are committed together."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named list of questions. `described` says which: set, window, count; `left_out` counts the
    rows of the file that did not become questions, by reason.

    Example::

        Benchmark("lcb-v5", questions, "livecodebench release_v5, from 2024-08-01")
    """

    name: str
    questions: tuple[Question, ...]
    described: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)

    def gradable(self) -> tuple[Question, ...]:
        """Questions with tests. The others count in no pass@k, and the report says how many."""
        return tuple(question for question in self.questions if question.gradable)


@dataclass(frozen=True, slots=True)
class Progress:
    """What an evaluation has done so far, for whoever shows it."""

    benchmark: str
    graded: int
    solved: int
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Result of one benchmark. `estimates` maps k to pass@k with its interval over questions.

    questions: those with graded samples, which alone are counted.
    unsampled: questions with tests and without a sample (a file of completions may lack some).
    untested:  questions without tests.
    repeated: every question's samples are one and the same text although they were to be sampled:
              the server ignored the temperature, and pass@k beyond 1 means nothing.
    """

    benchmark: str
    described: str
    left_out: Mapping[str, int]
    questions: int
    unsampled: int
    untested: int
    samples: int
    truncated: int
    repeated: bool
    estimates: dict[int, Estimate]
    verdicts: dict[str, int]
    settings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        plain = asdict(self)
        estimates = plain.pop("estimates")
        return plain | {"pass_at_k": {str(k): estimate for k, estimate in estimates.items()}}


def settings_of(
    sampler: Sampler,
    prompter: Prompter | OwnPrompter,
    sampling: Sampling,
    grading: Grading,
    seed: int,
) -> dict[str, Any]:
    """What makes two evaluations comparable; the samples file refuses to mix two of these."""
    return {
        "model": sampler.name,
        "style": prompter.style.value,
        "prompts": prompter.version,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": seed,
        **grading.settings(),
    }


def evaluate(
    benchmark: Benchmark,
    n: int,
    sampler: Sampler,
    prompter: Prompter | OwnPrompter,
    sampling: Sampling,
    store: SampleStore,
    sandbox: Sandbox,
    *,
    grading: Grading | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Report:
    """`n` samples of every question, graded and stored; resumes whatever the store lacks."""
    grading = grading or Grading()
    questions = _gradable(benchmark)
    store.register(benchmark.name, questions)
    grade_stored(benchmark, store, sandbox, grading=grading)
    missing = store.missing(benchmark.name, questions, n)
    asks = [
        Ask(prompter.prompt(question), seed_for(seed, number, f"eval/{question.key}"))
        for question, number in ((questions[index], number) for index, number in missing)
    ]
    pending = 0
    tally = _tally(store, benchmark, n)
    on_progress(tally)
    for place, reply in sampler.sample(asks, sampling):
        index, number = missing[place]
        sample = Sample(
            benchmark=benchmark.name,
            question=questions[index].id,
            number=number,
            completion=reply.text,
            answer=prompter.answer(questions[index], reply.text),
            finish=reply.finish,
            tokens=reply.tokens,
        )
        store.add([sample])
        pending += 1
        if pending >= GRADE_CHUNK:
            grade_stored(benchmark, store, sandbox, grading=grading)
            pending = 0
            on_progress(_tally(store, benchmark, n))
    grade_stored(benchmark, store, sandbox, grading=grading)
    on_progress(_tally(store, benchmark, n))
    return report(benchmark, store)


def grade_stored(
    benchmark: Benchmark, store: SampleStore, sandbox: Sandbox, *, grading: Grading
) -> int:
    """Grade every stored sample that has no verdict; returns how many those were."""
    by_id = {question.id: question for question in benchmark.questions}
    graded = 0
    while samples := store.ungraded(benchmark.name, GRADE_CHUNK):
        strange = [s.question for s in samples if s.question not in by_id]
        if strange:
            raise DataError(f"{store.path}: samples of {strange[0]!r}, not in {benchmark.name}")
        answers = [(by_id[sample.question], sample.answer) for sample in samples]
        store.grade(samples, judge(sandbox, answers, grading))
        graded += len(samples)
    return graded


def rescore(
    benchmark: Benchmark, store: SampleStore, sandbox: Sandbox, *, grading: Grading | None = None
) -> Report:
    """Grade all stored samples of a benchmark again, with its tests as they are now.

    Under another rule than the file's, the verdicts of its other benchmarks are dropped as well:
    one file holds verdicts of one rule.
    """
    grading = grading or Grading()
    if not store.graded(benchmark.name):
        raise StoreError(
            f"{store.path} holds no samples of {benchmark.name}: nothing to grade again"
        )
    store.register(benchmark.name, benchmark.gradable(), regrade=True)
    store.forget_verdicts(benchmark.name, grading.settings())
    grade_stored(benchmark, store, sandbox, grading=grading)
    return report(benchmark, store)


def report(benchmark: Benchmark, store: SampleStore) -> Report:
    """Numbers from the store: pass@k for every usual k that all questions have samples for."""
    gradable, counts = benchmark.gradable(), store.counts(benchmark.name)
    chosen = [counts[q.id] for q in gradable if q.id in counts]
    fewest = min((rate.total for rate in chosen), default=0)
    ks = [k for k in (1, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= fewest]
    graded = store.graded(benchmark.name)
    return Report(
        benchmark=benchmark.name,
        described=benchmark.described,
        left_out=benchmark.left_out,
        questions=len(chosen),
        unsampled=len(gradable) - len(chosen),
        untested=len(benchmark.questions) - len(gradable),
        samples=sum(rate.total for rate in chosen),
        truncated=sum(item.sample.finish == "length" for item in graded),
        repeated=_all_repeat(graded) and store.settings().get("temperature") != 0,
        estimates={k: mean_pass_at_k(chosen, k) for k in ks},
        verdicts=store.verdicts(benchmark.name),
        settings=store.settings(),
    )


def _all_repeat(graded: Sequence[Graded]) -> bool:
    texts: dict[str, list[str]] = {}
    for item in graded:
        texts.setdefault(item.sample.question, []).append(item.sample.completion)
    several = [group for group in texts.values() if len(group) > 1]
    return bool(several) and all(len(set(group)) == 1 for group in several)


def _gradable(benchmark: Benchmark) -> tuple[Question, ...]:
    questions = benchmark.gradable()
    if not questions:
        raise DataError(
            f"{benchmark.name}: none of its {len(benchmark.questions)} questions has tests"
        )
    return questions


def _tally(store: SampleStore, benchmark: Benchmark, n: int) -> Progress:
    counts = store.counts(benchmark.name)
    graded = sum(rate.total for rate in counts.values())
    return Progress(
        benchmark.name,
        graded=graded,
        solved=sum(rate.correct for rate in counts.values()),
        wanted=n * len(benchmark.gradable()),
    )
