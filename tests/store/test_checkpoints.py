"""Checkpoints: sealed, verified, pruned; what is half-written is never listed."""

from pathlib import Path

import pytest

from gasp_rl.errors import StoreError
from gasp_rl.store.checkpoints import (
    discard_after,
    list_checkpoints,
    prune_checkpoints,
    verify_checkpoint,
    write_checkpoint,
)


def _save(folder: Path, step: int, score: float | None = None) -> Path:
    def write(path: Path) -> None:
        (path / "weights").write_bytes(f"weights {step}".encode())
        (path / "sub").mkdir()
        (path / "sub" / "optimiser").write_bytes(b"o" * step)

    return write_checkpoint(folder, step, write, score)


def test_a_checkpoint_is_sealed_and_verified(tmp_path: Path) -> None:
    path = _save(tmp_path, 7, score=0.5)
    assert path.name == "step_000007"
    [listed] = list_checkpoints(tmp_path)
    assert (listed.step, listed.score, listed.path) == (7, 0.5, path)
    verify_checkpoint(path)
    (path / "sub" / "optimiser").write_bytes(b"flipped")
    with pytest.raises(StoreError, match=r"optimiser: checksum differs"):
        verify_checkpoint(path)
    (path / "sub" / "optimiser").unlink()
    with pytest.raises(StoreError, match="missing"):
        verify_checkpoint(path)


def test_a_failed_write_leaves_the_earlier_one(tmp_path: Path) -> None:
    _save(tmp_path, 1)

    def full_disk(path: Path) -> None:
        (path / "weights").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        write_checkpoint(tmp_path, 2, full_disk)
    assert [c.step for c in list_checkpoints(tmp_path)] == [1]
    _save(tmp_path, 2)
    assert [c.step for c in list_checkpoints(tmp_path)] == [1, 2]
    assert not list(tmp_path.glob(".*partial"))


def test_writing_again_replaces(tmp_path: Path) -> None:
    _save(tmp_path, 1, score=0.1)
    _save(tmp_path, 1, score=0.2)
    assert [c.score for c in list_checkpoints(tmp_path)] == [0.2]


def test_pruning_keeps_last_best_and_every(tmp_path: Path) -> None:
    scores = {10: 0.1, 20: 0.9, 30: 0.2, 40: None, 50: 0.3, 60: 0.3, 100: 0.2}
    for step, score in scores.items():
        _save(tmp_path, step, score)
    prune_checkpoints(tmp_path, keep_last=2, every=50)
    assert [c.step for c in list_checkpoints(tmp_path)] == [20, 50, 60, 100]
    prune_checkpoints(tmp_path, keep_last=0)
    assert [c.step for c in list_checkpoints(tmp_path)] == [20]


def test_later_and_unfinished_ones_are_discarded(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        _save(tmp_path, step)
    (tmp_path / ".step_000009.partial").mkdir()
    (tmp_path / "step_000002" / "DONE").unlink()
    discard_after(tmp_path, 2)
    assert [c.step for c in list_checkpoints(tmp_path)] == [1]
    assert not (tmp_path / ".step_000009.partial").exists()
