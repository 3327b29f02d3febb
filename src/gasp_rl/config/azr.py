"""Unguided self-play after Absolute Zero, with the switches of its public code."""

from typing import Literal

from pydantic import Field, model_validator

from gasp_rl.config.section import Section
from gasp_rl.config.selfplay import Kinds


class IntrinsicConfig(Section):
    """AZR's rewards for a proposal's own sake: coefficients of measures, all off in its runs."""

    complexity: float = Field(0.0, ge=0)
    """Branches of the program, of 15."""
    distance: float = Field(0.0, ge=0)
    """Distance of its syntax tree from those of the references."""
    halstead: float = Field(0.0, ge=0)
    """A mix of Halstead's effort and volume with branches."""
    output_surprise: float = Field(0.0, ge=0)
    """How rare the types of its outputs are among accepted tasks."""
    input_surprise: float = Field(0.0, ge=0)
    """The same of its inputs."""
    diversity: float = Field(0.0, ge=0)
    """Different outputs among an induction task's pairs."""
    largest: float = Field(0.5, gt=0)
    """A measure counts at most this much, before its coefficient (AZR: 0.5)."""
    combine: Literal["sum", "multiply", "sum-multiply", "multiply-sum"] = "sum"
    """How the terms join learnability r: r + sum, r * product, r * sum, r + product."""


class CompositeConfig(Section):
    """AZR's composite functions: proposals that must call earlier programs g_0, g_1, ..."""

    chance: float = Field(0.0, ge=0, le=1)
    """Chance that a proposal of a program must be composite (AZR's runs: 0)."""
    least: int = Field(1, ge=1)
    """Fewest helpers."""
    most: int = Field(2, ge=1)
    """Most helpers."""
    first_step: int = Field(1, ge=1)
    """First step with composite proposals."""

    @model_validator(mode="after")
    def _ordered(self) -> "CompositeConfig":
        if self.least > self.most:
            raise ValueError(f"composite: least {self.least} must not be above most {self.most}")
        return self


class AzrConfig(Section):
    """Absolute Zero (AZR, arXiv 2505.03335): unguided self-play."""

    compat: Literal["fixed", "azr-paper", "azr-master"] = "fixed"
    """`azr-paper` and `azr-master` do as two branches of AZR's public code do, defects included;
    `fixed` mends them. Ten switches differ: `curriculum/azr_compat.py`."""
    kinds: Kinds = ("deduction", "abduction", "induction")
    """Kinds of tasks that are proposed and solved."""
    prompts: int = Field(64, ge=1)
    """Proposer prompts of each kind in a step (AZR: 64), each sampled `teacher.proposals_per_prompt`
    times (AZR: once)."""
    tasks: int = Field(64, ge=1)
    """Solver tasks of each kind in a step (AZR: 64), each attempted `student.attempts` times."""
    references: int = Field(6, ge=0)
    """K earlier tasks of the same kind that a proposer prompt shows (AZR: 6); 0 is its ablation."""
    reference_weights: Literal["uniform", "age"] = "uniform"
    """How references are drawn: uniformly, or with weight step + 1, so that late ones prevail."""
    prompt_tokens: int = Field(5600, ge=1)
    """Longest proposer prompt; references are dropped until it fits."""
    seeds: int = Field(256, ge=0)
    """Programs, and again as many induction tasks, that the untrained policy writes before the first
    step, starting from the identity program (AZR: 256); 0 starts with that program alone."""
    mixing: Literal["max-new", "half-new", "uniform", "age"] = "max-new"
    """Which tasks the solver gets: new ones first and older ones to fill up; at most half new ones;
    any; any with weight step + 1."""
    window: int = Field(1, ge=0)
    """Tasks of this many earlier steps count as new (AZR: 1)."""
    admit: Literal["all", "non-one", "non-extremes"] = "all"
    """Valid tasks that enter the buffers: all, those not always solved, or those sometimes solved."""
    capacity: int = Field(16384, ge=1)
    """Tasks in the buffer of one kind (AZR: 16384)."""
    keep: Literal["newest", "oldest"] = "newest"
    """What a full buffer keeps. AZR's code keeps the oldest and drops what is new."""
    learnability: Literal["one-minus", "inverse"] = "one-minus"
    """Proposer reward of pass rate p: 1 - p, which is 0 at p = 0, or 1 - p there too."""
    train_proposer: bool = True
    """Learn from proposals (AZR's ablation without this trains the solver alone)."""
    solver_only_steps: int = Field(0, ge=0)
    """First steps without proposals: the solver trains on the seeds."""
    induction_estimate: Literal["binary", "accuracy", "any"] = "binary"
    """What an attempt at an induction task counts in its pass rate: 1 when every hidden pair is right,
    the share of right ones, or 1 when any is."""
    single_function: bool = False
    """Refuse programs with a second function, methods and nested ones included."""
    rename: Literal["none", "first", "last"] = "none"
    """Which function becomes f where the program has none of that name."""
    strip: tuple[Literal["comments", "prints", "globals"], ...] = ()
    """What is taken away from a proposed program."""
    refuse_input_in_code: bool = False
    """Refuse programs whose text holds the input that comes with them."""
    intrinsic: IntrinsicConfig = IntrinsicConfig()
    composite: CompositeConfig = CompositeConfig()
    equal_blocks: bool = True
    """Each pair of role and kind has the same weight in an update, as in AZR; otherwise each token."""
