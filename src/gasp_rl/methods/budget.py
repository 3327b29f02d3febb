"""What a run has spent, derived from its committed steps, so that resuming counts nothing twice."""

from dataclasses import dataclass

from gasp_rl.config import BudgetConfig
from gasp_rl.store.reader import RunReader
from gasp_rl.types import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Cost of the steps so far; evaluations and trials cost nothing.

    Example::

        Spent(student_rollouts=900).after(2.0, {"rollouts/student": 100.0}).student_rollouts  # 1000
    """

    student_rollouts: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    def after(self, seconds: float, metrics: Metrics) -> "Spent":
        """With one more step."""
        return Spent(
            student_rollouts=self.student_rollouts + int(metrics.get("rollouts/student", 0)),
            generated_tokens=self.generated_tokens + int(metrics.get("tokens/sampled", 0)),
            seconds=self.seconds + seconds,
        )

    def exhausts(self, budget: BudgetConfig) -> bool:
        """Whether any limit of the budget is reached."""
        limits = (
            (self.student_rollouts, budget.student_rollouts),
            (self.generated_tokens, budget.generated_tokens),
            (self.hours, budget.hours),
        )
        return any(limit is not None and spent >= limit for spent, limit in limits)


def spent_by(reader: RunReader) -> Spent:
    """What the committed steps of a run have cost."""
    spent = Spent()
    for step in reader.steps():
        spent = spent.after(step.seconds, step.metrics)
    return spent
