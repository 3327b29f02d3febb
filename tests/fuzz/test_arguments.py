"""Arguments that make no sense: one sentence, exit code 2, nothing written, no traceback."""

import sys
from pathlib import Path

import pytest

from gasp_rl.cli import main

VERBS = [
    "train",
    "resume",
    "fork",
    "stop",
    "demo",
    "controls",
    "recipes",
    "config",
    "show",
    "status",
    "view",
    "report",
    "compare",
    "sql",
    "export",
    "eval",
    "study run",
    "goalposts mine",
    "goalposts list",
    "problems show",
    "problems convert",
    "miniature build",
    "miniature slope",
    "sandbox check",
]
CASES = [
    *([*verb.split(), "--nonsense"] for verb in VERBS),
    ["nonsense"],
    ["--nonsense"],
    ["train"],
    ["train", "nonsense"],
    ["train", "."],
    ["train", "nonsense.toml"],
    ["train", "steps=3", "demo-quick"],
    ["train", "demo-quick", "--seed", "3"],
    ["train", "demo-quick", "seed=true"],
    ["train", "demo-quick", "steps"],
    ["train", "demo-quick", "=1"],
    ["train", "demo-quick", "steps=nan"],
    ["train", "demo-quick", "\x1b[31m=\u202e"],
    ["train", "demo-quick", "steps=" + "[" * 3000],
    ["train", "demo-quick", "engine.name=scripted"],
    ["train", "demo-quick", "model.path=nonsense"],
    ["train", "demo-quick", "data.goalposts=nonsense.jsonl"],
    ["train", "miniature-rlvr", "data.pool=nonsense"],
    ["train", "demo-quick", "--dir", "/proc/nonsense"],
    ["demo", "steps=0"],
    ["resume"],
    ["resume", "nonsense"],
    ["fork", "nonsense", "steps=2"],
    ["fork", "latest", "--step", "0"],
    ["stop", "nonsense"],
    ["controls", "nonsense"],
    ["show", "nonsense"],
    ["status", "/proc/self"],
    ["report"],
    ["report", "nonsense"],
    ["compare", "nonsense"],
    ["sql", "nonsense", "select 1"],
    ["export", "nonsense", "out.jsonl"],
    ["eval", "nonsense", "--on", "nonsense"],
    ["goalposts", "list", "nonsense.jsonl"],
    ["problems", "show", "nonsense"],
    ["miniature", "build", "--world", "nonsense"],
    ["view", "--port", "1000000"],
    ["view", "nowhere"],
    ["view", "--host", "999.999.999.999"],
    ["config", "nonsense"],
    ["show", ""],
    ["train", ""],
    ["train", "demo-quick", "sandbox.workers=100000000"],
    ["train", "demo-quick", "sandbox.memory_mb=999999999999999999"],
    ["train", "demo-quick", "engine.threads=99999999999"],
    ["train", "demo-quick", "model.path="],
    ["train", "demo-quick", "data.goalposts="],
    ["train", "demo-quick", "data.pool="],
    ["train", "demo-quick", "store.dir=/dev/null"],
    ["train", "demo-quick", "--dir", "/etc/passwd"],
]


@pytest.mark.parametrize("words", CASES, ids=lambda words: " ".join(words)[:40])
def test_one_sentence(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gasp", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert said.startswith("gasp: ")
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["sandbox"], ["study"]], ids=" ".join)
def test_a_command_without_its_verb_prints_its_help_alone(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gasp", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "Usage: gasp" in said.out
    assert said.err == ""


def test_a_folder_that_is_taken_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    words = ["train", "demo-quick", "model.path=nowhere", "--dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["gasp", *words])
    with pytest.raises(SystemExit):
        main()
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["problems", "convert", "miniature:test", "out.jsonl"],
        ["goalposts", "mine", "--on", "x.jsonl", "--stage", "a=miniature", "--out", "out.jsonl"],
        ["train", "demo-quick", "--dir", "."],
    ],
)
def test_nothing_is_overwritten(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gasp", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (tmp_path / "out.jsonl").read_text() == "mine"
