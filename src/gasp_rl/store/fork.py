"""A fork: a new run that begins as a copy of another one, up to one of its checkpoints."""

import sqlite3
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.errors import StoreError
from gasp_rl.store import rows
from gasp_rl.store.checkpoints import copy_checkpoint, find_checkpoint
from gasp_rl.store.database import copy_database
from gasp_rl.store.folder import make_run_folder


def fork_run(
    parent: Path, config: Config, dir: Path | None = None, step: int | None = None
) -> Path:
    """Make a run folder with the steps of `parent` up to a checkpoint; `resume` goes on from there.

    step: which checkpoint; none takes the last one. The parent is only read, and may be running.
    The new run notes `forked_from` and `forked_at`. Steps keep their numbers, so `config.steps`
    counts those of the parent too. Raises `StoreError` when the checkpoint is missing or damaged.
    """
    checkpoint = find_checkpoint(parent, step)
    if config.steps <= checkpoint.step:
        raise StoreError(
            f"{parent}: the fork would begin after step {checkpoint.step} and end at step "
            f"{config.steps}; set steps= to more, or fork from an earlier --step"
        )
    path, lock = make_run_folder(config, dir, _text(parent / "recipe.toml"))
    try:
        copy_checkpoint(checkpoint.path, path / "checkpoints", checkpoint.step)

        def cut(db: sqlite3.Connection) -> None:
            rows.delete_after(db, checkpoint.step)
            db.execute("delete from info")
            facts = {"forked_from": parent.resolve().name, "forked_at": str(checkpoint.step)}
            db.executemany("insert into info values (?, ?)", facts.items())

        copy_database(parent / "run.db", path / "run.db", cut)
    finally:
        lock.release()
    return path


def _text(recipe: Path) -> str:
    return recipe.read_text(encoding="utf-8") if recipe.is_file() else ""
