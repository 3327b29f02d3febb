"""Configuration: frozen models, TOML recipes, `key.path=value` overrides. Loads no torch.

Every field's docstring is its help text (`gasp config`). Unknown keys are errors that name the
nearest key. Derived numbers are computed, never set.
"""

import difflib
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gasp_rl.errors import ConfigError


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, field docstrings become help."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("contains a NUL character")
        return value


class ModelConfig(Section):
    path: str = "miniature"
    """A Hugging Face model folder, or `miniature` for the embedded base."""
    adapter: Path | None = None
    """A LoRA adapter to begin from, as a run with `engine.lora_rank` saves it; none begins at zero."""


class DataConfig(Section):
    goalposts: str = "miniature"
    """A goalposts file (`gasp goalposts mine` writes one), or the name of an embedded world."""
    pool: str = "miniature"
    """Real questions D for real-data methods and mining: a file, or the name of an embedded world."""
    limit: int | None = Field(None, ge=1)
    """Use at most this many goalposts (the first ones); none means all."""


class EngineConfig(Section):
    name: Literal["local", "scripted"] = "local"
    """What samples and trains. `scripted` exists for tests only."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the policy lives; `auto` takes a GPU when torch sees one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights and of the forward passes."""
    sample_rows: int = Field(1024, ge=1)
    """Rows decoded at once."""
    train_tokens: int = Field(8192, ge=16)
    """Tokens in one packed micro-batch."""
    threads: int | None = Field(None, ge=1)
    """Torch's CPU threads; none leaves torch's own choice."""
    sampler: Literal["native", "continuous", "vllm"] = "native"
    """The engine's own decode loop, transformers' continuous batching, or vLLM (an extra)."""
    gradient_checkpointing: bool = False
    """Compute each layer again in the backward pass: less memory, about a third more compute."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """`adamw-8bit` keeps its two moments in 8 bits (bitsandbytes, an extra)."""
    offload_optimizer: bool = False
    """Keep float32 weights and moments in CPU memory, and step there."""
    lora_rank: int = Field(0, ge=0)
    """Train LoRA adapters of this rank on all linear layers (arXiv 2106.09685); 0: all weights."""
    lora_alpha: int = Field(32, ge=1)
    """LoRA's output is scaled by lora_alpha / lora_rank."""


class OptimConfig(Section):
    lr: float = Field(1e-6, gt=0)
    """Learning rate (paper: 1e-6 for a 7B model)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    eps: float = Field(1e-8, gt=0)
    """AdamW's denominator offset."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients with a larger global norm are scaled down to it."""


