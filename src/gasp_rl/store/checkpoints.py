"""Checkpoints: written beside and renamed, proved by a manifest, pruned by a stated rule."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gasp_rl.errors import StoreError

_NAME = re.compile(r"step_(\d{6,})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint: its step, folder, score (higher is better) and size on disk."""

    step: int
    path: Path
    score: float | None
    bytes: int


def write_checkpoint(
    folder: Path, step: int, write: Callable[[Path], None], score: float | None = None
) -> Path:
    """Let `write` fill a temporary folder, then seal it with a manifest and rename it in place.

    A crash at any moment leaves either the whole checkpoint or a `.partial` folder that the next
    call removes.
    """
    final = folder / f"step_{step:06d}"
    partial = folder / f".step_{step:06d}.partial"
    try:
        _discard(partial)
        partial.mkdir(parents=True)
        write(partial)
        files = {str(p.relative_to(partial)): _digest(p) for p in _files(partial)}
        manifest = {"step": step, "score": score, "files": files}
        (partial / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        (partial / "DONE").touch()
        for path in [*_files(partial), partial]:
            _sync(path)
        _discard(final)
        partial.rename(final)
        _sync(folder)
    except OSError as error:
        raise StoreError(
            f"{final}: checkpoint not written: {error.strerror or error}; "
            "earlier checkpoints are untouched"
        ) from error
    return final


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Complete checkpoints, oldest step first; anything unsealed is not listed."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and (path / "DONE").exists():
            score = _manifest(path).get("score")
            size = sum(file.stat().st_size for file in _files(path))
            found.append(Checkpoint(int(match[1]), path, score, size))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def verify_checkpoint(path: Path) -> None:
    """Compare every file with the manifest; raises `StoreError` naming the first difference."""
    for name, expected in _manifest(path).get("files", {}).items():
        file = path / name
        if not file.is_file():
            raise StoreError(f"{file}: missing from the checkpoint; resume from an earlier one")
        if _digest(file) != expected:
            raise StoreError(f"{file}: checksum differs; resume from an earlier checkpoint")


def prune_checkpoints(folder: Path, *, keep_last: int, every: int = 0) -> list[Path]:
    """Remove all but the last `keep_last`, the best score, and each `every`-th step."""
    checkpoints = list_checkpoints(folder)
    keep = {c.step for c in checkpoints[len(checkpoints) - keep_last :]} if keep_last else set()
    scored = [c for c in checkpoints if c.score is not None]
    if scored:
        keep.add(max(scored, key=lambda c: (c.score or 0.0, c.step)).step)
    if every:
        keep |= {c.step for c in checkpoints if c.step % every == 0}
    removed = [c.path for c in checkpoints if c.step not in keep]
    for path in removed:
        _discard(path)
    return removed


def discard_after(folder: Path, step: int) -> None:
    """Remove checkpoints of later steps and unfinished ones: their steps will be run again."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        match = _NAME.fullmatch(path.name)
        if path.name.endswith(".partial") or (match and int(match[1]) > step):
            _discard(path)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path / 'manifest.json'}: unreadable: {error}") from None
    if not isinstance(manifest, dict):
        raise StoreError(f"{path / 'manifest.json'}: not a manifest")
    return manifest


def _files(path: Path) -> Iterable[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _discard(path: Path) -> None:
    """Remove a folder so that a crash half-way cannot leave something that looks complete."""
    if path.exists():
        (path / "DONE").unlink(missing_ok=True)
        shutil.rmtree(path)
