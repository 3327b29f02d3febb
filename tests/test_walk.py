"""Pages walked from start to end: every command as it stands there, in its order, in an empty folder.

Only what takes long is made short, and files that a reader has are stood in for.
"""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gasp_rl.cli import main
from gasp_rl.evals.samples import SampleStore, stored_settings

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "store"))

SHORT = {
    "eval": ["--style", "completion", "--max-tokens", "8"],
    "goalposts mine": ["--style", "completion", "--max-tokens", "8", "--first", "50"],
    "train mine.toml": [
        "teacher.sampling.max_tokens=8",
        "student.sampling.max_tokens=8",
        "teacher.max_attempts=1",
        "engine.dtype=float32",
    ],
}
"""What is added to a command of a page: a model with random weights has no chat template and never
stops by itself."""


def page(name: str, until: str = "") -> str:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return text.split(until)[0] if until else text


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """Indented lines that begin with `gasp` or `python`."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in plain.splitlines():
        if line.startswith("    ") and line.split()[0] in ("gasp", "python"):
            yield shlex.split(line)


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of one command, in this process."""
    added = [more for verb, more in SHORT.items() if " ".join(words[1:]).startswith(verb)]
    wants = [] if "--dry-run" in words else [word for more in added for word in more]
    monkeypatch.setattr(sys, "argv", [*words, *wants])
    if words[0] == "python":
        Path("made.py").write_text(words[2])
        runpy.run_path("made.py")
        return 0
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.timeout(900)  # 20 s of CPU
def test_bring_your_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the local engine needs the train extra")
    monkeypatch.chdir(tmp_path)
    text = page("bring-your-own.md", until="## What to watch first")
    Path("questions.jsonl").write_text(blocks(text, "json")[0])
    Path("mine.toml").write_text(blocks(text, "toml")[0])
    walked = []
    for words in commands(text):
        words = [word.replace("lcb-v5=FILE", "miniature:test") for word in words]
        code = run(words, monkeypatch)
        assert code == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
        walked.append(" ".join(words[:2]))
    assert {"python -c", "gasp eval", "gasp goalposts", "gasp plan", "gasp train"} <= set(walked)
    said = capsys.readouterr().out
    assert "2 goalposts in goalposts.jsonl" in said
    assert "unparsable" in said


def test_the_explorers_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from small_runs import small_run

    pytest.importorskip("pyarrow", reason='pip install "gasp-rl[export]"')
    monkeypatch.chdir(tmp_path)
    for run_name in ("a", "b"):
        small_run(tmp_path / "runs", name=run_name).close()
    reads = {"show", "status", "report", "compare", "sql", "export"}
    walked = [words for words in commands(page("explorer.md")) if words[1] in reads]
    assert len(walked) >= 9
    for words in walked:
        assert run(words, monkeypatch) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


def test_the_question_of_the_start_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="the local engine needs the train extra")
    monkeypatch.chdir(tmp_path)
    text = page("start.md")
    Path("mine.jsonl").write_text(blocks(text, "json")[0])
    (asked,) = [words for words in commands(text) if words[1] == "eval"]
    monkeypatch.setitem(SHORT, "eval", [])
    assert run(asked, monkeypatch) == 0, capsys.readouterr().err
    with SampleStore(Path("mine.db"), stored_settings(Path("mine.db"))) as store:
        right = [row.sample.question for row in store.graded("mine") if row.judgement.solved]
    assert right.count("two-steps") == 20  # solved
    assert 1 <= right.count("one-open") < 10  # guessed
