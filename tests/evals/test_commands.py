"""`gasp eval` and `gasp goalposts` as a user types them, on a tiny model of random weights."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gasp_rl.cli import build_app
from gasp_rl.errors import ConfigError, DataError, StoreError
from gasp_rl.evals.passk import upper_bound
from gasp_rl.evals.samples import SampleStore, stored_settings
from gasp_rl.goalposts.file import read_goalposts
from gasp_rl.problems.schema import load_questions, write_questions
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example

FEW = ("--max-tokens", "4", "--temperature", "1")


def gasp(*words: object) -> str:
    """Standard output of a command that succeeds; an error is raised as it is."""
    result = CliRunner().invoke(build_app(), [str(word) for word in words])
    if result.exception:
        raise result.exception
    return result.stdout


def report(*words: object) -> dict[str, Any]:
    """The one report of `gasp eval --json`."""
    (found,) = json.loads(gasp("eval", *words, "--json"))
    return found


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Three questions, the last without tests."""
    questions = [
        Question(
            id=f"add{i}",
            source="mine",
            form=Form.FUNCTION,
            statement=f"Add {i} to the number x and return the sum of both.",
            hidden=(Example("1", str(1 + i)),) if i < 3 else (),
            difficulty="easy" if i == 1 else "hard",
        )
        for i in (1, 2, 3)
    ]
    write_questions(tmp_path / "mine.jsonl", questions)
    return tmp_path / "mine.jsonl"


