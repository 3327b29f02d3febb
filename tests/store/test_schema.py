"""Runs of earlier releases: read as they are, brought up to date when they are written to."""

import sqlite3
from pathlib import Path

import pytest
from small_runs import small_run, step_record

from gasp_rl.config import Config
from gasp_rl.store.database import ADDED, SCHEMA_VERSION
from gasp_rl.store.fork import fork_run
from gasp_rl.store.reader import RunReader
from gasp_rl.store.run import RunStore


def version(folder: Path) -> int:
    with sqlite3.connect(folder / "run.db") as db:
        return int(db.execute("pragma user_version").fetchone()[0])


def write_weights(folder: Path) -> None:
    (folder / "weights").write_bytes(b"1")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run as the first schema kept it."""
    with small_run(tmp_path) as store:
        store.save_checkpoint(3, write_weights)
        path = Path(store.path)
    with sqlite3.connect(path / "run.db") as db:
        for added in ADDED.values():
            for table, name, _ in added:
                db.execute(f"alter table {table} drop column {name}")
        db.execute("pragma user_version = 1")
    return path


def test_an_old_run_reads_like_a_new_one_and_stays_untouched(old: Path) -> None:
    before = (old / "run.db").read_bytes()
    with RunReader.open(old) as reader:
        assert [step.times for step in reader.steps()] == [{}, {}, {}]
        assert {row.tags for row in reader.evals("test")} == {()}
        assert reader.select("select count(*) from eval where tags = '[]'")[1] == [(9,)]
        assert len(reader.goalposts()) == 2
    assert (old / "run.db").read_bytes() == before
    assert version(old) == 1


def test_an_old_run_that_goes_on_is_brought_up_to_date(old: Path) -> None:
    with RunStore.open(old) as store:
        store.commit_step(step_record(4))
        assert store.reader.steps()[0].times == {}
        assert store.reader.steps()[-1].times == {"time/lemma": 0.5}
        assert store.reader.evals()[-1].tags == ("open",)
    assert version(old) == SCHEMA_VERSION
    with RunReader.open(old) as reader:
        assert reader.last_step() == 4


def test_an_old_run_can_be_forked(old: Path, tmp_path: Path) -> None:
    path = fork_run(old, Config(steps=9), tmp_path / "forked")
    with RunStore.open(path) as store:
        store.commit_step(step_record(4))
    assert version(path) == SCHEMA_VERSION
    assert version(old) == 1
