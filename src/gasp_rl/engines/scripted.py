"""The `scripted` engine: a Python function writes the completions. For tests; needs no torch."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from gasp_rl.config import LossConfig, OptimConfig
from gasp_rl.engines.protocol import Caps, Completion, Row, SamplingParams
from gasp_rl.errors import DataError, EngineError
from gasp_rl.types import Finish, Metrics, Tokens

Write = Callable[[str, int, np.random.Generator], str]
"""(prompt, number of the sample, its own generator) -> completion."""

STATE = "scripted.json"
LOGPROB = -1.0  # of every token


class ByteTokenizer:
    """One token for each UTF-8 byte, and one that ends a turn."""

    eos_id = 256

    def encode(self, text: str) -> Tokens:
        return tuple(text.encode())

    def encode_prompt(self, text: str) -> Tokens:
        return self.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(t for t in tokens if t < self.eos_id).decode(errors="replace")


class ScriptedEngine:
    """Samples what `write` returns; training only records the rows, in `batches`.

    Example::

        engine = ScriptedEngine(lambda prompt, sample, rng: f"sample {sample}")
    """

    caps = Caps(
        losses=frozenset({"ppo", "policy-gradient"}),
        reductions=frozenset({"token-mean", "sequence-mean"}),
        reference_logprobs=True,
        exact_resume=True,
    )

    def __init__(self, write: Write) -> None:
        self.tokenizer = ByteTokenizer()
        self.version = 0
        self.steps = 0
        self.batches: list[list[Row]] = []
        self._write = write
        self._pending = 0

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        return [
            [self._complete(i, j, prompt, params) for j in range(n)]
            for i, prompt in enumerate(prompts_P)
        ]

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: Literal["policy", "reference"] = "policy"
    ) -> list[tuple[float, ...]]:
        return [(LOGPROB,) * len(completion) for _, completion in rows]

    def forward_backward(self, rows: Sequence[Row], loss: LossConfig) -> Metrics:
        """The loss is the real one of a policy that gives every token `LOGPROB`, on policy."""
        if not rows:
            raise EngineError("forward_backward: no rows; a step needs at least one")
        self.batches.append(list(rows))
        self._pending += 1
        tokens = sum(len(row.tokens_T) for row in rows)
        if loss.reduction == "token-mean":
            mean = sum(sum(row.advantages_T) for row in rows) / tokens
        else:
            mean = sum(sum(row.advantages_T) / len(row.tokens_T) for row in rows) / len(rows)
        gaps = [abs(LOGPROB - x) for row in rows for x in row.logprobs_T]
        return {
            "loss": -mean,
            "tokens": float(tokens),
            "policy/entropy": -LOGPROB,
            "policy/logprob_gap": sum(gaps) / tokens,
            "policy/clip_fraction": 0.0,
        } | ({"policy/kl": 0.0} if loss.kl_coef else {})

    def optim_step(self, optim: OptimConfig) -> Metrics:
        if not self._pending:
            raise EngineError("optim_step: no gradient; call forward_backward before it")
        self._pending = 0
        self.steps += 1
        return {"policy/grad_norm": 0.0}

    def publish(self) -> int:
        self.version += 1
        return self.version

    def save(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        state = {"version": self.version, "steps": self.steps}
        (path / STATE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, path: Path) -> None:
        if not (path / STATE).is_file():
            raise DataError(f"{path}: not a checkpoint of this engine: no {STATE}")
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        self.version, self.steps = state["version"], state["steps"]

    def close(self) -> None:
        """Nothing is held."""

    def _complete(self, i: int, j: int, prompt: Tokens, params: SamplingParams) -> Completion:
        rng = np.random.Generator(np.random.Philox(key=params.seed, counter=[0, 0, j, i]))
        text = self._write(self.tokenizer.decode(prompt), j, rng)
        tokens = (*self.tokenizer.encode(text), self.tokenizer.eos_id)
        cut = tokens[: params.max_tokens]
        return Completion(
            tokens_T=cut,
            logprobs_T=(LOGPROB if params.temperature else 0.0,) * len(cut),
            finish=Finish.STOP if len(cut) == len(tokens) else Finish.LENGTH,
            version=self.version,
        )
