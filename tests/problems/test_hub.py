"""LiveCodeBench through the Hub's cache, laid out as the Hub's client lays it out; no network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.problems.test_broken_rows import lcb_row

pytest.importorskip("huggingface_hub", reason="needs the train extra")

COMMIT = "0fe84c3912ea0c4d4a78037083943e8f0c4dd505"


def show(spec: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """`gasp problems show` without the network; the Hub's cache lies at `cache`."""
    return subprocess.run(
        [sys.executable, "-m", "gasp_rl.cli", "problems", "show", spec, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
    )


def cached(cache: Path, dates: list[str]) -> Path:
    """A cached snapshot whose n-th release file holds one question of the n-th date."""
    repository = cache / "datasets--livecodebench--code_generation_lite"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for number, date in enumerate(dates, 1):
        row = lcb_row(question_id=f"q{number}", contest_date=f"{date}T00:00:00")
        name = f"test{number if number > 1 else ''}.jsonl"
        (snapshot / name).write_text(json.dumps(row) + "\n")
    return snapshot


def test_cached_releases_are_read_without_the_network(tmp_path: Path) -> None:
    days = ["2023-05-07", "2024-07-31", "2024-08-01", "2024-09-01", "2025-01-04", "2025-04-06"]
    snapshot = cached(tmp_path, days)
    out = show("lcb-v5=hub,lcb-v5-train=hub,lcb-v6=hub", tmp_path)
    assert out.returncode == 0, out.stderr
    described = [json.loads(line)["described"] for line in out.stdout.splitlines()]
    assert described == [
        f"{snapshot}, release_v5, from 2024-08-01, 3 questions",
        f"{snapshot}, release_v5, before 2024-08-01, 2 questions",
        f"{snapshot}, release_v6, from 2024-08-01, 4 questions",
    ]


def test_what_is_neither_cached_nor_reachable_is_one_sentence(tmp_path: Path) -> None:
    cached(tmp_path, ["2023-05-07"])
    out = show("lcb-v5=hub", tmp_path)
    assert out.returncode == 2
    assert "code_generation_lite/test2.jsonl is not in the Hub's cache and cannot" in out.stderr
    assert "write lcb=FOLDER" in out.stderr
    assert len(out.stderr.strip().splitlines()) == 1
