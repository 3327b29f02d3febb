"""Weights as they were before the last update, for a sampler that stays one behind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Lag:
    """A copy of the trained weights. They take each other's place in memory while the sampler is at
    work, so that every sampler, whatever it holds on to, reads the older ones."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = weights
        self.older = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def remember(self, weights: Sequence[Tensor] | None = None) -> None:
        """Keep the weights of now, or those given; to be called before an update changes them."""
        for kept, weight in zip(self.older, weights or self._weights, strict=True):
            kept.copy_(weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The older weights in the model."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for kept, weight in zip(self.older, self._weights, strict=True):
            newer = weight.clone()
            weight.copy_(kept)
            kept.copy_(newer)
