"""Guided self-play: probes, bands, teacher, student, what joins them; the baseline on real questions."""

from typing import Literal

from pydantic import Field, model_validator

from gasp_rl.config.section import Section
from gasp_rl.config.training import SamplingConfig

Kinds = tuple[Literal["induction", "deduction", "abduction"], ...]


class ProbeConfig(Section):
    n: int = Field(10, ge=1)
    """Student attempts that estimate a proposal's pass rate (paper: N = 10)."""
    temperature: float = Field(1.0, gt=0)
    """The probes' own temperature: greedy probes would make every pass rate 0 or 1."""


class BandConfig(Section):
    low: float = Field(ge=0, le=1)
    """Smallest accepted pass rate."""
    high: float = Field(ge=0, le=1)
    """Largest accepted pass rate."""
    peak: float = Field(gt=0, lt=1)
    """a of R(p; a, b): the pass rate with reward 1."""
    sharpness: float = Field(gt=0)
    """b of R(p; a, b): how fast the reward falls away from the peak."""

    @model_validator(mode="after")
    def _ordered(self) -> "BandConfig":
        if not self.low <= self.peak <= self.high:
            raise ValueError(
                f"band: low {self.low}, peak {self.peak} and high {self.high} must be in this order"
            )
        return self


class TeacherConfig(Section):
    model: str | None = None
    """Model folder of a teacher with weights of its own; none: one policy plays both roles (paper).
    It is asked with the student's prompts."""
    goalposts_per_round: int = Field(8, ge=1)
    """Goalposts drawn for one lemma round; also the number of lemmas drawn for one lift round."""
    proposals_per_prompt: int = Field(8, ge=1)
    """Proposals sampled for each teacher prompt."""
    min_accepted: int = Field(4, ge=0)
    """A phase repeats its round until this many proposals are accepted..."""
    max_attempts: int = Field(3, ge=1)
    """...or this many rounds were tried."""
    lifts: int = Field(1, ge=0)
    """Lifts above each lemma: 1 in the paper; 0 leaves the lemma phase alone (one-step ablations);
    more make a ladder: a mastered lift is where the next one starts."""
    mastery: float = Field(0.5, gt=0, le=1)
    """Pass rate of fresh probes (`probe.n`) at which a lift counts as mastered."""
    axis_check: Literal["off", "log", "punish"] = "off"
    """What happens to the reward of a lift that changed the program although the I/O axis was asked:
    the share of such lifts is logged, or each also gets `reward_outside`."""
    guide: str = "goalposts"
    """Which questions lemmas are asked for: `goalposts`, or, as controls without guidance, random
    questions of `pool` (that of `data.pool`) or of any other question set by its name."""
    axes: tuple[Literal["io", "f"], ...] = ("io", "f")
    """Difficulty axes to draw from, uniformly (the ablation without the I/O axis leaves `f`)."""
    inputs: int = Field(5, ge=2)
    """Inputs that a proposal must bring (paper: 5)."""
    shown: int = Field(2, ge=1)
    """How many of them the student sees (paper: 2 shown, 3 held out)."""
    check_message: Literal["none", "controlled-english"] = "none"
    """Refuse a message that describes another program. Natural language cannot be checked so (and the
    paper does not); the miniature's controlled English can."""
    sampling: SamplingConfig = SamplingConfig()
    """How proposals are sampled."""
    lemma: BandConfig = BandConfig(low=0.3, high=0.7, peak=0.5, sharpness=5)
    """Band and reward of lemmas."""
    lift: BandConfig = BandConfig(low=0.1, high=0.5, peak=0.1, sharpness=1)
    """Band and reward of lifts."""
    reward_outside: float = -0.5
    """Reward of a well-formed proposal that was rejected."""
    reward_malformed: float = -1.0
    """Reward of a proposal that could not be parsed."""

    @model_validator(mode="after")
    def _some_hidden(self) -> "TeacherConfig":
        if self.shown >= self.inputs:
            raise ValueError(f"shown {self.shown} must be below inputs {self.inputs}")
        if not self.axes:
            raise ValueError("axes must name at least one of io, f")
        return self


