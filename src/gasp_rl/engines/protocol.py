"""The engine boundary: tokens, masks and per-token advantages; nothing of tasks, roles or rewards.

The verbs are those that distributed training servers already share (sample, forward_backward,
optim_step, save, load), so that the same loop runs on a laptop's CPU and on a cluster.
Shape suffixes: `_T` completion tokens, `_P` prompts, `_G` samples of one prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from gasp_rl.config import LossConfig, OptimConfig
from gasp_rl.types import Finish, Metrics, Tokens


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample; temperature 0 is greedy.

    `seed` decides every draw: row (prompt i, sample j) has its own stream, so a draw depends
    neither on the batch's make-up nor on when other rows stop.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled continuation of a prompt.

    tokens_T:   sampled token ids; the stop token is included when the model wrote it.
    logprobs_T: natural log-probability of each under the distribution that was sampled from
                (tempered by `temperature`; top_p must be 1 for training rows).
    version:    policy version that wrote it.
    """

    tokens_T: Tokens
    logprobs_T: tuple[float, ...]
    finish: Finish
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One training sequence: a prompt, a completion, an advantage for each completion token.

    `temperature` is the one that it was sampled at: the trainer tempers its own log-probabilities
    likewise, or the ratio of policy to sampler would not be 1 on policy.
    """

    prompt: Tokens
    tokens_T: Tokens
    logprobs_T: tuple[float, ...]
    advantages_T: tuple[float, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not len(self.tokens_T) == len(self.logprobs_T) == len(self.advantages_T) > 0:
            raise ValueError(
                f"row with {len(self.tokens_T)} tokens, {len(self.logprobs_T)} log-probabilities "
                f"and {len(self.advantages_T)} advantages: all three must be equal and positive"
            )
        if not self.prompt or self.temperature <= 0:
            raise ValueError(
                f"row with {len(self.prompt)} prompt tokens sampled at temperature "
                f"{self.temperature}: both must be positive"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What an engine offers. A wish outside it fails before step 0, never silently."""

    losses: frozenset[str]
    reductions: frozenset[str]
    reference_logprobs: bool
    exact_resume: bool
    entropy_bonus: bool = True
    tempered_rows: bool = True
    """Whether it trains on rows that were sampled at another temperature than 1."""
    gradient_clipping: bool = True


class Tokenizer(Protocol):
    """Text to tokens and back. `decode` drops special tokens; `encode` adds none."""

    eos_id: int

    def encode(self, text: str) -> Tokens: ...

    def encode_prompt(self, text: str) -> Tokens:
        """A user's turn: in the tokenizer's chat template where it has one, else the plain text."""
        ...

    def decode(self, tokens: Sequence[int]) -> str: ...


class Engine(Protocol):
    """Samples from and trains one policy (a model folder and its tokenizer)."""

    caps: Caps
    tokenizer: Tokenizer

    @property
    def version(self) -> int:
        """Of the weights that `sample` uses; `publish` raises it."""
        ...

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        """`n` completions of each prompt, in order: outer list over prompts, inner over samples."""
        ...

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        """Log-probability of each completion token of (prompt, completion) pairs, untempered."""
        ...

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        """Accumulate the gradient of one batch's loss; the batch is the unit of the reduction."""
        ...

    def optim_step(self, optim: OptimConfig) -> Metrics:
        """Clip, step, clear the gradients. Raises `EngineError` when the gradient is not finite,
        with the weights untouched."""
        ...

    def publish(self) -> int:
        """Make the trained weights the ones that `sample` uses; returns the new version."""
        ...

    def save(self, path: Path) -> None:
        """Write weights, tokenizer and optimiser state so that `load` continues exactly."""
        ...

    def load(self, path: Path) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class MeasuresMemory(Protocol):
    """An engine that knows how much memory it took."""

    def memory_peak(self) -> Metrics:
        """Bytes held at most so far: `gpu/memory_peak`, or `cpu/memory_peak` without a GPU. Apart
        from the verbs' metrics, for equal runs need not hold equally much."""
        ...
