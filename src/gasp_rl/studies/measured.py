"""A measured run as one small file: all that a study's tables and figures are made of.

Runs are large, cost minutes to hours and stay on the machine that made them. What they showed is
counts and curves, kept beside them in `measured/RUN.json`. A study's folder that holds only
`study.json` and these files still reports, and its runs count as done: so a study can be published,
continued on another machine, and its figures drawn again from what was published.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gasp_rl.config import Config
from gasp_rl.errors import ConfigError, StoreError
from gasp_rl.methods.budget import Spent, spent_by
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import TRAINED, EvalRecord, GoalpostAttempt
from gasp_rl.studies.series import RunSeries, read_series
from gasp_rl.studies.study import Plan, Run, Selection, Study


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """Weights after a step (0: the base), sampled at a temperature."""

    step: int
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Right samples of one shown policy, of `samples` for each test question and each goalpost."""

    shown: Shown
    samples: int
    test: tuple[int, ...]
    goalposts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """What a run showed.

    covers:    which selections and how many samples: a study that asks for others measures again.
    config:    the run's resolved settings.
    commit:    of the code that trained it, empty outside a checkout.
    steps:     committed steps, whose cost is `spent`; evaluations cost nothing.
    chosen:    checkpoint and temperature of each selection.
    questions: ids of the test questions; labels and tags: their difficulty, and what else tells
               them apart.
    goalposts: ids of the goalposts.
    counts:    of each shown policy, in the order of `questions` and `goalposts`.
    reached:   goalposts with a right sample in any trial during training.
    series:    curves over the run's cost.
    funnel:    proposals by stage and by what became of them; empty in files of older versions.
    validated: whether there were validation questions to choose by.
    """

    arm: str
    seed: int
    covers: str
    config: dict[str, Any]
    commit: str
    steps: int
    spent: Spent
    chosen: dict[Selection, Shown]
    questions: tuple[str, ...]
    labels: tuple[str, ...]
    tags: tuple[str, ...]
    goalposts: tuple[str, ...]
    counts: tuple[Counts, ...]
    reached: tuple[str, ...]
    series: RunSeries
    funnel: dict[str, dict[str, int]] = field(default_factory=dict)
    validated: bool = True

    def of(self, selection: Selection) -> Counts:
        """Counts of the policy that a selection shows."""
        return next(c for c in self.counts if c.shown == self.chosen[selection])


_VALIDATION = "; validation x {}"
_UNSAID = _VALIDATION.format(20)
"""Samples of a validation question in files of older versions, which do not say it: the default."""


def coverage(study: Study, config: Config) -> str:
    """What measuring a run of the study covers; a file that says the same is not made again."""
    selections = f"{','.join(study.selections)} x {config.eval.samples}"
    return selections + _VALIDATION.format(study.validation_samples)


_FILE = TypeAdapter(MeasuredRun)


def measured_file(folder: Path, run: Run) -> Path:
    """Where a measured run lies in its study's folder."""
    return folder / "measured" / f"{run.name}.json"


def read_done(plan: Plan, run: Run, folder: Path) -> MeasuredRun | None:
    """The run as it was measured, None while it is not, or not as the study now wants it.

    Raises `ConfigError` when it was measured with other settings than the study gives it.
    """
    path = measured_file(folder, run)
    if not path.is_file():
        return None
    measured = read_measured(path)
    if not _is_config(measured.config, run.config):
        raise ConfigError(
            f"{path}: was measured with other settings than the study now gives it; "
            "choose another --dir, or remove that file and its run"
        )
    covers = measured.covers if "; " in measured.covers else measured.covers + _UNSAID
    return measured if covers == coverage(plan.study, run.config) else None


def read_measured(path: Path) -> MeasuredRun:
    """Raises `StoreError` when the file is not one that `write_measured` wrote."""
    try:
        return _FILE.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(
            f"{path}: cannot be read ({reason:.160}); remove it and measure again"
        ) from None


def write_measured(path: Path, measured: MeasuredRun) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(_FILE.dump_json(measured) + b"\n")
    temporary.replace(path)


def collect(
    reader: RunReader,
    run: Run,
    covers: str,
    chosen: dict[Selection, Shown],
    tags: dict[str, str],
    validated: bool,
) -> MeasuredRun:
    """What the store of a run holds once it is measured. tags: of each test question, by id."""
    rows = [row for row in reader.evals("test") if _shown(row) in chosen.values()]
    labels = {row.question: row.label for row in rows}
    fresh = [a for a in reader.goalpost_attempts() if a.policy.endswith("-fresh")]
    tried = dict.fromkeys(a.goalpost for a in fresh)
    reached = {a.goalpost for a in reader.goalpost_attempts() if a.correct and a.policy == TRAINED}
    return MeasuredRun(
        arm=run.arm,
        seed=run.seed,
        covers=covers,
        config=run.config.model_dump(mode="json"),
        commit=reader.environment().get("git", {}).get("commit", ""),
        steps=reader.last_step(),
        spent=spent_by(reader),
        chosen=chosen,
        questions=tuple(labels),
        labels=tuple(labels.values()),
        tags=tuple(tags.get(question, "") for question in labels),
        goalposts=tuple(tried),
        counts=tuple(
            _counts(shown, rows, fresh, list(labels), list(tried))
            for shown in sorted(set(chosen.values()))
        ),
        reached=tuple(goalpost for goalpost in tried if goalpost in reached),
        series=read_series(reader, list(tried)),
        funnel=read_funnel(reader),
        validated=validated,
    )


def read_funnel(reader: RunReader) -> dict[str, dict[str, int]]:
    """Proposals of the whole run: stage to verdict to count."""
    funnel: dict[str, dict[str, int]] = {}
    for row in reader.funnel():
        of_stage = funnel.setdefault(row.stage, {})
        of_stage[row.verdict] = of_stage.get(row.verdict, 0) + row.count
    return funnel


def _is_config(written: dict[str, Any], config: Config) -> bool:
    """Whether settings written by this or an older version, which had fewer keys, are the same."""
    try:
        return Config.model_validate(written) == config
    except ValidationError:
        return False


def _counts(
    shown: Shown,
    rows: list[EvalRecord],
    fresh: list[GoalpostAttempt],
    questions: list[str],
    goalposts: list[str],
) -> Counts:
    test = {row.question: row for row in rows if _shown(row) == shown}
    tries = {a.goalpost: a for a in fresh if _shown(a) == shown}
    totals = [row.total for row in test.values()] + [a.total for a in tries.values()]
    return Counts(
        shown=shown,
        samples=min(totals),
        test=tuple(test[q].correct for q in questions),
        goalposts=tuple(tries[g].correct for g in goalposts),
    )


def _shown(row: EvalRecord | GoalpostAttempt) -> Shown:
    return Shown(row.step, row.temperature)
