"""Names of the embedded worlds, and which folders are models."""

from pathlib import Path

import pytest

from gasp_rl.config import Config
from gasp_rl.errors import DataError
from gasp_rl.problems.embedded import GOALPOSTS, SPLITS, embedded_worlds, find_model
from gasp_rl.problems.load import Source, load_set
from gasp_rl.store.run import RunStore


@pytest.mark.parametrize("world", embedded_worlds())
def test_every_set_that_an_embedded_world_is_said_to_have_loads(world: str) -> None:
    for split in (*SPLITS, GOALPOSTS):
        assert load_set(f"{world}:{split}", Source()).loaded.questions, split
    with pytest.raises(DataError, match=r"no split 'nosuch'; it has train, .*, goalposts"):
        load_set(f"{world}:nosuch", Source())


def test_a_run_is_no_model_and_its_checkpoints_are(tmp_path: Path) -> None:
    run = tmp_path / "a"
    RunStore.create(Config(name="a"), run).close()
    with pytest.raises(DataError, match=r"a run, not a model; .* \(it has none yet\)"):
        find_model(str(run))
    checkpoint = run / "checkpoints" / "step_000050"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")
    with pytest.raises(DataError, match=r"those are models: .*step_000050\)"):
        find_model(str(run))
    assert find_model(str(checkpoint)) == checkpoint
    assert (find_model("miniature") / "config.json").is_file()
    with pytest.raises(DataError, match="no model folder here"):
        find_model(str(tmp_path))
