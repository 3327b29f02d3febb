"""Forks: a copy of the parent up to a checkpoint, under another configuration, with its lineage."""

from pathlib import Path

import pytest
from small_runs import small_run

from gasp_rl.config import Config, override_config
from gasp_rl.errors import StoreError
from gasp_rl.store.fork import fork_run
from gasp_rl.store.reader import RunReader
from gasp_rl.store.run import RunStore
from gasp_rl.ui.status import status, status_text


def _weights(path: Path) -> None:
    (path / "weights").write_bytes(b"learnt")


def parent_run(root: Path) -> Path:
    with small_run(root, steps=4) as store:
        store.save_checkpoint(4, _weights, 0.5)
        store.note("finished", "yes")
        # As a run leaves it that went on after its first checkpoint.
        store.save_checkpoint(2, _weights)
        store._db.execute("update step set state = x'00' where step = 2")
    return store.path


def test_a_fork_holds_the_parent_up_to_its_checkpoint(tmp_path: Path) -> None:
    parent = parent_run(tmp_path)
    before = sorted((f.name, f.stat().st_mtime_ns) for f in parent.rglob("*"))
    config = override_config(Config(name="small"), ["optim.lr=0.5", "steps=9"], "test")
    path = fork_run(parent, config, tmp_path / "fork", step=2)
    with RunStore.open(path) as fork:
        assert fork.reader.last_step() == 2
        assert fork.attempt == 1
        [point] = fork.resume_points()
        assert (point.step, point.state) == (2, b"\x00")
        assert (point.checkpoint / "weights").read_bytes() == b"learnt"
        info = fork.reader.info()
        assert (info["forked_from"], info["forked_at"]) == ("small", "2")
        assert "finished" not in info
        assert fork.reader.lineage("2.lift.0") == ["2.lemma.0", "2.lift.0"]
        assert fork.reader.config()["optim"]["lr"] == 0.5
    assert len((path / "metrics.jsonl").read_text().splitlines()) == 2
    assert sorted((f.name, f.stat().st_mtime_ns) for f in parent.rglob("*")) == before


def test_the_last_checkpoint_is_taken_and_its_score_with_it(tmp_path: Path) -> None:
    path = fork_run(parent_run(tmp_path), Config(steps=9), tmp_path / "fork")
    with RunStore.open(path) as fork:
        assert fork.reader.last_step() == 4
        assert fork.resume_points()[0].step == 4


@pytest.mark.parametrize(
    ("step", "steps", "sentence"),
    [
        (3, 9, "no checkpoint of step 3; there are: 2, 4"),
        (None, 4, "would begin after step 4 and end at step 4"),
    ],
)
def test_what_cannot_be_forked_is_one_sentence(
    tmp_path: Path, step: int | None, steps: int, sentence: str
) -> None:
    parent = parent_run(tmp_path)
    with pytest.raises(StoreError, match=sentence):
        fork_run(parent, Config(steps=steps), tmp_path / "fork", step)
    assert not (tmp_path / "fork").exists()


def test_a_damaged_checkpoint_is_not_copied_and_the_fork_can_be_tried_again(tmp_path: Path) -> None:
    parent = parent_run(tmp_path)
    (parent / "checkpoints" / "step_000004" / "weights").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="checksum differs"):
        fork_run(parent, Config(steps=9), tmp_path / "fork")
    fork_run(parent, Config(steps=9), tmp_path / "fork", step=2)
    with RunReader.open(tmp_path / "fork") as fork:
        assert fork.last_step() == 2


def test_a_folder_with_content_is_not_overwritten(tmp_path: Path) -> None:
    parent = parent_run(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("precious")
    with pytest.raises(StoreError, match="not empty"):
        fork_run(parent, Config(steps=9), tmp_path / "mine")
    assert (tmp_path / "mine" / "config.json").read_text() == "precious"


def test_status_names_the_parent(tmp_path: Path) -> None:
    path = fork_run(parent_run(tmp_path), Config(steps=9), tmp_path / "fork", step=2)
    with RunReader.open(path) as fork:
        assert "forked from small after step 2" in status_text(status(fork))
