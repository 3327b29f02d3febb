"""Goalposts that change: what is solved for good retires, and an unsolved question takes its place.

Solves come and go from checkpoint to checkpoint, so one good test retires nothing, and a retired
question that is forgotten comes back: between the two counts nothing changes (hysteresis).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gasp_rl.config import RenewalConfig
from gasp_rl.tasks import Question, TrainingQuestion
from gasp_rl.types import PassRate


@dataclass(slots=True)
class Renewal:
    """Which of the guides are goalposts now. Its whole state follows from the tests so far.

    active:  goalposts in play; all guides when renewal is off.
    reserve: questions that wait for a place.
    retired: solved ones, by now questions that the student may train on.
    """

    config: RenewalConfig
    guides: Sequence[Question]
    active: list[Question] = field(init=False)
    reserve: list[Question] = field(init=False)
    retired: list[TrainingQuestion] = field(init=False, default_factory=list)
    _passed: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        places = self.config.active if self.config.every else len(self.guides)
        self.active, self.reserve = list(self.guides[:places]), list(self.guides[places:])

    def tested(self) -> list[Question]:
        """What a test samples: goalposts in play, then retired ones."""
        return [*self.active, *(q.question for q in self.retired)]

    def observe(self, rates: Mapping[str, PassRate]) -> None:
        """Retire, take back and replace by one test's pass rates, by question id."""
        for question in self.active:
            passed = rates[question.id].correct >= self.config.retire
            self._passed[question.id] = self._passed[question.id] + 1 if passed else 0
        done = {q.id for q in self.active if self._passed[q.id] >= self.config.tests}
        back = [q for q in self.retired if rates[q.question.id].correct <= self.config.back]
        self.retired = [q for q in self.retired if q not in back]
        self.retired += [TrainingQuestion(q) for q in self.active if q.id in done]
        self.active = [q for q in self.active if q.id not in done]
        self.reserve = [q.question for q in back] + self.reserve
        for returned in back:
            self._passed[returned.question.id] = 0
        free = self.config.active - len(self.active)
        self.active, self.reserve = self.active + self.reserve[:free], self.reserve[free:]

    def replay(self, tests: Iterable[tuple[int, str, PassRate]]) -> None:
        """Observe earlier tests again, in the order of their steps: how a resumed run begins."""
        by_step: dict[int, dict[str, PassRate]] = {}
        for step, question, rate in tests:
            by_step.setdefault(step, {})[question] = rate
        for step in sorted(by_step):
            self.observe(by_step[step])
