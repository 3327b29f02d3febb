"""Run folders: making, finding, and the lock that keeps a second process out."""

import fcntl
import os
from datetime import datetime
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.errors import StoreError, reason_of
from gasp_rl.store.environment import write_environment

_MADE_FIRST = {
    "run.lock",
    "config.json",
    "config.json.tmp",
    "recipe.toml",
    "environment.json",
    "code.diff",
    "run.db.partial",
    "run.db.partial-journal",
    "checkpoints",
}
"""What a run folder may hold before its database appears."""


def make_run_folder(config: Config, dir: Path | None, recipe: str) -> tuple[Path, "RunLock"]:
    """A locked run folder without its database: `dir`, or a dated name under `config.store.dir`.

    recipe: its text as the user wrote it, kept beside the resolved configuration.
    A folder that holds something is refused: nothing is overwritten. Only one that was given up
    before its database appeared (the process was killed) is taken over.
    """
    path = dir or new_run_path(config)
    require_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = RunLock(path)
        write_config(path, config)
        if recipe:
            (path / "recipe.toml").write_text(recipe, encoding="utf-8")
        write_environment(path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}; no run was made") from error
    return path, lock


def require_free(path: Path) -> None:
    """Raise `StoreError` where no run folder can be made, before anything heavy is loaded."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise StoreError(f"{path}: {place} is no folder; no run was made")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StoreError(f"{path}: {place}: Permission denied; no run was made")
    held = {entry.name for entry in path.iterdir()} if path == place else set()
    if held and not ("run.lock" in held and held <= _MADE_FIRST):
        raise StoreError(f"{path}: not empty; choose another folder or remove it yourself")


def write_config(path: Path, config: Config) -> None:
    """Replace the resolved configuration of a run in one rename."""
    temporary = path / "config.json.tmp"
    temporary.write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    temporary.replace(path / "config.json")


def read_config(path: Path) -> Config:
    """The resolved configuration of a run; raises `StoreError` when it cannot be read."""
    try:
        return Config.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path / 'config.json'}: cannot be read: {reason_of(error)}") from None


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
    return sorted(runs, key=lambda path: (_made_at(path), path.name))


def _made_at(run: Path) -> int:
    """When a run's configuration was written; 0 when it is missing."""
    file = run / "config.json"
    return file.stat().st_mtime_ns if file.is_file() else 0


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
    raise StoreError(
        f"{run or repr(run)}: no run folder of this path or name (looked in {root.absolute()})"
    )


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


def holder_of(folder: Path) -> int | None:
    """Process id of who has a run open for writing, None when nobody does."""
    try:
        fd = os.open(folder / "run.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{folder / 'run.lock'}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(fd, 32, 0).strip()
        return int(owner) if owner.isdigit() else 0
    else:
        return None
    finally:
        os.close(fd)


STOP = "stop"
"""A file of this name in a run folder asks the process that runs it to end after its step."""


def ask_to_stop(folder: Path) -> int:
    """Ask the process that runs a folder to end after its step; returns its process id."""
    owner = holder_of(folder)
    if owner is None:
        raise StoreError(f"{folder}: not running; nothing to stop")
    try:
        (folder / STOP).touch()
    except OSError as error:
        raise StoreError(f"{folder / STOP}: {error.strerror}") from None
    return owner
