"""What a run needs around its learning: sandbox, evaluation, store, budget, plan."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from gasp_rl.config.section import Section


class SandboxConfig(Section):
    workers: int | None = Field(None, ge=1, le=1024)
    """Worker processes; none means one for each core this process may use."""
    cpu_seconds: float = Field(5.0, gt=0, le=86400)
    """CPU time that one program may use."""
    memory_mb: int = Field(1024, ge=64, le=1 << 24)
    """Address space of one program."""
    output_bytes: int = Field(1 << 20, ge=64, le=1 << 32)
    """Bytes that one program may hand back."""
    require: Literal["any", "namespaces", "all"] = "any"
    """Which layers must be on: `any` needs seccomp and rlimits; the others refuse to start with less."""
    unsafe: bool = False
    """Run even without seccomp. Stamped into every result."""
    pool: Literal["local", "ray"] = "local"
    """Where programs run: this machine, or every node of a Ray cluster (extra `ray`)."""
    address: str = "auto"
    """Of the Ray cluster: `auto` finds one that this machine is part of."""


class EvalConfig(Section):
    every: int = Field(0, ge=0)
    """Try goalposts and validation questions after each this many steps; 0: never."""
    goalpost_samples: int = Field(16, ge=1)
    """Samples of each goalpost in such a trial."""
    validation_samples: int = Field(4, ge=0)
    """Samples of each validation question in such a trial; 0 leaves validation out."""
    samples: int = Field(100, ge=1)
    """Samples of each question in the final evaluation (paper: 100)."""
    temperatures: tuple[float, ...] = Field((0.6, 1.0), min_length=1)
    """Candidates; each policy is shown at its best validation temperature."""


class StoreConfig(Section):
    dir: Path = Path("runs")
    """Folder that holds one folder for each run."""
    checkpoint_every: int = Field(50, ge=0)
    """Save weights and optimiser after each this many steps; 0: only at the end."""
    keep_last: int = Field(2, ge=1)
    """Checkpoints kept besides the best one (by validation pass@1, where trials measure it; a trial
    samples just before its step's update, so a checkpoint's score is that of one update earlier)."""
    keep_every: int = Field(0, ge=0)
    """Also keep the checkpoint of each step that this divides; 0: none."""
    keep_rollouts: bool = True
    """Keep every completion's text in the run's database."""
    trace_tokens: int = Field(100_000, ge=0)
    """Tokens of a step that keep their log-probabilities, so that the explorer can colour them: those
    of whole completions, trained ones first. About 7 bytes each; 0: none."""


class BudgetConfig(Section):
    """What a run may spend: it ends at `steps`, or with the step that spends the budget."""

    student_rollouts: int | None = Field(None, ge=1)
    """Completions of the student, probes included, evaluations not; none: no limit."""
    generated_tokens: int | None = Field(None, ge=1)
    """Tokens sampled by teacher and student, evaluations not; none: no limit."""
    hours: float | None = Field(None, gt=0)
    """Wall time of the steps, trials not counted; none: no limit. No seed decides where it ends."""


class PlanConfig(Section):
    """What `gasp plan` reckons with. A run does not read it."""

    device: str = ""
    """The device that a recipe is made for, for instance `h100-80gb`; empty: what this machine has."""
    devices: int = Field(1, ge=1)
    """How many of them share the work (`torchrun`)."""
    prompt_tokens: int = Field(1024, ge=1)
    """Assumed length of a prompt."""
    completion_share: float = Field(1.0, gt=0, le=1)
    """Assumed mean length of a completion, as a share of its max_tokens."""
