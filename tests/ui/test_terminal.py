"""The terminal views: live, plain, tree and status; everything a model wrote is inert."""

import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from small_runs import small_run
from typer.testing import CliRunner

from gasp_rl.errors import StoreError
from gasp_rl.store.health import Level, check_health, is_dead, worst
from gasp_rl.store.views import StepSummary
from gasp_rl.types import Metrics
from gasp_rl.ui import commands
from gasp_rl.ui.console import (
    LiveView,
    PlainView,
    Tally,
    bar,
    duration,
    open_console,
    print_whole,
)
from gasp_rl.ui.safe import block, one_line, visible
from gasp_rl.ui.tree import node_view, run_tree

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eevil \x00 \ud800 [red]markup[/red] \x9b31m \r over"
METRICS: Metrics = {
    "curriculum/goalposts_reached": 2,
    "curriculum/nodes": 31,
    "lemma/accept_rate": 0.25,
    "propose/written": 64,
    "propose/accepted": 16,
    "propose/reject/unparsable": 20,
    "propose/reject/too-hard": 28,
    "student/correct_at/depth 4": 0.5,
    "tokens/sampled": 8000,
}


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=100))
def test_visible_text_holds_nothing_a_terminal_acts_on(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    shown.encode("utf-8")
    assert one_line(text, 50).isprintable()
    assert len(one_line(text, 50)) <= 50


def test_visible_keeps_what_is_harmless() -> None:
    assert visible("def f(x):\n\treturn 'é漢'") == "def f(x):\n\treturn 'é漢'"
    assert visible("a\x1b[2Jb\u202e") == "a\\x1b[2Jb\\u202e"


def test_block_cuts_and_says_so() -> None:
    text = block("x" * 10_000_000 + "\n" + "\n".join("abcdefg"), lines=3, width=20)
    assert text.splitlines()[0] == "x" * 20 + "... (10000000 characters)"
    assert text.splitlines()[-1] == "... (5 more lines)"


def _clock():
    ticks = iter(range(1000))
    return lambda: float(next(ticks))


def test_plain_lines_say_where_the_run_is() -> None:
    stream = io.StringIO()
    view = PlainView(stream, now=_clock())
    view.start_run("demo", 10)
    view.start_phase("lemma", 8)
    view.advance(8, tokens=100)
    for step in (1, 2):
        view.step_committed(step, 2.0, METRICS)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "demo: 10 steps"
    assert lines[2].startswith("step 2/10  2.0 s  goalposts 2  nodes 31  lemma 25%")
    assert re.search(r"left \d+ s", lines[2])


def test_a_finding_is_told_once_while_it_lasts() -> None:
    stream = io.StringIO()
    view = PlainView(stream, now=_clock())
    view.start_run("demo", 30)
    refused = {**METRICS, "propose/accepted": 0}
    for step in range(1, 16):
        view.step_committed(step, 2.0, refused)
    lines = stream.getvalue().splitlines()
    told = [line for line in lines if line.startswith("red: ")]
    assert len([line for line in lines if line.startswith("step ")]) == 15
    assert len(told) == 1
    assert "acceptance" in told[0]


def test_a_closed_stream_does_not_stop_a_run() -> None:
    stream = io.StringIO()
    view = PlainView(stream)
    stream.close()
    view.start_run("demo", 1)
    view.step_committed(1, 1.0, METRICS)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_view_shows_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_console(_Terminal()), PlainView)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(open_console(io.StringIO()), PlainView)
    view = open_console(_Terminal())
    assert isinstance(view, LiveView)
    view = LiveView(_Terminal(), now=_clock())
    view.start_run(f"demo {HOSTILE}", 10)
    view.say(HOSTILE)
    view.start_phase("lift", 64)
    view.advance(8, tokens=4000)
    view.step_committed(1, 2.0, {**METRICS, f"student/correct_at/{HOSTILE}": 0.1})
    console = Console(file=io.StringIO(), width=110, force_terminal=False)
    console.print(view.render())
    text = console.file.getvalue()
    view.close()
    for word in ("step 1/10", "lift 8/64", "tokens/s", "left", "nodes", "unparsable", "depth 4"):
        assert word in text
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("width", [120, 80, 60])
def test_the_live_view_wraps_nothing_and_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    view = LiveView(_Terminal(), now=_clock())
    view._tally.start_run("demo", 200, 0)
    metrics = {**METRICS, "novelty/nearest_mean": 0.84, "policy/logprob_gap": 2.1e-7}
    view.step_committed(1, 2.0, {**metrics, "student/correct/induction": 0.4})
    view.start_phase("lemma", 1280)
    view.advance(640, tokens=4000)
    shown = {}
    for moment in ("running", "ended"):
        console = Console(file=io.StringIO(), width=width, force_terminal=False)
        console.print(view.render())
        shown[moment] = console.file.getvalue().splitlines()
        view._tally.end()
    assert [len(lines) for lines in shown.values()] == [12, 12]
    assert {len(line) for lines in shown.values() for line in lines} == {width - 2}  # room for ^C
    assert not any("\u2026" in line for line in shown["running"])
    assert "left" in shown["running"][1]
    assert "stopped  took" in shown["ended"][1]


