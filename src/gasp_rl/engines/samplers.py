"""What samples from the policy in this process, by the name in `engine.sampler`.

| name | how | draws |
|---|---|---|
| `native` | own decode loop, prompt computed once for its samples | the same in any batch |
| `continuous` | transformers' paged continuous batching, on the trainer's weights | of this batch |
| `vllm` | vLLM beside the trainer, weights handed over at each publish | of this batch |
"""

from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import transformers
from packaging.version import Version
from transformers import PreTrainedModel

from gasp_rl.config import EngineConfig
from gasp_rl.engines.decode import decode
from gasp_rl.engines.memory import Budget
from gasp_rl.engines.protocol import Completion, SamplingParams
from gasp_rl.errors import EngineError, MissingExtraError
from gasp_rl.types import Tokens

CONTINUOUS_SINCE = "5.18"
"""The first transformers whose continuous batching passes the contract on a CPU (5.17 does not)."""


class Sampler(Protocol):
    """exact: whether equal calls give equal bits, whatever was sampled before."""

    exact: bool

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams, version: int
    ) -> list[list[Completion]]: ...

    def publish(self) -> None:
        """Sample from the trainer's present weights from now on."""
        ...

    def close(self) -> None: ...


def make_sampler(
    config: EngineConfig, model: PreTrainedModel, stop_ids: Collection[int], folder: Path
) -> Sampler:
    """The sampler that `config.sampler` names, over the trainer's model."""
    if config.sampler == "continuous":
        if Version(transformers.__version__) < Version(CONTINUOUS_SINCE):
            raise EngineError(
                f"engine.sampler=continuous: needs transformers {CONTINUOUS_SINCE} or newer, here is "
                f"{transformers.__version__}; upgrade it, or set engine.sampler=native"
            )
        from gasp_rl.engines.continuous import ContinuousSampler

        return ContinuousSampler(model, stop_ids, config.sample_rows)
    if config.sampler == "vllm":
        if find_spec("vllm") is None:
            raise MissingExtraError("vllm", "engine.sampler=vllm")
        from gasp_rl.engines.vllm_sampler import VllmSampler

        return VllmSampler(model, stop_ids, folder, config)
    return NativeSampler(model, stop_ids, config.sample_rows)


class NativeSampler:
    """`decode`, with fewer rows at once when memory runs out: the draws stay the same."""

    exact = True

    def __init__(self, model: PreTrainedModel, stop_ids: Collection[int], rows: int) -> None:
        self._model, self._stop_ids = model, stop_ids
        self._rows = Budget("engine.sample_rows", rows)

    def sample(
        self,
        prompts_P: Sequence[Tokens],
        n: int,
        params: SamplingParams,
        version: int,
        first: int = 0,
    ) -> list[list[Completion]]:
        """first: the number of the first prompt, where these are a part of a longer list."""

        def attempt(rows: int) -> list[list[Completion]]:
            return decode(
                self._model,
                prompts_P,
                n,
                params,
                stop_ids=self._stop_ids,
                capacity=rows,
                version=version,
                first=first,
            )

        return self._rows.spend(attempt, least=1)

    def publish(self) -> None:
        """The weights are the trainer's own."""

    def close(self) -> None:
        """Nothing is held."""
