"""Torch's deterministic forms: on within, as before after, and a clear word where there is none."""

import pytest
import torch

from gasp_rl.engines.determinism import deterministic_operations
from gasp_rl.errors import EngineError


def test_on_within_and_as_before_after_it() -> None:
    with deterministic_operations():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_an_operation_without_such_a_form_is_named() -> None:
    tensor = torch.tensor([0.0, 1.0])
    said = pytest.raises(EngineError, match=r"same bits again \(.*put_.*set it to false")
    with said, deterministic_operations():
        tensor.put_(torch.tensor([0]), torch.tensor([2.0]))
    assert not torch.are_deterministic_algorithms_enabled()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="inconsistent tensor size"), deterministic_operations():
        torch.ones(2) @ torch.ones(3)