class StudentConfig(Section):
    tasks: int = Field(64, ge=1)
    """Tasks in one solver phase (paper: batch 64)."""
    attempts: int = Field(1, ge=1)
    """Attempts at each task."""
    kinds: Kinds = Field(("induction", "deduction", "abduction"), min_length=1)
    """Kinds that an accepted program is turned into, drawn uniformly."""
    replay: bool = True
    """Fill the solver phase up with tasks of earlier steps when this step brought too few."""
    learn_from_probes: Literal["none", "accepted", "valid"] = "none"
    """Also train on probes, which the paper throws away: on those of accepted proposals, or of all
    that ran."""
    sampling: SamplingConfig = SamplingConfig()
    """How attempts are sampled."""
    reward_right: float = 1.0
    """Reward of a right answer."""
    reward_wrong: float = -0.5
    """Reward of a well-formed wrong answer (AZR: -0.5)."""
    reward_malformed: float = -1.0
    """Reward of an answer that could not be parsed (AZR: -1)."""


class NoveltyConfig(Section):
    enabled: bool = True
    """Reject proposals that are too similar to an accepted one."""
    embedder: str = "hash"
    """`hash` (offline), `policy` (initial weights), or `encoder:PATH` (a Hugging Face encoder)."""
    threshold: float = Field(0.95, gt=0, le=1)
    """Largest allowed cosine similarity (paper: 0.95)."""


class RenewalConfig(Section):
    """Goalposts that retire once they are solved, and make room for others."""

    every: int = Field(0, ge=0)
    """Sample goalposts afresh at each this many steps and renew them; 0: never."""
    active: int = Field(64, ge=1)
    """Goalposts in play at once; the others wait in their file's order."""
    samples: int = Field(16, ge=1)
    """Fresh samples of each goalpost."""
    retire: int = Field(4, ge=1)
    """Right samples with which a goalpost passes a test."""
    tests: int = Field(2, ge=1)
    """Tests that it must pass in a row to retire: it is then a question that the student trains on."""
    back: int = Field(0, ge=0)
    """A retired question with at most this many right samples becomes a goalpost again."""
    tasks: int = Field(4, ge=0)
    """Retired questions in one solver phase."""

    @model_validator(mode="after")
    def _ordered(self) -> "RenewalConfig":
        if not self.back < self.retire <= self.samples:
            raise ValueError(
                f"renewal: back {self.back}, retire {self.retire} and samples {self.samples} must "
                "rise: back < retire <= samples"
            )
        return self


class AlignmentConfig(Section):
    """Rewards that count how much a proposal helps its goalpost."""

    measure: Literal["none", "words", "operators", "embedding", "likelihood", "judge"] = "none"
    """`words` of the statement in the message; `operators` of the goalpost's reference solution (an
    oracle); `embedding`, by `novelty.embedder`; `likelihood` that a self-found solution gains;
    `judge`, a language model."""
    judge_url: str = ""
    """The judge's OpenAI-compatible endpoint, up to and with /v1; its key is OPENAI_API_KEY."""
    judge_model: str = ""
    """The endpoint's name of the judge's model."""
    weight: float = Field(1.0, ge=0, le=1)
    """An accepted proposal's reward is multiplied by 1 - weight + weight * score."""
    reference: bool = False
    """With `likelihood`: where the policy never solved a goalpost, take the reference solution (an
    oracle, as `operators` is)."""

    @model_validator(mode="after")
    def _used(self) -> "AlignmentConfig":
        if self.reference and self.measure != "likelihood":
            raise ValueError(
                f"alignment: reference is for measure likelihood, and measure is {self.measure}"
            )
        return self

    @model_validator(mode="after")
    def _judge_named(self) -> "AlignmentConfig":
        if self.measure == "judge" and not (self.judge_url and self.judge_model):
            raise ValueError("alignment: measure judge needs judge_url and judge_model")
        return self


class RlvrConfig(Section):
    questions: int = Field(64, ge=1)
    """Real questions in one step (paper: batch 64)."""
    attempts: int = Field(8, ge=2)
    """Attempts at each question: the group of GRPO (paper: n = 8)."""
