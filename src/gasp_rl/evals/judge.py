"""Answers in, verdicts out: every solution runs in the sandbox and is compared outside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gasp_rl.errors import DataError
from gasp_rl.evals.oracles import output_matches
from gasp_rl.sandbox import Func, Job, Result, Sandbox, Stdio, Verdict
from gasp_rl.tasks.question import Match, Question

NO_ANSWER = "NO_ANSWER"
"""Verdict of a completion in which no answer was found; nothing runs."""

OUTPUT_BYTES = 64 << 20
"""What a sandbox for EvalPlus's inputs must let through: some outputs are lists of 10^6 items."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one answer fared. `verdict` is a sandbox verdict, or NO_ANSWER."""

    solved: bool
    verdict: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """How to judge; stamped into results, because numbers under two rules do not compare.

    stdin:       `real` gives a program a true stdin; `lcb_compat` repeats LiveCodeBench's checker
                 with its quirks, for numbers that are to stand beside published ones.
    cpu_seconds: limit of one program (of one test on stdin), unless the question's own is larger;
                 none takes the sandbox's.
    """

    stdin: Literal["real", "lcb_compat"] = "real"
    cpu_seconds: float | None = None

    def settings(self) -> dict[str, Any]:
        """The rule as settings of a samples file."""
        return {"stdin_grader": self.stdin, "cpu_seconds": self.cpu_seconds}


def judge(
    sandbox: Sandbox, answers: Sequence[tuple[Question, str]], grading: Grading | None = None
) -> list[Judgement]:
    """Judge answers, in order. Raises `DataError` for a question without tests."""
    grading = grading or Grading()
    judgements: list[Judgement | None] = [None] * len(answers)
    jobs: list[Job] = []
    places: list[int] = []
    for place, (question, answer) in enumerate(answers):
        if not answer.strip():
            _require_tests(question)
            judgements[place] = Judgement(False, NO_ANSWER)
        else:
            jobs.append(job_for(question, answer, grading))
            places.append(place)
    for place, result in zip(places, sandbox.map(jobs), strict=True):
        judgements[place] = settle(answers[place][0], result)
    return [judgement for judgement in judgements if judgement is not None]


def job_for(question: Question, answer: str, grading: Grading) -> Job:
    """The sandbox job for one answer under a grading rule."""
    limit = max(grading.cpu_seconds or 0.0, question.cpu_seconds or 0.0) or None
    if _settled_here(question):
        _require_tests(question)
        inputs = tuple(example.input for example in question.tests)
        return Func(answer, inputs, entry=question.entry, cpu_seconds=limit)
    job = replace(question.job(answer), cpu_seconds=limit)
    return replace(job, grader=grading.stdin) if isinstance(job, Stdio) else job


def settle(question: Question, result: Result) -> Judgement:
    """Turn what the sandbox reports into a judgement; outputs are compared here, outside it."""
    verdict, detail = result.verdict, result.detail
    if result.ok and _settled_here(question):
        pairs = zip(question.tests, result.outputs, strict=True)
        wrong = next((e for e, output in pairs if not output_matches(question, e, output)), None)
        if wrong is not None:
            verdict, detail = Verdict.WRONG_ANSWER, f"input {wrong.input[:200]}"
    return Judgement(verdict is Verdict.OK, verdict.value, detail)


def _settled_here(question: Question) -> bool:
    """Whether outputs are compared here rather than by the sandbox's bytes."""
    return question.match not in (Match.EXACT, Match.PRESENCE)


def _require_tests(question: Question) -> None:
    if not question.gradable:
        raise DataError(f"{question.source} question {question.id} has no tests: cannot be judged")
