"""Run folders: naming, finding, and the lock that keeps a second process out."""

import fcntl
import os
from datetime import datetime
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.errors import StoreError


def new_run_path(config: Config) -> Path:
    """A free folder name `DATE_NAME_sSEED` under the configured directory."""
    stem = f"{datetime.now():%Y-%m-%d}_{config.name}_s{config.seed}"
    path, number = config.store.dir / stem, 1
    while path.exists():
        number += 1
        path = config.store.dir / f"{stem}_{number}"
    return path


def list_runs(root: Path) -> list[Path]:
    """Run folders directly under `root` (or `root` itself), oldest first."""
    if (root / "run.db").is_file():
        return [root]
    if not root.is_dir():
        return []
    runs = [path for path in root.iterdir() if (path / "run.db").is_file()]
    return sorted(runs, key=lambda path: ((path / "config.json").stat().st_mtime_ns, path.name))


def find_run(run: str, root: Path = Path("runs")) -> Path:
    """The folder that RUN means: a path, a name under `root`, or `latest`."""
    if run == "latest":
        runs = list_runs(root)
        if not runs:
            raise StoreError(f"{root}: no runs yet; `gasp demo` makes one")
        return runs[-1]
    for path in (Path(run), root / run):
        if (path / "run.db").is_file():
            return path
    raise StoreError(f"{run}: no run folder of this path or name (looked in {root.absolute()})")


class RunLock:
    """An advisory lock on a run folder; the kernel drops it when the process ends, however."""

    def __init__(self, folder: Path) -> None:
        path = folder / "run.lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; the run folder must be writable") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreError(
                f"{folder}: in use by another process (pid {owner}); one run has one writer"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
