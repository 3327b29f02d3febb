"""Policy losses: pure torch functions of per-token tensors, each with its paper.

Shape suffix: `_N` completion tokens of a batch, one after the other. The reduction over tokens is
the caller's: these return one number for each token.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gasp_rl.config import LossConfig


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """loss_N: to be minimised; clipped_N: 1 where a clip took the gradient away, else 0."""

    loss_N: Tensor
    clipped_N: Tensor


def policy_loss(
    logprobs_N: Tensor, sampler_N: Tensor, advantages_N: Tensor, config: LossConfig
) -> TokenLoss:
    """The surrogate of `config` without KL and entropy.

    With `tis_cap`, the ratio is taken to the trainer's own probabilities at this step (so it is 1,
    its gradient that of log p, and the clips are idle) and the mismatch between trainer and
    sampler becomes the truncated weight. Without it, the ratio is trainer to sampler.
    """
    assert logprobs_N.shape == sampler_N.shape == advantages_N.shape
    old_N = sampler_N if config.tis_cap is None else logprobs_N.detach()
    ratio_N = (logprobs_N - old_N).exp()
    if config.name == "ppo":
        result = clipped(ratio_N, advantages_N, config.clip_low, config.clip_high, config.dual_clip)
    else:
        result = TokenLoss(-advantages_N * ratio_N, torch.zeros_like(ratio_N))
    if config.tis_cap is None:
        return result
    weight_N = truncated_importance(logprobs_N.detach(), sampler_N, config.tis_cap)
    return TokenLoss(weight_N * result.loss_N, result.clipped_N)


def clipped(
    ratio_N: Tensor,
    advantages_N: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> TokenLoss:
    """PPO's clipped surrogate with two bounds and an optional cap for negative advantages.

    `max(-A r, -A clip(r, 1 - low, 1 + high))` (PPO, arXiv 1707.06347; a wider upper bound is DAPO's
    clip-higher, arXiv 2503.14476); where A < 0, at most `-c A` (dual clip, arXiv 1912.09729).

    Example: A = 1, r = 1.5, bounds .2 and .28: -1.28. A = -1, r = 5, c = 3: 3 and not 5.
    """
    plain_N = -advantages_N * ratio_N
    bounded_N = -advantages_N * ratio_N.clamp(1 - clip_low, 1 + clip_high)
    loss_N = torch.maximum(plain_N, bounded_N)
    clipped_N = bounded_N > plain_N
    if dual_clip is not None:
        cap_N = torch.where(advantages_N < 0, -dual_clip * advantages_N, torch.inf)
        clipped_N = clipped_N | (loss_N > cap_N)
        loss_N = torch.minimum(loss_N, cap_N)
    return TokenLoss(loss_N, clipped_N.to(loss_N.dtype))


def truncated_importance(trainer_N: Tensor, sampler_N: Tensor, cap: float) -> Tensor:
    """`min(p_trainer / p_sampler, cap)`: corrects for a sampler whose numbers differ (TIS; Yao et
    al. 2025, fengyao.notion.site/off-policy-rl; truncation: Ionides 2008).

    Example: log-probabilities -1 and -2 give e = 2.718, and 2 under a cap of 2.
    """
    assert trainer_N.shape == sampler_N.shape
    return (trainer_N - sampler_N).exp().clamp(max=cap)


def kl_k3(logprobs_N: Tensor, reference_N: Tensor) -> Tensor:
    """Estimate of KL(policy || reference) from samples of the policy: `r - 1 - log r` with
    `r = p_reference / p_policy`; never negative (http://joschu.net/blog/kl-approx.html, k3).

    Example: log-probabilities -1 (policy) and -2 (reference): e^-1 - 1 + 1 = .3679.
    """
    assert logprobs_N.shape == reference_N.shape
    log_ratio_N = reference_N - logprobs_N
    return log_ratio_N.exp() - 1 - log_ratio_N


def entropy(logprobs_NV: Tensor) -> Tensor:
    """Entropy in nats of each distribution: `-sum p log p`, where 0 log 0 = 0.

    Example: uniform over 4 tokens: log 4 = 1.3863.
    """
    return -(logprobs_NV.exp() * logprobs_NV.clamp(min=torch.finfo(logprobs_NV.dtype).min)).sum(-1)


def token_weights(lengths: Tensor, reduction: str) -> Tensor:
    """Weight of each token such that the weighted sum is the batch's reduction.

    `token-mean`: 1 / all tokens (DAPO, arXiv 2503.14476). `sequence-mean`: 1 / (rows * length of
    its row) (GRPO, arXiv 2402.03300). lengths is [rows]; the result is [N], rows in order.

    Example: lengths 1 and 3: token-mean 1/4 each; sequence-mean 1/2, then 1/6 three times.
    """
    if reduction == "token-mean":
        per_row = torch.full_like(lengths, 1 / float(lengths.sum()), dtype=torch.float32)
    else:
        per_row = 1 / (len(lengths) * lengths.float())
    return per_row.repeat_interleave(lengths)