def test_a_model_folder_is_evaluated_resumed_and_extended(
    mine: Path, chat_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.db"
    words = (chat_model, "--on", mine, "--out", out, *FEW)
    first = report(*words, "-n", 2)
    assert (first["questions"], first["untested"], first["samples"]) == (2, 1, 4)
    assert first["pass_at_k"]["1"]["interval_of"] == "wilson"
    assert first["settings"]["prompts"] == "1"
    assert first["settings"]["style"] == "chat"
    assert report(*words, "-n", 2) == first
    more = report(*words, "-n", 5)
    assert (more["samples"], set(more["pass_at_k"])) == (10, {"1", "5"})
    with SampleStore(out, stored_settings(out)) as store:
        assert {row.gradings for row in store.graded("mine")} == {1}
    with pytest.raises(StoreError, match="max_tokens = 4, not 5"):
        report(*words, "--max-tokens", 5)
    shown = gasp("eval", *words, "-n", 5)
    assert "pass@1: 0.00 [0.00, 65.76]  (wilson 95% over questions)" in shown
    assert "1 questions without tests are not counted" in shown


def test_greedy_is_temperature_0_and_one_sample(
    mine: Path, chat_model: Path, tmp_path: Path
) -> None:
    words = (chat_model, "--on", mine, "--temperature", 0, "--max-tokens", 4)
    texts = []
    for name in ("a.db", "b.db"):
        report(*words, "--out", tmp_path / name, "--seed", len(texts))
        with SampleStore(tmp_path / name, stored_settings(tmp_path / name)) as store:
            texts.append([row.sample.completion for row in store.graded("mine")])
    assert texts[0] == texts[1]
    with pytest.raises(ConfigError, match="temperature 0 gives 3 equal samples"):
        report(*words, "-n", 3, "--out", tmp_path / "c.db")


def test_base_models_and_templates(mine: Path, chat_model: Path, tmp_path: Path) -> None:
    words = ("--on", mine, *FEW, "--difficulty", "easy")
    base = report(chat_model, *words, "--style", "completion", "--out", tmp_path / "a.db")
    assert (base["questions"], base["settings"]["style"]) == (1, "completion")
    assert "hard" not in base["described"]
    template = tmp_path / "ours.toml"
    texts = "".join(f'{form.value} = "{{question}}"\n' for form in Form)
    template.write_text(f'version = "7"\n[chat]\n{texts}')
    ours = report(chat_model, *words, "--template", template, "--out", tmp_path / "b.db")
    assert ours["settings"]["prompts"] == "ours.toml:7"


def test_a_file_of_completions_is_graded_and_rescored(mine: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "theirs.jsonl", tmp_path / "s.db"
    rows = [
        {"task_id": "add1", "solution": "def f(x): return x + 1"},
        {"task_id": "add1", "solution": "def f(x): return x"},
        {"task_id": "other", "solution": ""},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--on", mine, "--out", out)
    assert "1 samples of 1 other questions left out" in gasp("eval", "--samples", file, *words)
    graded = report("--samples", file, *words)
    assert graded["pass_at_k"]["1"]["value"] == 0.5
    assert (graded["questions"], graded["unsampled"], graded["untested"]) == (1, 1, 1)
    assert "1 questions have no sample" in gasp("eval", "--samples", file, *words)
    again = report("--rescore", *words)
    assert again == graded
    other = report("--rescore", *words, "--stdin-grader", "lcb_compat", "--cpu-seconds", 2)
    assert other["settings"]["stdin_grader"] == "lcb_compat"
    assert report("--rescore", *words)["settings"]["cpu_seconds"] == 2
    with SampleStore(out, stored_settings(out)) as store:
        assert {row.gradings for row in store.graded("mine")} == {4}
    write_questions(tmp_path / "elsewhere.jsonl", load_questions(mine).questions)
    with pytest.raises(StoreError, match="holds no samples of elsewhere"):
        report("--rescore", "--on", tmp_path / "elsewhere.jsonl", "--out", out)
    file.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(StoreError, match="samples_digest"):
        report("--samples", file, *words, "--stdin-grader", "lcb_compat", "--cpu-seconds", 2)


def test_rescoring_under_another_rule_leaves_no_verdict_of_the_old_one(tmp_path: Path) -> None:
    for name in ("left", "right"):
        question = Question(
            id=name, source="s", form=Form.STDIN, statement="", hidden=(Example("", "1"),)
        )
        write_questions(tmp_path / f"{name}.jsonl", [question])
    file, out = tmp_path / "theirs.jsonl", tmp_path / "s.db"
    file.write_text(
        "".join(
            json.dumps({"task_id": name, "solution": "print(1)"}) + "\n"
            for name in ("left", "right")
        )
    )
    left, right = tmp_path / "left.jsonl", tmp_path / "right.jsonl"
    gasp("eval", "--samples", file, "--on", f"{left},{right}", "--out", out)
    report("--rescore", "--on", left, "--out", out, "--stdin-grader", "lcb_compat")
    with SampleStore(out, stored_settings(out)) as store:
        assert store.verdicts("left") == {"OK": 1}
        assert store.verdicts("right") == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model"], "say on which sets"),
        (["model", "--rescore", "--on", "FILE"], "give one of: a model"),
        (["--on", "FILE"], "give one of: a model"),
        (["nowhere", "--on", "FILE"], "no model folder here"),
        (["nowhere", "--on", "FILE", "--style", "odd"], "--style odd: write one of chat"),
        (["nowhere", "--on", "FILE", "--stdin-grader", "odd"], "write real or lcb_compat"),
        (["nowhere", "--on", "FILE", "--difficulty", "odd"], "no question is left"),
        (["nowhere", "--on", "FILE", "--since", "2024-08-01"], "has no date"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], message: str, mine: Path, tmp_path: Path
) -> None:
    words = [str(mine) if word == "FILE" else word for word in words]
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        gasp("eval", *words, "--out", tmp_path / "s.db")
    assert "\n" not in str(caught.value)


def test_goalposts_are_mined_in_shards_merged_listed_and_checked(
    mine: Path, chat_model: Path, tmp_path: Path
) -> None:
    base = ("--stage", f"base={chat_model}@6", "--on", mine, *FEW, "-n", 9, "--confirm", 4)
    parts = [tmp_path / f"part{i}.jsonl" for i in (0, 1)]
    for i, part in enumerate(parts):
        gasp("goalposts", "mine", *base, "--shard", f"{i}/2", "--out", part)
    logs = [word for part in parts for word in ("--merge", f"{part}.draws")]
    out = tmp_path / "goalposts.jsonl"
    shown = gasp("goalposts", "mine", *base, *logs, "--out", out, "--log", tmp_path / "all.draws")
    assert "1 questions without tests are left out" in shown
    assert "2 goalposts in" in shown
    assert "20 samples, 100% of 20" in shown
    content = read_goalposts(out)
    merged = {line for part in parts for line in Path(f"{part}.draws").read_text().splitlines()}
    assert set((tmp_path / "all.draws").read_text().splitlines()) == merged
    assert {g.bound() for g in content.goalposts} == {upper_bound(0, 4)}
    assert content.provenance["prompts"] == ["chat 1"]
    listed = gasp("goalposts", "list", out)
    assert "mine/add1  easy  0 of 10, pass rate at most 52.7%" in listed
    rows = json.loads(gasp("goalposts", "list", out, "--json"))["goalposts"]
    assert [row["samples"] for row in rows] == [10, 10]
    assert "2 goalposts, all with tests" in gasp("goalposts", "check", out)
    with pytest.raises(DataError, match=r"2 questions of .* are also in mine"):
        gasp("goalposts", "check", out, "--against", mine)


def test_goalposts_that_are_evaluation_questions_are_refused(
    mine: Path, chat_model: Path, tmp_path: Path
) -> None:
    words = ("goalposts", "mine", "--stage", f"base={chat_model}", "--on", mine, *FEW)
    with pytest.raises(DataError, match=r"2 questions of .*(?s:.*)mine/add1 = mine/add1 \(id"):
        gasp(*words, "--against", mine, "--out", tmp_path / "g.jsonl")
    assert not (tmp_path / "g.jsonl").exists()
    with pytest.raises(DataError, match="1 goalposts have no tests"):
        gasp("goalposts", "check", mine)
    with pytest.raises(ConfigError, match="--stage base: write it as name=MODEL"):
        gasp("goalposts", "mine", "--stage", "base", "--on", mine)
    with pytest.raises(ConfigError, match="equal samples"):
        gasp(*words, "--temperature", 0)
    with pytest.raises(ConfigError, match="--merge nowhere: no such file"):
        gasp(*words, "--merge", "nowhere", "--log", tmp_path / "draws")
