"""Judging answers in the sandbox, each distinct (job) once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gasp_rl.sandbox import Job, Result
from gasp_rl.stopwatch import Stopwatch
from gasp_rl.tasks.kinds import Induction, Task
from gasp_rl.tasks.question import Question
from gasp_rl.types import Outcome

REMEMBERED = 50_000
"""Verdicts kept: students repeat themselves, and a verdict does not change."""


class RunsJobs(Protocol):
    """The part of the sandbox that judging needs."""

    def map(self, jobs: Sequence[Job]) -> list[Result]: ...


@dataclass(frozen=True, slots=True)
class TimedJobs:
    """A sandbox whose time is noted as `judging`."""

    sandbox: RunsJobs
    watch: Stopwatch

    def map(self, jobs: Sequence[Job]) -> list[Result]:
        with self.watch.part("judging"):
            return self.sandbox.map(jobs)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one answer; `detail` is for people."""

    outcome: Outcome
    answer: str = ""
    detail: str = ""


class Judge:
    """Reads answers out of completions and has the sandbox judge them."""

    def __init__(self, sandbox: RunsJobs) -> None:
        self.sandbox = sandbox
        self._verdicts: OrderedDict[Job, Judgement] = OrderedDict()

    def judge(self, attempts: Sequence[tuple[Task | Question, str]]) -> list[Judgement]:
        """One judgement for each (task or real problem, completion), in order."""
        answers = [_parse(item, completion) for item, completion in attempts]
        return self.judge_jobs(
            [
                None if answer is None else (item.job(answer), answer)
                for (item, _), answer in zip(attempts, answers, strict=True)
            ]
        )

    def judge_jobs(self, jobs: Sequence[tuple[Job, str] | None]) -> list[Judgement]:
        """One judgement for each (job, answer); None stands for an answer that could not be read."""
        wanted = {pair[0]: pair[1] for pair in jobs if pair and pair[0] not in self._verdicts}
        fresh = dict(zip(wanted, self.sandbox.map(list(wanted)), strict=True)) if wanted else {}
        for job, result in fresh.items():
            outcome = Outcome.RIGHT if result.ok else Outcome.WRONG
            detail = "" if result.ok else f"{result.verdict}: {result.detail}".rstrip(": ")
            self._verdicts[job] = Judgement(outcome, wanted[job], detail)
        judged = [
            Judgement(Outcome.MALFORMED, "", "no answer could be read")
            if pair is None
            else self._verdicts[pair[0]]
            for pair in jobs
        ]
        while len(self._verdicts) > REMEMBERED:
            self._verdicts.popitem(last=False)
        return judged


def _parse(item: Task | Question, completion: str) -> str | None:
    """A real problem asks for a program, as induction does."""
    return Induction.parse(completion) if isinstance(item, Question) else item.parse(completion)
