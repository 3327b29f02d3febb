"""How much memory is held, and what happens when it runs out: half the work at a time, and a word."""

import gc
import resource
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from gasp_rl.errors import EngineError
from gasp_rl.types import Metrics

Result = TypeVar("Result")


class OutOfMemory(EngineError):
    """Memory ran out and nothing is left to divide. Other processes may not have run out."""


class MemoryPeak:
    """What is held at most from its making on: on a GPU what torch allocated, else what the process
    grew by (buffers of torch and Python's own are in it, so it is an upper bound)."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = _resident()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def metrics(self) -> Metrics:
        if self._device.type == "cuda":
            return {"gpu/memory_peak": float(torch.cuda.max_memory_allocated(self._device))}
        if not self._before:
            return {}
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"cpu/memory_peak": float(max(0, most - self._before))}


def _resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.is_file() else 0


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
