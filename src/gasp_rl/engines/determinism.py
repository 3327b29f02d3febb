"""The same bits again on a GPU, where a sum otherwise depends on which thread comes first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gasp_rl.errors import EngineError


@contextmanager
def deterministic_operations() -> Iterator[None]:
    """Within, torch takes the deterministic form of each operation (slower: gradients of gathered
    tensors are sorted before they are added), and `EngineError` says where there is none.

    Sampling needs none of it: what it computes has no such sums.
    """
    # cuBLAS reads it at its first use; torch refuses matrix products where it is not set.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    switches: Any = torch.utils.deterministic
    fill = switches.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    switches.fill_uninitialized_memory = False  # finds faults, costs a pass
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = str(error).split(". ")[0]
        raise EngineError(
            f"engine.deterministic: torch cannot give the same bits again ({reason}); set it to false"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before)
        switches.fill_uninitialized_memory = fill
