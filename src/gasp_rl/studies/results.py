"""What the runs of a study show, gathered from their stores: counts, not conclusions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gasp_rl.evals.passk import pass_at_k
from gasp_rl.methods.budget import Spent
from gasp_rl.store.reader import RunReader
from gasp_rl.studies.measure import Shown
from gasp_rl.studies.schedule import state_of
from gasp_rl.studies.study import Plan, Run, Selection, run_folder
from gasp_rl.types import PassRate


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One measured run.

    chosen:    checkpoint and temperature of each selection.
    test:      counts of each shown policy on each test question, in one order for all runs.
    goalposts: counts of its fresh samples of each goalpost, in one order for all runs.
    reached:   goalposts with a right sample in any trial during training.
    """

    run: Run
    spent: Spent
    steps: int
    chosen: Mapping[Selection, Shown]
    test: Mapping[Shown, Sequence[PassRate]]
    goalposts: Mapping[Shown, Sequence[PassRate]]
    reached: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Every measured run of a study, on one list of test questions and one of goalposts."""

    plan: Plan
    runs: tuple[RunResult, ...]
    questions: tuple[str, ...]
    labels: tuple[str, ...]
    goalposts: tuple[str, ...]

    @property
    def arms(self) -> list[str]:
        """Arms with at least one measured run, in the study's order."""
        measured = {result.run.arm for result in self.runs}
        return [arm.name for arm in self.plan.study.arms if arm.name in measured]

    def of(self, arm: str) -> list[RunResult]:
        return [result for result in self.runs if result.run.arm == arm]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Column titles to labels, as the study wants them or one for each label; none is empty."""
        each = {label: (label,) for label in dict.fromkeys(self.labels)}
        wanted = self.plan.study.groups or each
        return {title: labels for title, labels in wanted.items() if set(labels) & set(each)}

    def scores_SQ(
        self, arm: str, selection: Selection, labels: Sequence[str], k: int
    ) -> np.ndarray:
        """pass@k [seeds of the arm, test questions with these labels]."""
        columns = [i for i, label in enumerate(self.labels) if label in labels]
        return np.array(
            [
                [
                    pass_at_k(rates[i].total, rates[i].correct, min(k, rates[i].total))
                    for i in columns
                ]
                for result in self.of(arm)
                for rates in [result.test[result.chosen[selection]]]
            ]
        ).reshape(len(self.of(arm)), len(columns))

    def solved_SH(self, arm: str, selection: Selection) -> np.ndarray:
        """1 where a fresh sample solved the goalpost [seeds of the arm, goalposts], else 0."""
        return np.array(
            [
                [float(rate.correct > 0) for rate in result.goalposts[result.chosen[selection]]]
                for result in self.of(arm)
            ]
        ).reshape(len(self.of(arm)), len(self.goalposts))

    def samples(self) -> int:
        """Samples of each question and goalpost, the fewest of any run."""
        return min((result.run.config.eval.samples for result in self.runs), default=0)

    def ks(self) -> tuple[int, ...]:
        """The k of pass@k in tables: 1 and 20, or what the samples allow."""
        return tuple(sorted({1, min(20, self.samples())}))


def gather(plan: Plan, folder: Path) -> Results:
    """Read every run that is trained and measured; the others are left out."""
    done = [run for run in plan.runs if state_of(plan, run, folder).stage == "done"]
    found: list[RunResult] = []
    questions: dict[str, str] = {}
    goalposts: list[str] = []
    for run in done:
        with RunReader.open(run_folder(folder, run)) as reader:
            if not found:
                questions = {row.question: row.label for row in reader.evals("test")}
                goalposts = reader.goalpost_ids()
                tried = {a.goalpost for a in reader.goalpost_attempts()}
                goalposts = [g for g in goalposts if g in tried]
            spent = state_of(plan, run, folder).spent
            found.append(_result(reader, run, spent, list(questions), goalposts))
    return Results(
        plan=plan,
        runs=tuple(found),
        questions=tuple(questions),
        labels=tuple(questions.values()),
        goalposts=tuple(goalposts),
    )


def _result(
    reader: RunReader, run: Run, spent: Spent, questions: Sequence[str], goalposts: Sequence[str]
) -> RunResult:
    test: dict[Shown, dict[str, PassRate]] = {}
    for row in reader.evals("test"):
        shown = Shown(row.step, row.temperature)
        test.setdefault(shown, {})[row.question] = PassRate(row.correct, row.total)
    fresh: dict[Shown, dict[str, PassRate]] = {}
    reached = set()
    for attempt in reader.goalpost_attempts():
        if attempt.policy.endswith("-fresh"):
            shown = Shown(attempt.step, attempt.temperature)
            rate = PassRate(attempt.correct, attempt.total)
            fresh.setdefault(shown, {})[attempt.goalpost] = rate
        elif attempt.correct:
            reached.add(attempt.goalpost)
    chosen = json.loads(reader.info()["chosen"])
    return RunResult(
        run=run,
        spent=spent,
        steps=reader.last_step(),
        chosen={name: Shown(c["step"], c["temperature"]) for name, c in chosen.items()},
        test={shown: [rates[q] for q in questions] for shown, rates in test.items()},
        goalposts={shown: [rates[g] for g in goalposts] for shown, rates in fresh.items()},
        reached=frozenset(reached),
    )
