"""One update of the one policy from rewarded completions of either role."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gasp_rl.config import Config
from gasp_rl.engines.protocol import Completion, Engine, Row
from gasp_rl.types import Metrics, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """A rewarded completion. `id` is that of its record in the run's store; `temperature` is what
    it was sampled at, so that the trainer tempers its log-probabilities alike.
    """

    id: str
    prompt: Tokens
    completion: Completion
    reward: float
    temperature: float = 1.0


def update(
    engine: Engine, experiences: Sequence[Experience], advantages: np.ndarray, config: Config
) -> Metrics:
    """One optimiser step; every token of a completion carries the completion's advantage.

    Rows with advantage 0 push nowhere, but count in the token mean as AZR's do.
    """
    rows = [
        Row(
            prompt=e.prompt,
            tokens_T=e.completion.tokens_T,
            logprobs_T=e.completion.logprobs_T,
            advantages_T=(float(advantage),) * len(e.completion.tokens_T),
            temperature=e.temperature,
        )
        for e, advantage in zip(experiences, advantages, strict=True)
    ]
    if not any(advantages):
        return {"train/skipped_updates": 1.0}
    metrics = engine.forward_backward(rows, config.loss)
    metrics |= engine.optim_step(config.optim)
    engine.publish()
    return {**metrics, "train/rows": float(len(rows))}
