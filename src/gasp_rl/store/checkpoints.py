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
SEALS = {"manifest.json", "DONE"}
"""Files of the store's own in a checkpoint; the manifest lists all others."""


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
    call removes. Raises `StoreError`, with nothing written, when the disk cannot take another
    checkpoint of the last one's size.
    """
    final = folder / f"step_{step:06d}"
    partial = folder / f".step_{step:06d}.partial"
    earlier = list_checkpoints(folder)
    require_space(folder.parent, earlier[-1].bytes if earlier else 0)
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


def require_space(folder: Path, needed: int) -> None:
    """Raise `StoreError` when the disk of a folder has fewer free bytes than a checkpoint needs."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error
    if free < needed:
        raise StoreError(
            f"{folder}: {free / 2**20:,.0f} MiB free, a checkpoint needs {needed / 2**20:,.0f}; "
            "free some space, then `gasp resume`"
        )


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """Complete checkpoints, oldest step first; anything unsealed is not listed.

    Whether one is sound only `verify_checkpoint` says.
    """
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and (path / "DONE").exists():
            size = sum(file.stat().st_size for file in _files(path))
            found.append(Checkpoint(int(match[1]), path, _score(path), size))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def find_checkpoint(run: Path, step: int | None = None) -> Checkpoint:
    """A run's checkpoint of a step, or its last one; raises `StoreError` naming those there are."""
    found = list_checkpoints(run / "checkpoints")
    chosen = [c for c in found if step is None or c.step == step]
    if not chosen:
        wanted = "no checkpoint" if step is None else f"no checkpoint of step {step}"
        there = ", ".join(str(c.step) for c in found) or "none"
        raise StoreError(f"{run}: {wanted}; there are: {there}")
    return chosen[-1]


def verify_checkpoint(path: Path) -> None:
    """Compare every file with the manifest; raises `StoreError` naming the first difference."""
    expected = _manifest(path)["files"]
    for name, digest in expected.items():
        file = path / name
        if not file.is_file():
            raise StoreError(f"{file}: missing from the checkpoint; resume from an earlier one")
        if _digest(file) != digest:
            raise StoreError(f"{file}: checksum differs; resume from an earlier checkpoint")
    present = {str(file.relative_to(path)) for file in _files(path)}
    if strange := sorted(present - set(expected) - SEALS):
        raise StoreError(f"{path / strange[0]}: not in the checkpoint's manifest; remove it")


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
        unsealed = match and not (path / "DONE").exists()
        if path.name.endswith(".partial") or unsealed or (match and int(match[1]) > step):
            _discard(path)


def copy_checkpoint(source: Path, folder: Path, step: int) -> Path:
    """Copy a verified checkpoint into another run's folder."""

    def copy(target: Path) -> None:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*SEALS), dirs_exist_ok=True)

    verify_checkpoint(source)
    return write_checkpoint(folder, step, copy, _score(source))


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path / 'manifest.json'}: unreadable: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise StoreError(f"{path / 'manifest.json'}: not a manifest of a checkpoint's files")
    if not manifest["files"]:
        raise StoreError(f"{path / 'manifest.json'}: names no files")
    return manifest


def _score(path: Path) -> float | None:
    """The score in the manifest; none too when the checkpoint is damaged, so that one bad file
    does not hide the sound checkpoints beside it."""
    try:
        score = _manifest(path).get("score")
    except StoreError:
        return None
    return score if isinstance(score, float | int) else None


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
