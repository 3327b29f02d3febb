"""What a run remembers: the frozen records that the training loop commits. No torch, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gasp_rl.types import (
    Axis,
    Example,
    Finish,
    Metrics,
    Outcome,
    PassRate,
    Rejection,
    Role,
    Stage,
    TaskKey,
    TaskKind,
    Tokens,
)


class Purpose(StrEnum):
    """Why a completion was sampled."""

    PROPOSE = "propose"  # a teacher wrote a lemma or a lift; stored from its ProposalRecord
    PROBE = "probe"  # a student attempt that estimates a proposal's pass rate
    ATTEMPT = "attempt"  # a student attempt of the solver phase: it is trained on
    RLVR = "rlvr"  # an attempt at a real question by the RLVR method
    EVAL = "eval"  # a sample of an evaluation


def proposal_id(step: int, stage: Stage, index: int) -> str:
    """Id of the index-th proposal of a stage in a step: equal runs give equal ids.

    Example::

        proposal_id(12, Stage.LEMMA, 3)   # "12.lemma.3"
    """
    return f"{step}.{stage}.{index}"


def rollout_id(step: int, purpose: Purpose, index: int) -> str:
    """Id of the index-th rollout of a purpose in a step, for instance `12.probe.40`."""
    return f"{step}.{purpose}.{index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTrace:
    """Token-level data of one completion, for colouring tokens and for exact re-training.

    ends: for each token, the length in characters of the decoded text up to and including it.
    """

    ids: Tokens
    logprobs: tuple[float, ...]
    ends: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.logprobs) == len(self.ends):
            raise ValueError(
                f"trace with {len(self.ids)} ids, {len(self.logprobs)} log-probabilities and "
                f"{len(self.ends)} ends: all three must be equal"
            )


SEED, GUIDE = "seed", "guide"
"""Sources of what stands at the root of a tree and is no goalpost: the identity program that AZR
starts from, and a question drawn in a goalpost's place. No count of goalposts holds them."""

TRAINED = "trained"
"""Name of the policy in training, as the run's own trials sampled it, among those that were evaluated;
what measures a run afterwards gives its goalpost attempts other names."""


@dataclass(frozen=True, slots=True)
class GoalpostRecord:
    """A hard real question: where it comes from and its statement."""

    id: str
    source: str
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task that a student attempted. Content-addressed: equal keys are stored once."""

    key: TaskKey
    kind: TaskKind
    program: str
    message: str
    shown: tuple[Example, ...]
    hidden: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRecord:
    """One completion of the teacher and all that became of it, accepted or not.

    parent:     the goalpost's id for a lemma, the lemma's proposal id for a lift.
    goalpost:   the root of the lineage.
    program, message, shown, hidden: as far as they could be read; empty where they could not.
    rejection:  the first reason that fell; None means accepted. `detail` says more in words.
    pass_rate:  None when it was rejected before it was probed.
    nearest:    proposal id of the most similar accepted task, with its cosine similarity.
    group:      proposals sampled from one prompt share it.
    key:        key of the induction task, None when there is none.
    The store also keeps the completion as a teacher rollout with the same id.
    """

    id: str
    step: int
    stage: Stage
    axis: Axis
    parent: str
    goalpost: str
    prompt: str
    completion: str
    rejection: Rejection | None
    reward: float
    finish: Finish
    tokens: int
    program: str = ""
    message: str = ""
    shown: tuple[Example, ...] = ()
    hidden: tuple[Example, ...] = ()
    detail: str = ""
    pass_rate: PassRate | None = None
    advantage: float | None = None
    nearest: str | None = None
    similarity: float | None = None
    key: TaskKey | None = None
    group: str = ""
    version: int = 0
    trace: TokenTrace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """One completion of the student (teacher completions come from their ProposalRecord).

    origin: id of the proposal, or of the question, that the task was made from.
    group:  rollouts of one prompt share it.
    reward and advantage: None when the rollout is not trained on (probes, evaluations).
    """

    id: str
    step: int
    role: Role
    kind: TaskKind
    purpose: Purpose
    task_key: TaskKey
    group: str
    prompt: str
    completion: str
    outcome: Outcome
    tokens: int
    finish: Finish
    version: int
    origin: str = ""
    detail: str = ""
    reward: float | None = None
    advantage: float | None = None
    trace: TokenTrace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRecord:
    """How one policy did on one question of a benchmark.

    policy: whose weights, in words: `base`, `trained`, `base-fresh`.
    step:   the training step of those weights, 0 for the base.
    label:  the depth by which tables group questions.
    tags:   what else tells questions apart (`constants given`): tables can be split by them.
    pass_at: unbiased pass@k of this question, by k.
    """

    benchmark: str
    policy: str
    step: int
    question: str
    correct: int
    total: int
    temperature: float
    label: str = ""
    tags: tuple[str, ...] = ()
    pass_at: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalpostAttempt:
    """Samples of one policy at one goalpost; `solution` is the first right completion, if any."""

    step: int
    goalpost: str
    policy: str
    correct: int
    total: int
    temperature: float
    solution: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """Everything of one step, committed in one transaction or not at all.

    step:  counts from 1 without gaps.
    times: seconds by phase (`time/lemma`) and by part of a phase (`time/lemma/sampling`): kept apart
           from the metrics, which a seed decides.
    state: whatever the training loop needs, besides weights, to continue after this step.
    """

    step: int
    seconds: float
    version: int
    metrics: Metrics
    state: bytes
    times: Metrics = field(default_factory=dict)
    proposals: Sequence[ProposalRecord] = ()
    rollouts: Sequence[RolloutRecord] = ()
    tasks: Sequence[TaskRecord] = ()
    goalpost_attempts: Sequence[GoalpostAttempt] = ()
    evals: Sequence[EvalRecord] = ()
