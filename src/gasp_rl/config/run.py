"""The configuration of a whole run: its sections, and what belongs to none of them."""

import re
from functools import reduce
from typing import Literal

from pydantic import Field, field_validator, model_validator

from gasp_rl.config.azr import AzrConfig
from gasp_rl.config.section import Section
from gasp_rl.config.selfplay import (
    AlignmentConfig,
    NoveltyConfig,
    ProbeConfig,
    RenewalConfig,
    RlvrConfig,
    StudentConfig,
    TeacherConfig,
)
from gasp_rl.config.surroundings import (
    BudgetConfig,
    EvalConfig,
    PlanConfig,
    SandboxConfig,
    StoreConfig,
)
from gasp_rl.config.training import (
    AdvantageConfig,
    DataConfig,
    EngineConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    TinkerConfig,
)

_GUIDED = (
    *("teacher.model", "teacher.lifts", "teacher.axis_check", "teacher.guide", "teacher.axes"),
    *("renewal.every", "alignment.measure", "alignment.weight"),
)
"""Switches of guided self-play that make another method of it. Sizes are not among them: a recipe of
another method may inherit those from its base."""


class Config(Section):
    """A whole run. Written, resolved, to `config.json` before anything else happens."""

    name: str = "gasp"
    """Names the run's folder."""
    method: Literal["gasp", "gasp+rlvr", "rlvr", "azr"] = "gasp"
    """Which algorithm runs."""
    seed: int = 0
    """Decides every draw of the run."""
    steps: int = Field(50, ge=1)
    """Global iterations (paper: about 50 with rejection sampling)."""
    stop_when_dead: int = Field(0, ge=0)
    """End the run when its last this many steps show that it learns nothing; 0: never."""
    hardware: str = ""
    """What the recipe was made for, in words."""
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Experiment trackers that also get the metrics; extras of the same names."""
    budget: BudgetConfig = BudgetConfig()
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    engine: EngineConfig = EngineConfig()
    tinker: TinkerConfig = TinkerConfig()
    optim: OptimConfig = OptimConfig()
    loss: LossConfig = LossConfig()
    probe: ProbeConfig = ProbeConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    novelty: NoveltyConfig = NoveltyConfig()
    renewal: RenewalConfig = RenewalConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    rlvr: RlvrConfig = RlvrConfig()
    azr: AzrConfig = AzrConfig()
    advantage: AdvantageConfig = AdvantageConfig()
    sandbox: SandboxConfig = SandboxConfig()
    eval: EvalConfig = EvalConfig()
    store: StoreConfig = StoreConfig()
    plan: PlanConfig = PlanConfig()

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError(
                "takes letters, digits, '.', '_' and '-', and begins with a letter or a digit"
            )
        return name

    @model_validator(mode="after")
    def _taken_by_the_method(self) -> "Config":
        """A switch that the method would ignore is refused: the run would not be what it says."""
        if self.method.startswith("gasp"):
            return self
        for key in _GUIDED:
            value, default = (_at(config, key) for config in (self, type(self).model_construct()))
            if value != default:
                raise ValueError(
                    f"{key}={value!r:.100} is for method=gasp and gasp+rlvr, and method="
                    f"{self.method} would ignore it; leave it out"
                )
        return self


def _at(config: Config, key: str) -> object:
    return reduce(getattr, key.split("."), config)
