"""Sampling by transformers' continuous batching (`generate_batch`), on the trainer's own weights.

Draws come from one stream for the whole batch, so they depend on its make-up.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from gasp_rl.engines.attention import ATTENTION
from gasp_rl.engines.protocol import Completion, SamplingParams
from gasp_rl.errors import EngineError
from gasp_rl.types import Finish, Tokens

PAGE = 256  # tokens of one cache page, as transformers has it
CPU_PAGE = 16  # attention over a page costs the whole page
CPU_PREFILL = 512  # tokens of one forward on a CPU


class ContinuousSampler:
    """Needs nothing of its own between calls: cache and threads live for one call."""

    exact = False

    def __init__(self, model: PreTrainedModel, stop_ids: Collection[int], rows: int) -> None:
        self._model, self._stop_ids, self._rows = model, sorted(stop_ids), rows

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams, version: int
    ) -> list[list[Completion]]:
        if not prompts_P or not n:
            return [[] for _ in prompts_P]
        if not all(prompts_P):
            raise EngineError("sample: an empty prompt has nothing to continue")
        drawn = n if params.temperature else 1  # greedy samples of one prompt are all the same
        generation = GenerationConfig(
            max_new_tokens=params.max_tokens,
            do_sample=params.temperature > 0,
            temperature=params.temperature or 1.0,
            top_k=0,
            top_p=params.top_p,
            eos_token_id=self._stop_ids,
            pad_token_id=self._stop_ids[0],
            num_return_sequences=drawn,
        )
        model: Any = self._model  # torch's own annotations hide what is no tensor
        with _paged_attention(self._model):
            outputs = model.generate_batch(
                [list(prompt) for prompt in prompts_P],
                generation,
                self._batching(prompts_P, params),
                warmup=self._model.device.type == "cuda",
            )
        failed = [o.error for o in outputs.values() if o.error is not None]
        if failed or len(outputs) != len(prompts_P) * drawn:
            reason = failed[0] if failed else "its thread ended"
            raise EngineError(
                f"continuous batching gave {len(outputs)} of {len(prompts_P) * drawn} completions "
                f"({reason}); the weights are untouched: resume the run, or set "
                "engine.sampler=native"
            )
        rows = [
            self._completion(o.generated_tokens, o.logprobs, params, version)
            for o in outputs.values()
        ]
        groups = [rows[i * drawn : (i + 1) * drawn] for i in range(len(prompts_P))]
        return [group * (n // drawn) for group in groups]

    def publish(self) -> None:
        """The weights are the trainer's own."""

    def close(self) -> None:
        """Nothing is held."""

    def _batching(
        self, prompts_P: Sequence[Tokens], params: SamplingParams
    ) -> ContinuousBatchingConfig:
        """On a GPU transformers sizes the cache by the free memory; on a CPU by what is asked."""
        batching = ContinuousBatchingConfig(
            page_size=PAGE,
            max_requests_per_batch=self._rows,
            return_logprobs=True,
            seed=params.seed % 2**63,
        )
        if self._model.device.type != "cuda":
            longest = max(map(len, prompts_P)) + params.max_tokens
            batching.page_size = CPU_PAGE
            batching.num_blocks = self._rows * math.ceil(longest / CPU_PAGE)
            batching.max_batch_tokens = max(CPU_PREFILL, self._rows)
            batching.auto_switch_to_flash = False
        return batching

    def _completion(
        self, tokens: list[int], logprobs: list[float], params: SamplingParams, version: int
    ) -> Completion:
        return Completion(
            tokens_T=tuple(tokens),
            logprobs_T=tuple(logprobs) if params.temperature else (0.0,) * len(tokens),
            finish=Finish.STOP if tokens[-1] in self._stop_ids else Finish.LENGTH,
            version=version,
        )


@contextmanager
def _paged_attention(model: PreTrainedModel) -> Iterator[None]:
    """Continuous batching knows transformers' own attention functions only."""
    model.set_attn_implementation("sdpa")
    try:
        with torch.random.fork_rng():
            yield
    finally:
        model.set_attn_implementation(ATTENTION)
