"""A policy at hand, measured: judged samples of questions, and its best temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

from gasp_rl.engines.protocol import SamplingParams
from gasp_rl.evals.passk import mean_pass_at_k
from gasp_rl.rng import seed_for
from gasp_rl.roles.student import Attempt, Student, pass_rate
from gasp_rl.tasks import Question
from gasp_rl.types import PassRate

CHUNK = 64
"""Questions sampled at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A student with the settings that it is measured under. Also a policy to mine with."""

    name: str
    student: Student
    temperature: float
    max_tokens: int

    def attempts(self, questions: Sequence[Question], n: int, seed: int) -> list[list[Attempt]]:
        """`n` judged samples of each question, in order."""
        groups: list[list[Attempt]] = []
        for start in range(0, len(questions), CHUNK):
            params = SamplingParams(
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                seed=seed_for(seed, start, f"{self.name}/{self.temperature}"),
            )
            groups += self.student.attempt(questions[start : start + CHUNK], n, params)
        return groups

    def attempt(self, questions: Sequence[Question], n: int, seed: int) -> list[list[bool]]:
        """Whether each sample was right: what mining asks for."""
        return [[a.right for a in group] for group in self.attempts(questions, n, seed)]

    def pass_rates(self, questions: Sequence[Question], n: int, seed: int) -> list[PassRate]:
        return [pass_rate(group) for group in self.attempts(questions, n, seed)]

    def at(self, temperature: float) -> "Policy":
        """The same policy at another temperature."""
        return Policy(
            name=self.name,
            student=self.student,
            temperature=temperature,
            max_tokens=self.max_tokens,
        )


def best_temperature(
    policy: Policy,
    temperatures: Sequence[float],
    validation: Sequence[Question],
    n: int,
    k: int,
    seed: int,
) -> Policy:
    """The policy at the temperature with the best validation pass@k; the first one on a tie."""
    if len(temperatures) == 1:
        return policy.at(temperatures[0])
    candidates = [policy.at(t) for t in temperatures]
    scores = [
        mean_pass_at_k(candidate.pass_rates(validation, n, seed), min(k, n)).value
        for candidate in candidates
    ]
    return candidates[scores.index(max(scores))]
