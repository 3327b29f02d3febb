"""`gasp push`: the folder that would be sent, the card, and a Hub that cannot be reached."""

import importlib.util
from pathlib import Path

import pytest
from small_runs import small_run

from conftest import HOSTILE
from gasp_rl.errors import ConfigError, StoreError
from gasp_rl.store.reader import RunReader
from gasp_rl.ui.push import push, write_folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two checkpoints and hostile text everywhere."""
    with small_run(tmp_path, text=HOSTILE) as store:
        for step in (1, 3):
            store.save_checkpoint(step, lambda folder: _weights(folder))
        return Path(store.path)


def _weights(folder: Path) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "training.pt"):
        (folder / name).write_text(name)


def test_the_folder_holds_weights_data_settings_and_no_optimiser(run: Path, tmp_path: Path) -> None:
    with RunReader.open(run) as reader:
        folder = write_folder(reader, tmp_path / "out")
        with pytest.raises(StoreError, match="not empty"):
            write_folder(reader, tmp_path / "out")
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {"README.md", "model.safetensors", "config.json", "run/config.json"} <= files
    assert "data/curriculum.jsonl" in files
    assert not {"training.pt", "DONE", "manifest.json", "run.db"} & files
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "Weights after step 3" in card
    assert "<script" not in card
    assert not any(ord(c) < 32 and c not in "\n\t" for c in card)
    assert len(card) < 100_000


def test_the_cards_front_matter_is_what_the_hub_reads(run: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason='pip install "gasp-rl[hub]"')
    with RunReader.open(run) as reader:
        folder = write_folder(reader, tmp_path / "out", step=1)
    data = hub.ModelCard.load(folder / "README.md").data
    assert data.library_name == "transformers"
    assert "gasp-rl" in data.tags
    assert data.license is None


def test_every_file_is_one_that_the_hubs_library_commits(run: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason='pip install "gasp-rl[hub]"')
    with RunReader.open(run) as reader:
        folder = write_folder(reader, tmp_path / "out")
    for path in (p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        added = hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
        assert added.path_in_repo == name
        assert added.upload_info.size == path.stat().st_size


def test_a_checkpoint_that_is_not_there_is_named(run: Path, tmp_path: Path) -> None:
    with RunReader.open(run) as reader, pytest.raises(StoreError, match="step 2; there are: 1, 3"):
        write_folder(reader, tmp_path / "out", step=2)


@pytest.mark.skipif(not importlib.util.find_spec("huggingface_hub"), reason="no huggingface_hub")
def test_a_hub_that_cannot_be_reached_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    class Unreachable(huggingface_hub.HfApi):
        def __init__(self) -> None:
            super().__init__(endpoint="http://127.0.0.1:9", token="none")

    monkeypatch.setattr(huggingface_hub, "HfApi", Unreachable)
    with pytest.raises(StoreError, match=r"^user/name: not pushed: "):
        push(tmp_path, "user/name")


@pytest.mark.parametrize("name", ["", "a/b/c", "../x", "user/<b>", "user/na me", "-x/y"])
def test_names_that_are_no_repository(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="user/name"):
        push(tmp_path, name)
