"""What the runs of a study show, beside each other: counts, not conclusions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gasp_rl.errors import StoreError
from gasp_rl.evals.compare import group_title
from gasp_rl.evals.passk import pass_at_k
from gasp_rl.studies.measured import MeasuredRun, measured_file, read_measured
from gasp_rl.studies.schedule import state_of
from gasp_rl.studies.study import Plan, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Every measured run of a study, on one list of test questions and one of goalposts."""

    plan: Plan
    runs: tuple[MeasuredRun, ...]

    @property
    def arms(self) -> list[str]:
        """Arms with at least one measured run, in the study's order."""
        measured = {run.arm for run in self.runs}
        return [arm.name for arm in self.plan.study.arms if arm.name in measured]

    @property
    def labels(self) -> tuple[str, ...]:
        """Difficulty of each test question."""
        return self.runs[0].labels if self.runs else ()

    @property
    def tags(self) -> tuple[str, ...]:
        """What else tells the test questions apart."""
        return self.runs[0].tags if self.runs else ()

    @property
    def unvalidated(self) -> list[str]:
        """Arms with a run that had no validation questions to choose its checkpoint by."""
        return [arm for arm in self.arms if not all(run.validated for run in self.of(arm))]

    def of(self, arm: str) -> list[MeasuredRun]:
        return [run for run in self.runs if run.arm == arm]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Column titles to labels, as the study wants them or one for each label; none is empty."""
        each = dict.fromkeys(self.labels)
        wanted = self.plan.study.groups or {group_title(la, each): (la,) for la in each}
        return {title: labels for title, labels in wanted.items() if set(labels) & set(each)}

    def scores_SQ(
        self, arm: str, selection: Selection, labels: Sequence[str], k: int, tag: str | None = None
    ) -> np.ndarray:
        """pass@k [seeds of the arm, test questions with these labels and, if given, this tag]."""
        columns = [
            i
            for i, (label, own) in enumerate(zip(self.labels, self.tags, strict=True))
            if label in labels and tag in (None, own)
        ]
        counts = [run.of(selection) for run in self.of(arm)]
        return np.array(
            [[pass_at_k(c.samples, c.test[i], min(k, c.samples)) for i in columns] for c in counts]
        ).reshape(len(counts), len(columns))

    def solved_SH(self, arm: str, selection: Selection) -> np.ndarray:
        """1 where a fresh sample solved the goalpost [seeds of the arm, goalposts], else 0."""
        counts = [run.of(selection).goalposts for run in self.of(arm)]
        return (np.array(counts) > 0).astype(float).reshape(len(counts), -1)

    def samples(self) -> int:
        """Samples of each question and goalpost, the fewest of any run."""
        return min((counts.samples for run in self.runs for counts in run.counts), default=0)

    def ks(self) -> tuple[int, ...]:
        """The k of pass@k in tables: 1 and 20, or what the samples allow."""
        return tuple(sorted({1, min(20, self.samples())}))


def gather(plan: Plan, folder: Path) -> Results:
    """Read every run that is measured; the others are left out.

    Raises `StoreError` when two runs were measured on different questions or goalposts.
    """
    runs = tuple(
        read_measured(measured_file(folder, run))
        for run in plan.runs
        if state_of(plan, run, folder).stage == "done"
    )
    for run in runs[1:]:
        if (run.questions, run.goalposts) != (runs[0].questions, runs[0].goalposts):
            raise StoreError(
                f"{folder}: {run.arm}-s{run.seed} and {runs[0].arm}-s{runs[0].seed} were measured "
                "on different questions; measure them again with one version of the questions"
            )
    return Results(plan=plan, runs=runs)
