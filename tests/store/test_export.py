"""Exports as other tools read them: Parquet with pyarrow, a data set with `datasets`."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import proposal, small_run, step_record

from gasp_rl.errors import StoreError
from gasp_rl.store.export import PARQUET_PAGE, ExportWhat, export
from gasp_rl.store.reader import RunReader
from gasp_rl.store.run import RunStore

SURROGATE = "print('\ud800')"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with small_run(tmp_path, text=SURROGATE) as store:
        return Path(store.path)


def rows(path: Path) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet", reason='pip install "gasp-rl[export]"')
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


@pytest.mark.parametrize("what", ExportWhat)
def test_parquet_holds_what_json_lines_hold(run: Path, tmp_path: Path, what: ExportWhat) -> None:
    pytest.importorskip("pyarrow")
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    with RunReader.open(run) as reader:
        assert export(reader, what, lines) == export(reader, what, table)
    plain = [json.loads(line) for line in lines.read_text().splitlines()]
    stored = rows(table)
    assert len(plain) == len(stored) > 0
    for one, other in zip(plain, stored, strict=True):
        assert one.keys() <= other.keys()
        for key, value in one.items():
            assert (json.loads(other[key]) if isinstance(value, dict) else other[key]) == value
    assert not list(tmp_path.glob("*.part"))


def test_a_curriculum_loads_as_a_data_set(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install datasets")
    for name in ("c.parquet", "c.jsonl"):
        kind = {"c.parquet": "parquet", "c.jsonl": "json"}[name]
        with RunReader.open(run) as reader:
            count = export(reader, ExportWhat.CURRICULUM, tmp_path / name)
        loaded = datasets.load_dataset(
            kind, data_files=str(tmp_path / name), cache_dir=str(tmp_path / "cache")
        )["train"]
        assert len(loaded) == count
        assert loaded[1]["prompt"][0]["role"] == "user"
        info = json.loads(loaded[1]["info"])
        assert info["lineage"] == ["1.lemma.0", "1.lift.0"]
        assert info["hidden"]


def test_columns_that_begin_empty_keep_their_type(tmp_path: Path) -> None:
    """More than a page of rejected proposals without a neighbour, then one with."""
    pytest.importorskip("pyarrow")
    store: RunStore
    with small_run(tmp_path, steps=0) as store:
        many = [proposal(1, i, rejection="unparsable") for i in range(PARQUET_PAGE)]
        store.commit_step(step_record(1, many))
        store.commit_step(step_record(2, [proposal(2, 0)]))
        path = store.path
    with RunReader.open(path) as reader:
        assert export(reader, ExportWhat.PROPOSALS, tmp_path / "p.parquet") == PARQUET_PAGE + 1
    assert rows(tmp_path / "p.parquet")[-1]["id"] == "2.lemma.0"


def test_an_empty_export_says_so(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with small_run(tmp_path, steps=0) as store:
        path = store.path
    with RunReader.open(path) as reader, pytest.raises(StoreError, match="no rollouts yet"):
        export(reader, ExportWhat.ROLLOUTS, tmp_path / "r.parquet")
    assert not (tmp_path / "r.parquet").exists()