def test_speed_does_not_fade_between_batches() -> None:
    tally = Tally(now=_clock())
    tally.start_phase("lemma", None)
    tally.advance(1, tokens=100)
    assert [tally.tokens_per_second() for _ in range(3)] == [100.0] * 3


def test_durations_and_bars() -> None:
    assert [duration(s) for s in (9.4, 128, 3900)] == ["9 s", "2 min 08 s", "1 h 05 min"]
    assert [bar(p, 4) for p in (0, 0.5, 2)] == ["░░░░", "██░░", "████"]


def _printed(renderable) -> str:
    console = Console(file=io.StringIO(), width=160, highlight=False, emoji=False, markup=False)
    console.print(renderable)
    return console.file.getvalue()


def test_the_tree_and_a_node_are_readable(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        tree = _printed(run_tree(store.reader))
        node = _printed(node_view(store.reader, "2.lift.0"))
        goalpost = _printed(node_view(store.reader, "g1"))
        rollout = _printed(node_view(store.reader, "2.attempt.1"))
        everything = _printed(run_tree(store.reader, rejected=True))
        with pytest.raises(StoreError, match="no goalpost, node or rollout has the id 'nothing'"):
            node_view(store.reader, "nothing")
    assert "1 of 2 goalposts solved" in tree
    assert re.search(r"lemma 1\.lemma\.0  f  p 5/10 \[24%-76%\]  r 0.50  used 3x, now 3/3", tree)
    assert re.search(r"lift 2\.lift\.0  f  p 1/10 \[2%-40%\]", tree)
    assert "too-easy" not in tree
    assert "x 1.lemma.1  too-easy 10/10" in everything
    assert "x 1.lemma.2  unparsable" in everything
    assert "g1 > 2.lemma.0 > 2.lift.0" in node
    assert "f([4])" in node
    assert "step 2 trained: 1/10" in goalpost
    assert "student induction  wrong" in rollout


def test_what_is_no_terminal_gets_whole_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_run(tmp_path) as store:
        print_whole(run_tree(store.reader))
        print_whole(node_view(store.reader, "2.lift.0"))
    lines = capsys.readouterr().out.splitlines()
    assert any(len(line) > 80 for line in lines)
    assert not any("\u2026" in line or line != line.rstrip() for line in lines)
    assert any("p: right among the probes" in line for line in lines)


def test_hostile_text_is_inert_in_every_terminal_view(tmp_path: Path) -> None:
    with small_run(tmp_path, steps=1, text=HOSTILE) as store:
        ids = ["1.lemma.0", "1.lift.0", "1.lemma.2", "1.attempt.0"]
        shown = [_printed(node_view(store.reader, id)) for id in ids]
        shown.append(_printed(run_tree(store.reader, rejected=True)))
    for text in shown:
        assert all(c.isprintable() or c in "\n\t" for c in text)
    assert "[red]markup[/red]" in shown[0]
    assert "\\x1b[2J" in shown[0]


@pytest.fixture
def gasp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    commands.mount(app)
    return lambda *words: CliRunner().invoke(app, words)


def test_status_says_its_health_in_words_json_and_exit_code(gasp, tmp_path: Path) -> None:
    small_run(tmp_path / "runs").close()
    done = gasp("status")
    assert "small: step 3 of 50" in done.output
    assert "1 of 2 goalposts solved, 6 nodes from 12 proposals, 18 rollouts" in done.output
    state = json.loads(gasp("status", "small", "--json").output)
    assert state["step"] == 3
    assert done.exit_code == {"green": 0, "amber": 2, "red": 3}[state["health"]]


def test_show_sql_and_export_give_data_to_programs(gasp, tmp_path: Path) -> None:
    small_run(tmp_path / "runs", text="print('\ud800')").close()
    assert "1.lemma.0" in gasp("show").output
    tree = json.loads(gasp("show", "latest", "--json").output)
    assert len(tree["nodes"]) == 6
    assert json.loads(gasp("show", "latest", "g1", "--json").output)["question"]
    rows = json.loads(gasp("sql", "latest", "select count(*) as n from rollout", "--json").output)
    assert rows == [{"n": 18}]
    assert gasp("export", "latest", "data.jsonl").output == "6 rows of curriculum in data.jsonl\n"
    first = json.loads((tmp_path / "data.jsonl").read_text().splitlines()[1])
    assert json.loads(first["info"])["lineage"] == ["1.lemma.0", "1.lift.0"]
    assert first["prompt"][0]["role"] == "user"
    again = gasp("export", "latest", "data.jsonl")
    assert "exists" in str(again.exception)
    for what in ("rollouts", "proposals", "metrics", "evals"):
        assert gasp("export", "latest", f"{what}.jsonl", "--what", what).exit_code == 0
    assert len((tmp_path / "rollouts.jsonl").read_text().splitlines()) == 18


def test_compare_names_what_differs_and_who_solved_what(gasp, tmp_path: Path) -> None:
    small_run(tmp_path / "runs", steps=3, name="a").close()
    small_run(tmp_path / "runs", steps=1, name="b").close()
    text = gasp("compare", "a", "b").output
    assert re.search(r"settings that differ +a +b\n", text) or "settings that differ" in text
    data = json.loads(gasp("compare", "a", "b", "--json").output)
    assert data["only"] == [["g1"], []]
    assert data["groups"] == [["a", "b"]]
    paired = {row["tag"]: (row["questions"], row["mean"]) for row in data["paired"]}
    assert paired == {"": (3, 0.0), "given": (1, 0.0), "open": (2, 0.0)}
    assert "test, open: b - a = +0.0000" in text
    assert "two runs" in str(gasp("compare", "a").exception)


def _steps(count: int, **metrics: float) -> list[StepSummary]:
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    return [
        StepSummary(step=i, attempt=1, finished=0, seconds=1, version=i, metrics=named)
        for i in range(1, count + 1)
    ]


def test_health_rules_tell_a_dead_run_from_a_live_one() -> None:
    alive = _steps(10, group__all_right=0.2, group__all_wrong=0.3, policy__entropy=0.5)
    assert worst(check_health(alive)) is Level.GREEN
    assert is_dead(alive) is None
    dull = _steps(10, group__all_right=0.5, group__all_wrong=0.4)
    assert [f.rule for f in check_health(dull) if f.level is Level.AMBER] == ["dead groups"]
    dead = _steps(10, group__all_right=0.0, group__all_wrong=1.0)
    assert worst(check_health(dead)) is Level.RED
    assert "no signal" in (is_dead(dead) or "")
    assert is_dead(dead[:5]) is None
    refused = _steps(10, propose__written=64, propose__accepted=0, propose__reject__duplicate=50)
    assert {f.rule for f in check_health(refused) if f.level is Level.RED} == {
        "acceptance",
        "duplicates",
    }
    assert check_health(_steps(2, group__all_wrong=1.0, group__all_right=0.0)) == []


def test_entropy_time_and_disk_are_judged_against_the_run_itself() -> None:
    falling = _steps(20, policy__entropy=0.9)[:10] + [
        StepSummary(step=i, attempt=1, finished=0, seconds=5, version=i, metrics=m)
        for i, m in enumerate([{"policy/entropy": 0.05}] * 9, 11)
    ]
    levels = {f.rule: f.level for f in check_health(falling, free_bytes=2**29)}
    assert levels["disk"] is Level.RED
    assert levels["entropy"] is Level.AMBER
    assert levels["step time"] is Level.AMBER


def test_reading_verbs_import_nothing_heavy() -> None:
    code = (
        "import sys, gasp_rl.ui.commands; "
        "print([m for m in ('torch', 'starlette', 'uvicorn', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_views_ship_is_in_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    shipped = project["tool"]["setuptools"]["package-data"]["gasp_rl"]
    assert {"ui/static/*", "store/*.sql"} <= set(shipped)
