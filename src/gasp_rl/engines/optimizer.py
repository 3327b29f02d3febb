"""AdamW over float32 weights, whatever format and device the model computes in."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from gasp_rl.config import OptimConfig
from gasp_rl.errors import EngineError, MissingExtraError


class MasterOptimizer:
    """Steps the trainable weights of a model.

    Small steps added to bfloat16 numbers would round away, so each weight that is not float32 has a
    float32 master that gathers them. With `offload`, masters and moments lie in CPU memory: a GPU
    then holds weights and gradients alone, and each step copies both ways.
    """

    def __init__(
        self, model: nn.Module, kind: Literal["adamw", "adamw-8bit"], offload: bool
    ) -> None:
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._masters = [_master(weight, offload) for weight in self.weights]
        self._inner = _adamw(self._masters, kind)

    def step(self, optim: OptimConfig, before: Callable[[], None] | None = None) -> float:
        """Clip, step, clear; returns the gradient's norm before the clip.

        before: called when it is certain that the weights will change.

        Raises `EngineError`, with the weights untouched and the gradient cleared, when it is not
        finite.
        """
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        if not gradients:
            raise EngineError("optim_step: no gradient; call forward_backward before it")
        norm = nn.utils.get_total_norm(gradients)
        size = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
        if not math.isfinite(size):
            self.clear()
            raise EngineError(
                f"gradient norm is {size}: the step was dropped and the weights are "
                "untouched; lower optim.lr or look for extreme advantages"
            )
        if optim.max_grad_norm:
            nn.utils.clip_grads_with_norm_(self.weights, optim.max_grad_norm, norm)
        for group in self._inner.param_groups:
            group |= {"lr": optim.lr, "betas": optim.betas, "eps": optim.eps}
            group["weight_decay"] = optim.weight_decay
        for master, weight in self._copies():
            if weight.grad is not None:
                master.grad = weight.grad.to(master.device, torch.float32)
        if before is not None:
            before()
        self._inner.step()
        self._copy_back()
        self.clear()
        return size

    def clear(self) -> None:
        """Forget the gradient."""
        for tensor in (*self.weights, *self._masters):
            tensor.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to continue to the bit, beside the weights."""
        return {
            "optimizer": self._inner.state_dict(),
            "masters": [master for master, _ in self._copies()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`'s; the weights must be those of the same moment."""
        with torch.no_grad():
            for (master, weight), saved in zip(self._copies(), state["masters"], strict=True):
                master.copy_(saved)
                weight.copy_(saved)
        self._inner.load_state_dict(state["optimizer"])

    def _copies(self) -> list[tuple[Tensor, nn.Parameter]]:
        pairs = zip(self._masters, self.weights, strict=True)
        return [(master, weight) for master, weight in pairs if master is not weight]

    @torch.no_grad()
    def _copy_back(self) -> None:
        for master, weight in self._copies():
            weight.copy_(master)


def _master(weight: nn.Parameter, offload: bool) -> Tensor:
    if offload:
        return weight.detach().to("cpu", torch.float32, copy=True)
    return weight if weight.dtype == torch.float32 else weight.detach().float()


def _adamw(masters: list[Tensor], kind: Literal["adamw", "adamw-8bit"]) -> torch.optim.Optimizer:
    if kind == "adamw":
        return torch.optim.AdamW(masters, fused=True)
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError("8bit", "engine.optimizer=adamw-8bit")
    from bitsandbytes.optim import AdamW8bit

    inner: torch.optim.Optimizer = AdamW8bit(masters)
    return inner
