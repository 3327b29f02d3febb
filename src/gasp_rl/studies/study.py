"""A study as its author wrote it: arms, seeds, one budget; and the plan of runs that follows."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from gasp_rl.config import BudgetConfig, Config, Section, load_config
from gasp_rl.errors import ConfigError, StoreError, reason_of

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Selection = Literal["pass@20", "pass@1", "last"]
"""Which checkpoint of a run is shown: the best on validation questions by this measure, or the last.
Each is shown at its best validation temperature. The test questions choose nothing."""


class Arm(Section):
    """One system of the study: a recipe and what differs from it."""

    name: Name
    """Names the arm's runs and its row in every table."""
    recipe: str
    """A shipped recipe, or a TOML file beside the study's."""
    overrides: tuple[str, ...] = ()
    """Settings as key.path=value, after those of the whole study."""
    train: bool = True
    """False measures the recipe's base as it is: the control."""


class Study(Section):
    """Arms side by side, each over the same seeds and with the same budget."""

    name: Name
    about: str = ""
    """What the study asks, in words; stands at the head of its report."""
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    """Training seeds; the base is sampled once for each, so that unions are of equal size."""
    overrides: tuple[str, ...] = ()
    """Settings of every arm, as key.path=value."""
    budget: BudgetConfig = BudgetConfig()
    """What each run may spend. At least one limit makes arms comparable."""
    base: str = ""
    """The arm that every other is compared with; none: the first that does not train."""
    main: str = ""
    """The arm that is compared with every other one as well; none leaves these out."""
    selections: tuple[Selection, ...] = Field(("pass@20", "last"), min_length=1)
    """Checkpoints to show; the first one is what differences and figures are about."""
    validation_samples: int = Field(20, ge=1)
    """Samples of each validation question for each checkpoint and temperature to choose from."""
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Column title to the labels (depths) of its questions; empty: one column for each label."""
    arms: tuple[Arm, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("arms and seeds must each be named once")
        for named in (self.base, self.main):
            if named and named not in names:
                raise ValueError(f"no arm is named {named!r} (arms: {', '.join(names)})")
        return self

    @property
    def base_arm(self) -> str | None:
        """Name of the control that others are compared with, None when there is none."""
        untrained = [arm.name for arm in self.arms if not arm.train]
        return self.base or (untrained[0] if untrained else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One arm at one seed, with its resolved settings."""

    arm: str
    seed: int
    train: bool
    config: Config

    @property
    def name(self) -> str:
        return f"{self.arm}-s{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study in its folder: `study.json` holds the study and every arm's resolved settings.

    runs: all seeds of the first seed's arms come before the second seed, so that a study that is
          stopped half-way has whole seeds.
    """

    study: Study
    runs: tuple[Run, ...]

    def run(self, name: str) -> Run:
        return next(run for run in self.runs if run.name == name)


def study_names() -> list[str]:
    """Names of the studies that ship in the package."""
    folder = resources.files("gasp_rl") / "studies"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_study(study: str | Path) -> tuple[Study, Path]:
    """A shipped study by name or a TOML file; with the folder that its recipes are relative to."""
    path = Path(study)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"{path}: no such study file")
        text, origin, folder = path.read_text(encoding="utf-8"), str(path), path.parent
    elif str(study) in study_names():
        shipped = resources.files("gasp_rl") / "studies" / f"{study}.toml"
        text, origin, folder = shipped.read_text(encoding="utf-8"), f"study {study}", Path()
    else:
        raise ConfigError(f"no study named {str(study)!r}; shipped: {', '.join(study_names())}")
    try:
        return parse_study(tomllib.loads(text), origin), folder
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None


def parse_study(tree: Mapping[str, Any], origin: str) -> Study:
    """Validate a study; the first problem becomes one sentence that names its origin."""
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "study"
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{origin}: {key}: {message}") from None


def make_plan(study: Study, folder: Path = Path()) -> Plan:
    """Resolve every arm's recipe. folder: where recipe files are looked for.

    Raises `ConfigError` for a budget among the overrides, which the study's own would replace.
    """
    configs = {}
    _refuse_budgets(study)
    for arm in study.arms:
        own_file = arm.recipe.endswith(".toml")
        recipe = str(folder / arm.recipe) if own_file else arm.recipe
        config = load_config(recipe, [*study.overrides, *arm.overrides])
        engine = config.engine.model_copy(update={"threads": config.engine.threads or 1})
        configs[arm.name] = config.model_copy(update={"budget": study.budget, "engine": engine})
    return _plan(study, configs)


def wanted_runs(plan: Plan, arms: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """The plan's runs of these arms and seeds; of all where none is named.

    Raises `ConfigError` for an arm or a seed that the study has not.
    """
    known = [arm.name for arm in plan.study.arms]
    for named, there in ((arms, known), (seeds, plan.study.seeds)):
        for one in named:
            if one not in there:
                raise ConfigError(
                    f"study {plan.study.name} has no {one}; it has {', '.join(map(str, there))}"
                )
    return [
        run
        for run in plan.runs
        if (not arms or run.arm in arms) and (not seeds or run.seed in seeds)
    ]


def write_plan(plan: Plan, folder: Path) -> None:
    """Write `study.json`. Refuses to give a run that has begun other settings than it began with."""
    from gasp_rl.store.folder import read_config

    for run in plan.runs:
        path = run_folder(folder, run)
        if (path / "run.db").is_file() and read_config(path) != run.config:
            raise ConfigError(
                f"{path}: was begun with other settings than the study now gives it; "
                "choose another --dir, or remove that run"
            )
    configs = {run.arm: run.config.model_dump(mode="json") for run in plan.runs}
    tree = {"study": plan.study.model_dump(mode="json"), "configs": configs}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "study.json.tmp"
    temporary.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / "study.json")


def read_plan(folder: Path) -> Plan:
    """The plan of a study's folder; raises `StoreError` when there is none."""
    path = folder / "study.json"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        configs = {arm: Config.model_validate(config) for arm, config in tree["configs"].items()}
        return _plan(Study.model_validate(tree["study"]), configs)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: no study here ({reason_of(error)})") from None


