"""What happens when memory runs out: half the work at a time, and a word about it."""

import gc
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from gasp_rl.errors import EngineError

Result = TypeVar("Result")


class OutOfMemory(EngineError):
    """Memory ran out and nothing is left to divide. Other processes may not have run out."""


class Budget:
    """How much is computed at once. It halves when memory runs out and stays there for the run.

    `setting` names the key that it began from; `halvings` counts. A budget that is not `divisible`
    (where several processes must keep step) stays as it is, and running out is an error.
    """

    def __init__(self, setting: str, size: int, *, divisible: bool = True) -> None:
        self.size = size
        self.halvings = 0
        self._setting = setting
        self._divisible = divisible

    def spend(self, attempt: Callable[[int], Result], least: int) -> Result:
        """`attempt(size)`, again with half the size while memory runs out.

        At `least` nothing is left to divide: then it is `OutOfMemory`. An attempt must leave
        nothing behind when it fails.
        """
        while True:
            try:
                return attempt(self.size)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                if not self._divisible:
                    raise OutOfMemory(
                        f"out of memory with {self._setting}={self.size}: several processes cannot "
                        "divide it on their own; set it lower and resume"
                    ) from error
                reason = str(error).splitlines()[0]
            # Outside the handler, which holds the failed attempt's tensors by its traceback.
            if self.size <= least:
                raise OutOfMemory(
                    f"out of memory with {self._setting} down to {self.size}, where nothing is "
                    f"left to divide ({reason}); take shorter completions, a smaller model, "
                    "engine.gradient_checkpointing=true or engine.lora_rank"
                )
            self.size = max(self.size // 2, least)
            self.halvings += 1
            warnings.warn(
                f"out of memory: {self._setting} halved to {self.size} for the rest of the run",
                stacklevel=2,
            )
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _out_of_memory(error: RuntimeError) -> bool:
    """Torch's CPU allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