class LossConfig(Section):
    name: Literal["policy-gradient", "ppo"] = "ppo"
    """`ppo` clips the ratio of policy to sampler; `policy-gradient` weights by it, unclipped."""
    clip_low: float = Field(0.2, ge=0, le=1)
    """Ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.28, ge=0)
    """Ratios above 1 + clip_high are clipped (clip-higher, DAPO, arXiv 2503.14476)."""
    dual_clip: float | None = Field(3.0, gt=1)
    """Bounds the loss of a negative advantage by this multiple of it (arXiv 1912.09729); none: off."""
    tis_cap: float | None = Field(None, gt=0)
    """Truncated importance sampling: trainer-to-sampler weight, capped here; none switches it off."""
    kl_coef: float = Field(0.0, ge=0)
    """Weight of the KL estimate to the reference weights (k3, http://joschu.net/blog/kl-approx.html)."""
    entropy_coef: float = Field(0.0, ge=0)
    """Weight of the entropy bonus."""
    reduction: Literal["token-mean", "sequence-mean"] = "token-mean"
    """Mean over all completion tokens of the batch, or mean over rows of each row's token mean."""


class SamplingConfig(Section):
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature (paper: 1.0 in training, 0.6 in evaluation)."""
    max_tokens: int = Field(2048, ge=1)
    """Longest completion."""


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
    guide: Literal["goalposts", "pool"] = "goalposts"
    """Which questions lemmas are asked for: goalposts, or, as the control without guidance, random
    questions of `data.pool`."""
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
    kinds: tuple[Literal["induction", "deduction", "abduction"], ...] = Field(
        ("induction", "deduction", "abduction"), min_length=1
    )
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


Kinds = tuple[Literal["induction", "deduction", "abduction"], ...]


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


class AdvantageConfig(Section):
    weighting: Literal["token", "plain"] = "token"
    """TRR++ statistics over tokens, as AZR's code has them, or over rollouts, as its paper writes."""


class SandboxConfig(Section):
    workers: int | None = Field(None, ge=1)
    """Worker processes; none means one for each core this process may use."""
    cpu_seconds: float = Field(5.0, gt=0)
    """CPU time that one program may use."""
    memory_mb: int = Field(1024, ge=64)
    """Address space of one program."""
    output_bytes: int = Field(1 << 20, ge=64)
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
    """Checkpoints kept besides the best one (by validation pass@1, where trials measure it)."""
    keep_every: int = Field(0, ge=0)
    """Also keep the checkpoint of each step that this divides; 0: none."""
    keep_rollouts: bool = True
    """Keep every completion's text in the run's database."""


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


class Config(Section):
    """A whole run. Written, resolved, to `config.json` before anything else happens."""

    name: str = Field("gasp", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
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


def recipe_names() -> list[str]:
    """Names of the recipes that ship in the package."""
    folder = resources.files("gasp_rl") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_config(recipe: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Resolve a recipe (a shipped name, or a TOML file) with `key.path=value` overrides.

    A recipe may name another one as its `base` and hold only what differs.
    """
    tree, origin = _recipe_tree(recipe)
    for override in overrides:
        _apply_override(tree, override)
    return parse_config(tree, origin)


def _recipe_tree(recipe: str | Path, above: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
    """A recipe's keys over those of its `base`: a shipped name, or a file beside the recipe."""
    text, origin = _read_recipe(recipe)
    if origin in above:
        raise ConfigError(f"base goes in a circle: {' > '.join((*above, origin))}")
    tree = _parse_toml(text, origin)
    base: Any = tree.pop("base", None)
    if base is None:
        return tree, origin
    if not isinstance(base, str):
        raise ConfigError(f"{origin}: base: name one recipe (got {base!r:.200})")
    if base.endswith(".toml"):
        base = str((Path(recipe).parent / base).resolve())
    under, _ = _recipe_tree(base, (*above, origin))
    return _over(under, tree), origin


def override_config(config: Config, overrides: Sequence[str], origin: str) -> Config:
    """A resolved configuration with `key.path=value` overrides."""
    tree = config.model_dump(mode="json")
    for override in overrides:
        _apply_override(tree, override)
    return parse_config(tree, origin)


def _parse_toml(text: str, origin: str) -> dict[str, Any]:
    """`tomllib.loads` whose every failure is a `ConfigError`: syntax, depth, length of numbers."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{origin}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None


def parse_config(tree: dict[str, Any], origin: str) -> Config:
    """Validate a nested mapping; the first problem becomes one sentence that names its origin."""
    try:
        return Config.model_validate(_over(Config().model_dump(), tree))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        key = f"{key if key.isprintable() else repr(key):.200}"
        if problem["type"] == "extra_forbidden":
            raise ConfigError(f"{origin}: unknown key {key}{_nearest(key)}") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{origin}: {key or 'config'}: {message} (got {problem['input']!r:.200})"
        ) from None


def _over(defaults: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    """A section that sets one key keeps the defaults of its others."""
    merged = dict(defaults)
    for key, value in tree.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = _over(under, value)
        else:
            merged[key] = value
    return merged


def recipe_text(recipe: str | Path) -> str:
    """A recipe as its author wrote it."""
    return _read_recipe(recipe)[0]


def describe_keys() -> list[tuple[str, str, str]]:
    """(key path, default, meaning) of every setting, in the order of the sections."""
    rows = []
    for path in known_keys():
        section: type[BaseModel] = Config
        default: Any = Config()
        *parents, leaf = path.split(".")
        for parent in parents:
            default = getattr(default, parent)
            section = type(default)
        meaning = section.model_fields[leaf].description or ""
        rows.append((path, str(getattr(default, leaf)), " ".join(meaning.split())))
    return rows


def _read_recipe(recipe: str | Path) -> tuple[str, str]:
    path = Path(recipe)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"{path}: no such recipe file")
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as text: {error}") from None
    names = recipe_names()
    if str(recipe) not in names:
        near = difflib.get_close_matches(str(recipe), names, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; shipped: {', '.join(names)}"
        raise ConfigError(f"no recipe named {str(recipe)!r}{hint}")
    shipped = resources.files("gasp_rl") / "recipes" / f"{recipe}.toml"
    return shipped.read_text(encoding="utf-8"), f"recipe {recipe}"


def _apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one `key.path=value`; the value is TOML, and a bare word is a string."""
    key, equals, raw = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"override {override!r}: write it as key.path=value, for instance steps=100"
        )
    try:
        value = _parse_toml(f"value = {raw}", override)["value"]
    except ConfigError:
        value = raw
    node = tree
    *parents, leaf = key.strip().split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {override!r}: {parent} is a value, not a section")
    node[leaf] = value


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, known_keys(), 1)
    return f"; did you mean {near[0]}?" if near else "; `gasp config` lists the keys"


def known_keys(section: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Every key path that a recipe may set."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += known_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
