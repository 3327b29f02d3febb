"""The loss of a batch and what is logged of it, from the log-probabilities of its tokens.

Shape suffix: `_N` completion tokens of the batch's rows, one row after the other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gasp_rl.config import LossConfig
from gasp_rl.engines.protocol import Row
from gasp_rl.learning import losses
from gasp_rl.types import Metrics


class TokenBatch:
    """Per-token numbers of rows. weights: each row's share of the reduction, [its tokens]."""

    def __init__(
        self, rows: Sequence[Row], weights: Sequence[Tensor], device: torch.device
    ) -> None:
        def tensor(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self.sampler_N = tensor([x for row in rows for x in row.logprobs_T])
        self.advantages_N = tensor([x for row in rows for x in row.advantages_T])
        self.weights_N = torch.cat(list(weights)).to(device)
        self.temperatures_N: Tensor | None = None
        if any(row.temperature != 1 for row in rows):
            lengths = torch.tensor([len(row.tokens_T) for row in rows], device=device)
            per_row = tensor([row.temperature for row in rows])
            self.temperatures_N = per_row.repeat_interleave(lengths)


def objective(
    logprobs_N: Tensor,
    entropy_N: Tensor,
    batch: TokenBatch,
    loss: LossConfig,
    reference_N: Tensor | None = None,
) -> tuple[Tensor, Metrics]:
    """The batch's part of the loss, with its graph, and sums over its tokens.

    reference_N: log-probabilities under the initial weights; needed with `loss.kl_coef`.
    """
    surrogate = losses.policy_loss(logprobs_N, batch.sampler_N, batch.advantages_N, loss)
    loss_N = surrogate.loss_N - loss.entropy_coef * entropy_N
    sums = {
        "policy/entropy": entropy_N,
        "policy/logprob_gap": (logprobs_N - batch.sampler_N).abs(),
        "policy/clip_fraction": surrogate.clipped_N,
    }
    if loss.kl_coef:
        assert reference_N is not None
        kl_N = losses.kl_k3(logprobs_N, reference_N)
        loss_N = loss_N + loss.kl_coef * kl_N
        sums["policy/kl"] = kl_N
    total = (batch.weights_N * loss_N).sum()
    return total, {name: value.sum().item() for name, value in (sums | {"loss": total}).items()}
