"""Advantages: pure functions from rewards to one number for each rollout.

A rollout's advantage holds for each of its tokens: the reward comes at the end and nothing is
discounted. Shape suffix: `_N` rollouts.
"""

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

EPSILON = 1e-8  # under the root, as in verl's whitening, which AZR uses


def trr(
    rewards_N: Sequence[float],
    lengths_N: Sequence[int],
    groups_N: Sequence[Hashable],
    weighting: Literal["token", "plain"] = "token",
) -> np.ndarray:
    """Task-relative REINFORCE++ (TRR++): rewards whitened within each group, which is the pair of
    role and task kind (AZR, arXiv 2505.03335, section 3.3.4; REINFORCE++, arXiv 2501.03262).

    `token` is what AZR's code computes: mean and variance over tokens, so that long completions
    weigh more. `plain` is the formula that its paper prints: mean and variance over rollouts.

    Example: `trr([1, 0, 1], [1, 3, 2], ["a", "a", "b"])` is `[1.5, -.5, 0]`: see `whiten`.
    """
    rewards = np.asarray(rewards_N, dtype=np.float64)
    lengths = np.asarray(lengths_N, dtype=np.int64)
    assert rewards.shape == lengths.shape == (len(groups_N),)
    weights = lengths if weighting == "token" else np.ones_like(lengths)
    advantages = np.zeros_like(rewards)
    for members in _members(groups_N):
        advantages[members] = whiten(rewards[members], weights[members])
    return advantages


def whiten(rewards_N: np.ndarray, weights_N: np.ndarray) -> np.ndarray:
    """`A = (R - mu) / sqrt(var + 1e-8)` where a reward counts `w` times, w a whole number.

    With W = sum w: `mu = sum w R / W`, `var = sum w (R - mu)^2 / W * W / (W - 1)` (Bessel). Equal
    rewards, or a single one (W = 1), give exactly 0.

    Example: rewards 1 and 0 with weights 1 and 3: mu = .25, var = .1875 * 4/3 = .25, A = 1.5, -.5.
    """
    total = weights_N.sum()
    if total <= 1 or np.all(rewards_N == rewards_N[0]):
        return np.zeros_like(rewards_N)
    centred = rewards_N - (weights_N * rewards_N).sum() / total
    variance = (weights_N * centred**2).sum() / (total - 1)
    advantages: np.ndarray = centred / np.sqrt(variance + EPSILON)
    return advantages


def grpo(rewards_N: Sequence[float], groups_N: Sequence[Hashable]) -> np.ndarray:
    """`A = (R - mean) / std` within each group of rollouts of one question, with the population's
    standard deviation (GRPO, DeepSeekMath, arXiv 2402.03300, section 4.1.2); 0 where all are equal.

    Example: rewards 1, 0, 0, 0 of one question: mean .25, std .4330, A = 1.7321, -.5774 (3 times).
    """
    rewards = np.asarray(rewards_N, dtype=np.float64)
    assert rewards.shape == (len(groups_N),)
    advantages = np.zeros_like(rewards)
    for members in _members(groups_N):
        own = rewards[members]
        if np.any(own != own[0]):
            advantages[members] = (own - own.mean()) / np.sqrt(own.var() + EPSILON)
    return advantages


def _members(groups_N: Sequence[Hashable]) -> list[list[int]]:
    """Positions of each group's rollouts."""
    members: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups_N):
        members.setdefault(group, []).append(i)
    return list(members.values())
