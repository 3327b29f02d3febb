"""The command line: help is quick to build, errors are one sentence with exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gasp_rl import __version__

DATA = Path(os.environ.get("GASP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def gasp(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from gasp_rl.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        timeout=240,
    )


def test_every_verb_has_help() -> None:
    out = gasp("--help").stdout
    for verb in (
        "train",
        "resume",
        "demo",
        "eval",
        "goalposts",
        "show",
        "view",
        "report",
        "recipes",
        "config",
        "miniature",
        "problems",
        "sandbox",
        "status",
        "compare",
    ):
        assert verb in out
        assert gasp(verb, "--help").returncode == 0


def test_the_version_and_a_short_help() -> None:
    assert gasp("--version").stdout == f"gasp-rl {__version__}\n"
    assert "Usage" in gasp("plan", "-h").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "nosuch"], "no recipe named 'nosuch'"),
        (["train", "miniature", "steps=-1"], "recipe miniature: steps"),
        (["train", "miniature", "model.path=/nowhere"], "/nowhere: no model folder here"),
        (["train", "miniature", "data.goalposts=/nowhere.jsonl"], "/nowhere.jsonl"),
        (["train", "miniature", "data.goalposts=nosuch"], "no set named 'nosuch'"),
        (["show", "/nowhere"], "/nowhere"),
        (["miniature", "build", "--world", "mars"], "no world named 'mars'"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    out = gasp(*words, f"store.dir={tmp_path}") if words[0] == "train" else gasp(*words)
    assert out.returncode == 2, out.stderr
    assert sentence in out.stderr
    assert "Traceback" not in out.stderr
    assert len(out.stderr.strip().splitlines()) == 1


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in gasp("--debug", "train", "nosuch").stderr


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    out = gasp("train", "miniature", "steps=1", "--dir", str(tmp_path))
    assert out.returncode == 2
    assert "not empty" in out.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_dry_run_prints_settings_and_prompts() -> None:
    out = gasp("train", "miniature", "steps=3", "--dry-run").stdout
    assert '"steps": 3' in out
    assert "Easier mapping." in out
    assert "goalposts" in out


@pytest.mark.parametrize(
    "source",
    [
        "lcb-v5-train={data}/livecodebench/questions.jsonl.gz",
        "code-contests={data}/code_contests/codecontests.jsonl.gz",
    ],
)
def test_one_iteration_on_real_questions(source: str, tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip(f"real questions are not here: {DATA} (set GASP_TEST_DATA)")
    pytest.importorskip("torch", reason="the local engine needs the train extra")
    run = tmp_path / "run"
    goalposts = source.format(data=DATA)
    out = gasp(
        "train",
        "lcb-dry-run",
        f"data.goalposts={goalposts}",
        "--dir",
        str(run),
        XDG_CACHE_HOME=str(tmp_path),
    )
    assert out.returncode == 0, out.stderr
    counts = gasp("sql", str(run), "select verdict, count(*) from proposal group by 1").stdout
    assert counts.splitlines()[1:] == ["unparsable\t8"]
    prompt = gasp("show", str(run), "1.lemma.0").stdout
    assert "You are a teacher of programming" in prompt
