"""What readers get: summaries for lists and details for one thing. Plain frozen dataclasses."""

from dataclasses import dataclass, field

from gasp_rl.store.records import TokenTrace
from gasp_rl.types import Example, Metrics, PassRate


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """One committed step. `finished` is in seconds since the epoch, `attempt` counts restarts.

    times: seconds by phase and part, as `time/lemma/sampling`; empty in runs of schema 1.
    """

    step: int
    attempt: int
    finished: float
    seconds: float
    version: int
    metrics: Metrics
    times: Metrics = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSummary:
    """One proposal in a list: accepted (`verdict` is `accepted`) or the reason it fell.

    used:   attempts of the solver phase at tasks made from it, of every kind.
    recent: its last induction attempts (at most 16), None before the first.
    lifts:  accepted children, rejected: rejected children.
    """

    id: str
    step: int
    stage: str
    axis: str
    parent: str
    goalpost: str
    verdict: str
    pass_rate: PassRate | None
    reward: float
    advantage: float | None
    nearest: str | None
    similarity: float | None
    label: str
    used: int
    recent: PassRate | None
    lifts: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDetail:
    """One proposal with its texts and the completion that wrote it."""

    summary: NodeSummary
    program: str
    message: str
    shown: tuple[Example, ...]
    hidden: tuple[Example, ...]
    detail: str
    prompt: str
    completion: str
    tokens: int
    finish: str
    task_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUse:
    """Solver-phase attempts at one node in one step and of one kind."""

    step: int
    kind: str
    rate: PassRate


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """Proposals of one stage and axis with one verdict; the counts sum to all proposals."""

    stage: str
    axis: str
    verdict: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSummary:
    """One completion in a list. `verdict` is the outcome, or for proposals what became of them."""

    id: str
    step: int
    purpose: str
    role: str
    kind: str
    origin: str
    group: str
    task_key: str | None
    verdict: str
    reward: float | None
    advantage: float | None
    tokens: int
    finish: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDetail:
    """One completion with its texts. `task` is None when the task was not stored."""

    summary: RolloutSummary
    prompt: str
    completion: str
    detail: str
    task: "TaskDetail | None"
    trace: TokenTrace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetail:
    """A task as it was asked."""

    key: str
    kind: str
    program: str
    message: str
    shown: tuple[Example, ...]
    hidden: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFilter:
    """Which rollouts to list; None means any. Steps and rewards are inclusive."""

    purpose: str | None = None
    role: str | None = None
    kind: str | None = None
    verdict: str | None = None
    origin: str | None = None
    group: str | None = None
    first_step: int | None = None
    last_step: int | None = None
    min_reward: float | None = None
    max_reward: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalFilter:
    """Which proposals to list; None means any."""

    stage: str | None = None
    axis: str | None = None
    verdict: str | None = None
    goalpost: str | None = None
    parent: str | None = None
    first_step: int | None = None
    last_step: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalpostSummary:
    """One goalpost on the board: what was built towards it and what became of attempts at it.

    is_goalpost: False for other roots of trees: AZR's seed, questions in a goalpost's place.
    base and trained: all samples of untrained (step 0) and of trained policies at it.
    evaluated: evaluations of trained policies; solved: those among them with a right sample.
    lasting:   solved more than once, and at every evaluation since the first time.
    """

    id: str
    source: str
    is_goalpost: bool
    label: str
    lemmas: int
    lifts: int
    rejected: int
    base: PassRate | None
    trained: PassRate | None
    evaluated: int
    solved: int
    first_solved: int | None
    lasting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalpostDetail:
    """One goalpost with its statement."""

    summary: GoalpostSummary
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Pass rate of a node when it was accepted and over later induction attempts: luck shows."""

    id: str
    stage: str
    probed: PassRate
    later: PassRate