def with_main(plan: Plan, main: str) -> Plan:
    """The same plan, with differences taken from another arm. Raises `ConfigError` when it has no
    such arm."""
    names = [arm.name for arm in plan.study.arms]
    if main not in names:
        raise ConfigError(f"study {plan.study.name} has no {main}; it has {', '.join(names)}")
    return replace(plan, study=plan.study.model_copy(update={"main": main}))


def with_arms(plan: Plan, arms: Sequence[str]) -> Plan:
    """The same plan without its other arms; the main arm stays one. Raises `ConfigError` when it has
    no such arm."""
    names = [arm.name for arm in plan.study.arms]
    if wrong := [arm for arm in arms if arm not in names]:
        raise ConfigError(f"study {plan.study.name} has no {wrong[0]}; it has {', '.join(names)}")
    if plan.study.main and plan.study.main not in arms:
        raise ConfigError(
            f"differences are taken from {plan.study.main}, which is none of {', '.join(arms)}; add "
            "it, or name another one with --main"
        )
    kept = tuple(arm for arm in plan.study.arms if arm.name in arms)
    runs = tuple(run for run in plan.runs if run.arm in arms)
    return replace(plan, study=plan.study.model_copy(update={"arms": kept}), runs=runs)


def run_folder(folder: Path, run: Run) -> Path:
    """Where a run of the study lies."""
    return folder / "runs" / run.name


def _refuse_budgets(study: Study) -> None:
    """An arm with a budget of its own would be compared with others that cost more or less."""
    for override in (*study.overrides, *(o for arm in study.arms for o in arm.overrides)):
        key = override.partition("=")[0].strip()
        if key.partition(".")[0] == "budget":
            raise ConfigError(
                f"study {study.name}: {override}: every run has the study's one budget; write it "
                "into [budget]"
            )


def _plan(study: Study, configs: Mapping[str, Config]) -> Plan:
    runs = []
    for seed in study.seeds:
        for arm in study.arms:
            name = {"seed": seed, "name": f"{arm.name}-s{seed}"}
            config = configs[arm.name].model_copy(update=name)
            runs.append(Run(arm=arm.name, seed=seed, train=arm.train, config=config))
    return Plan(study=study, runs=tuple(runs))
