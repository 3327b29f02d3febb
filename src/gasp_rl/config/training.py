"""What is trained, with what data, on what engine, and how one update is made."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from gasp_rl.config.section import Section


class ModelConfig(Section):
    path: str = Field("miniature", min_length=1)
    """A Hugging Face model folder, or `miniature` for the embedded base."""
    adapter: Path | None = None
    """A LoRA adapter to begin from, as a run with `engine.lora_rank` saves it; none begins at zero."""


class DataConfig(Section):
    goalposts: str = Field("miniature", min_length=1)
    """A goalposts file (`gasp goalposts mine` writes one), or the name of an embedded world."""
    pool: str = Field("miniature", min_length=1)
    """Real questions D for real-data methods and mining: a file, or the name of an embedded world."""
    validation: str = ""
    """Question sets, with commas between (`lcb-v5=FILE`, `questions.jsonl`), that temperatures and
    checkpoints are chosen by; empty: the embedded pool's own, of other pools none."""
    test: str = ""
    """Question sets that `gasp controls` and studies report; empty: the embedded pool's own, of other
    pools none."""
    limit: int | None = Field(None, ge=1)
    """Use at most this many goalposts (the first ones); none means all."""


class EngineConfig(Section):
    name: Literal["local", "tinker", "scripted"] = "local"
    """What samples and trains: this process, or a Tinker API server (section `tinker`). `scripted`
    exists for tests only."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the policy lives; `auto` takes a GPU when torch sees one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights and of the forward passes."""
    deterministic: bool = False
    """On a GPU, train to the same bits again, more slowly. A CPU does so in any case."""
    sample_rows: int = Field(1024, ge=1)
    """Rows decoded at once."""
    train_tokens: int = Field(8192, ge=16)
    """Tokens in one packed micro-batch."""
    threads: int | None = Field(None, ge=1, le=1024)
    """Torch's CPU threads; none leaves torch's own choice."""
    sampler: Literal["native", "continuous", "vllm"] = "native"
    """The engine's own decode loop, transformers' continuous batching, or vLLM (an extra)."""
    gradient_checkpointing: bool = False
    """Compute each layer again in the backward pass: less memory, about a third more compute."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """`adamw-8bit` keeps its two moments in 8 bits (bitsandbytes, an extra)."""
    offload_optimizer: bool = False
    """Keep float32 weights and moments in CPU memory, and step there."""
    lag: int = Field(0, ge=0, le=1)
    """Updates that the sampler stays behind the trainer: with 1 it samples with the weights before
    the last one. Off policy by a step; `loss.tis_cap` corrects for it."""
    lora_rank: int = Field(0, ge=0)
    """Train LoRA adapters of this rank on all linear layers (arXiv 2106.09685); 0: all weights."""
    lora_alpha: int = Field(32, ge=1)
    """LoRA's output is scaled by lora_alpha / lora_rank."""


class TinkerConfig(Section):
    """The server of `engine.name=tinker`; the key of one that asks for it is TINKER_API_KEY."""

    url: str = "http://localhost:8000"
    """Where it answers."""
    server: Literal["skyrl-jax", "skyrl-train", "hosted"] = "skyrl-train"
    """What it is, for servers reduce losses differently: SkyRL's JAX backend, SkyRL's FSDP and
    Megatron backends (or another server that sums), or the hosted service."""
    base_model: str = ""
    """Its name of the model; none: `model.path`, which always gives tokenizer and prompts."""
    patience_seconds: float = Field(120, gt=0)
    """How long a server that was there may be away before the run ends, to be resumed."""


class OptimConfig(Section):
    lr: float = Field(1e-6, gt=0)
    """Learning rate (paper: 1e-6 for a 7B model)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    eps: float = Field(1e-8, gt=0)
    """AdamW's denominator offset."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(1.0, ge=0)
    """Gradients with a larger global norm are scaled down to it; 0: never."""


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


class AdvantageConfig(Section):
    weighting: Literal["token", "plain"] = "token"
    """TRR++ statistics over tokens, as AZR's code has them, or over rollouts, as its paper writes."""


class SamplingConfig(Section):
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature (paper: 1.0 in training, 0.6 in evaluation)."""
    max_tokens: int = Field(2048, ge=1)
    """Longest completion."""
