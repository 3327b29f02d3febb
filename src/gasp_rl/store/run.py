"""The writer of a run: one folder, one lock, one transaction for each step."""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gasp_rl.config import Config
from gasp_rl.errors import StoreError
from gasp_rl.store import rows
from gasp_rl.store.checkpoints import (
    discard_after,
    list_checkpoints,
    prune_checkpoints,
    require_space,
    write_checkpoint,
)
from gasp_rl.store.database import clear_errors, create_database, open_database
from gasp_rl.store.folder import RunLock, make_run_folder, read_config
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import EvalRecord, GoalpostAttempt, GoalpostRecord, StepRecord
from gasp_rl.types import Axis, Stage


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a run continues: the last step whose weights and state are both at hand."""

    step: int
    checkpoint: Path
    state: bytes


class RunStore:
    """A run open for writing. Use `create`, `open` or `open_readonly`; close it when done.

    Example::

        with RunStore.create(config) as store:
            store.add_goalposts(goalposts)
            store.commit_step(record)       # all of it, or nothing
            store.save_checkpoint(record.step, engine.save)
    """

    def __init__(self, path: Path, lock: RunLock, *, new: bool, keep_text: bool = True) -> None:
        self.path = path
        self._lock: RunLock | None = lock
        self._keep_text = keep_text
        self._database = path / "run.db"
        if new:
            self._db = create_database(self._database)
        else:
            self._db = open_database(self._database, readonly=False)
        self.reader = RunReader(path, self._db)
        self.attempt = int(self.reader.info().get("attempt", "0")) + 1
        with self._transaction():
            self._note("attempt", str(self.attempt))
        if not new:
            self._rewrite_metrics()
        self.log(f"attempt {self.attempt} {'created' if new else 'reopened'}")

    @classmethod
    def create(cls, config: Config, dir: Path | None = None, recipe: str = "") -> "RunStore":
        """Make the run folder (`dir`, or a dated name under `config.store.dir`) and lock it.

        `recipe` is the recipe's text as the user wrote it. See `make_run_folder` for what is
        refused.
        """
        path, lock = make_run_folder(config, dir, recipe)
        try:
            return cls(path, lock, new=True, keep_text=config.store.keep_rollouts)
        except StoreError:
            lock.release()
            raise

    @classmethod
    def open(cls, path: Path) -> "RunStore":
        """Reopen a run for writing (resume). Raises `StoreError` when another process has it."""
        if not (path / "run.db").is_file():
            raise StoreError(f"{path}: no run here (no run.db)")
        lock = RunLock(path)
        try:
            keep_text = read_config(path).store.keep_rollouts
            return cls(path, lock, new=False, keep_text=keep_text)
        except StoreError:
            lock.release()
            raise

    @staticmethod
    def open_readonly(path: Path) -> RunReader:
        """The reading side alone; works beside a writer and on a copied, read-only folder."""
        return RunReader.open(path)

    def close(self) -> None:
        """Fold the write-ahead log into run.db (one self-contained file) and drop the lock."""
        if self._lock is None:
            return
        try:
            with clear_errors(self._database):
                if not self._db.in_transaction:
                    self._db.execute("pragma busy_timeout = 0")
                    self._fold_journal()
        finally:  # on a full disk the log cannot be folded; whoever opens the run next does it
            self._db.close()
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "RunStore":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def add_goalposts(self, goalposts: Iterable[GoalpostRecord]) -> None:
        """Remember goalposts; those already known by id are left as they are."""
        with self._transaction():
            for goalpost in goalposts:
                rows.insert_goalpost(self._db, goalpost)

    def commit_step(self, record: StepRecord) -> None:
        """Write everything of one step in one transaction, then one line to metrics.jsonl."""
        self._check_lineage(record)
        with self._transaction():
            rows.insert_step(self._db, record, self.attempt, time.time(), self._keep_text)
            kept = [c.step for c in list_checkpoints(self.checkpoints)]
            marks = ",".join("?" * len(kept))
            self._db.execute(
                f"update step set state = null where step < ? and step not in ({marks})",
                (record.step, *kept),
            )
        line = _metrics_line(record.step, record.seconds, {**record.times, **record.metrics})
        with clear_errors(self._database), self._metrics_file.open("a", encoding="utf-8") as file:
            file.write(line)

    def commit_evals(
        self, evals: Sequence[EvalRecord] = (), attempts: Sequence[GoalpostAttempt] = ()
    ) -> None:
        """Write evaluation results; the same policy, step and question again replaces them."""
        with self._transaction():
            rows.insert_evals(self._db, evals, attempts)

    def note(self, key: str, value: str) -> None:
        """Remember one fact about the run, for instance `finished` or `forked_from`."""
        with self._transaction():
            self._note(key, value)

    def log(self, line: str) -> None:
        """Append one dated line to log.txt."""
        stamp = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        with clear_errors(self.path), (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} [{self.attempt}] {line}\n")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint_dir(self, step: int) -> Path:
        """Where the checkpoint of a step lies once it is complete."""
        return self.checkpoints / f"step_{step:06d}"

    def save_checkpoint(
        self, step: int, write: Callable[[Path], None], score: float | None = None
    ) -> Path:
        """Write a checkpoint beside and rename it; see `write_checkpoint`."""
        return write_checkpoint(self.checkpoints, step, write, score)

    def require_space(self, needed: int) -> None:
        """Raise `StoreError` unless this many bytes are free where checkpoints go."""
        require_space(self.path, needed)

    def prune(self, *, keep_last: int, every: int = 0) -> list[Path]:
        """Keep the last k, the best and every m-th checkpoint; returns what was removed."""
        return prune_checkpoints(self.checkpoints, keep_last=keep_last, every=every)

    def resume_points(self) -> list[ResumePoint]:
        """Steps to continue from, best first: complete checkpoint and committed state."""
        points = []
        for checkpoint in reversed(list_checkpoints(self.checkpoints)):
            state = self.reader.state(checkpoint.step)
            if state is not None:
                points.append(ResumePoint(checkpoint.step, checkpoint.path, state))
        return points

    def rollback_to(self, step: int) -> None:
        """Forget every step after `step` (0: all of them), their evaluations and checkpoints."""
        discard_after(self.checkpoints, step)
        with self._transaction():
            rows.delete_after(self._db, step)
        self._rewrite_metrics()
        self.log(f"continues after step {step}")

    @property
    def _metrics_file(self) -> Path:
        return self.path / "metrics.jsonl"

    def _rewrite_metrics(self) -> None:
        """Derive metrics.jsonl from the database, replacing the file in one rename."""
        temporary = self._metrics_file.with_suffix(".jsonl.tmp")
        with clear_errors(self._metrics_file):
            with temporary.open("w", encoding="utf-8") as file:
                for step in self.reader.steps():
                    metrics = {**step.times, **step.metrics}
                    file.write(_metrics_line(step.step, step.seconds, metrics))
            temporary.replace(self._metrics_file)

    def _note(self, key: str, value: str) -> None:
        self._db.execute("insert or replace into info values (?, ?)", (key, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with clear_errors(self._database):
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise

    def _fold_journal(self) -> None:
        """Leave WAL mode so that the folder can be copied; a reader in the way is no harm."""
        try:
            self._db.execute("pragma journal_mode = delete").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise

    def _check_lineage(self, record: StepRecord) -> None:
        last = self.reader.last_step()
        if record.step != last + 1:
            raise StoreError(
                f"{self.path}: step {record.step} cannot follow step {last}; "
                "use rollback_to before running a step again"
            )
        accepted = {p.id: p.goalpost for p in record.proposals if p.rejection is None}
        for proposal in record.proposals:
            at_root = proposal.parent == proposal.goalpost
            if proposal.stage is Stage.LEMMA:
                sound = at_root
            else:
                root = accepted.get(proposal.parent) or self.reader.root_of(proposal.parent)
                sound = root == proposal.goalpost or (at_root and proposal.axis is Axis.FREE)
            if not sound:
                raise StoreError(
                    f"proposal {proposal.id}: parent {proposal.parent!r} is not an accepted node "
                    f"of goalpost {proposal.goalpost!r}"
                )


def _metrics_line(step: int, seconds: float, metrics: dict[str, float]) -> str:
    """JSON that any tool reads: a metric that is not finite becomes null."""
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return json.dumps({"step": step, "seconds": seconds, **finite}) + "\n"
