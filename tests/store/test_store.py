"""The run store: lineage, counts, round trips, rollback, locks, damage."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import GOALPOSTS, attempt, proposal, small_run, step_record

from gasp_rl.config import Config
from gasp_rl.errors import StoreError
from gasp_rl.store.codec import (
    SHORT,
    label_of,
    pack_json,
    pack_text,
    pack_trace,
    unpack_json,
    unpack_text,
    unpack_trace,
)
from gasp_rl.store.folder import find_run, list_runs
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import TokenTrace
from gasp_rl.store.run import RunStore
from gasp_rl.store.views import ProposalFilter, RolloutFilter
from gasp_rl.types import PassRate, Rejection, Stage

HOSTILE = [
    "<script>alert(1)</script>",
    "nul \x00 inside",
    "lone \ud800 surrogate \udfff",
    "\x1b[2J\x1b]0;title\x07 ansi",
    "bidi \u202e\u2066 marks",
    "'; drop table step; --",
    "",
]


def test_a_run_folder_holds_what_a_reader_needs(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        folder = store.path
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "environment.json", "recipe.toml", "run.db", "log.txt"} <= names
    assert Config.model_validate_json((folder / "config.json").read_text()).name == "small"
    assert (folder / "recipe.toml").read_text() == "steps = 3\n"
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["numpy"]
    assert environment["python"] == sys.version.split()[0]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[2]["curriculum/nodes"] == 3.0


def test_closing_leaves_one_self_contained_file(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        folder = store.path
    assert not list(folder.glob("run.db-*"))


def test_the_tree_reads_back(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        reader = RunReader.open(store.path)
        board = {g.id: g for g in reader.goalposts()}
        assert (board["g1"].lemmas, board["g1"].lifts, board["g1"].rejected) == (3, 3, 3)
        assert (board["g2"].lemmas, board["g2"].rejected) == (0, 3)
        assert board["g1"].label == "Double each number, drop the small ones."
        assert (board["g1"].evaluated, board["g1"].solved, board["g1"].first_solved) == (3, 2, 2)
        assert board["g1"].trained == PassRate(2, 30)

        lemmas = reader.proposals(ProposalFilter(parent="g1", verdict="accepted"))
        assert [node.id for node in lemmas] == ["1.lemma.0", "2.lemma.0", "3.lemma.0"]
        assert (lemmas[0].used, lemmas[0].recent, lemmas[0].lifts) == (3, PassRate(3, 3), 1)
        assert lemmas[1].recent == PassRate(0, 2)

        node = reader.node("2.lift.0")
        assert node.summary.parent == "2.lemma.0"
        assert node.summary.pass_rate == PassRate(1, 10)
        assert node.program == "def f(x):\n    return sum(x)"
        assert node.prompt.startswith("Write a variant of 2.lemma.0")
        assert reader.lineage("2.lift.0") == ["2.lemma.0", "2.lift.0"]
        assert [use.step for use in reader.uses("1.lemma.0")] == [1, 2, 3]
        drift = {d.id: (d.probed, d.later) for d in reader.drift()}
        assert drift["2.lemma.0"] == (PassRate(5, 10), PassRate(0, 2))


def test_rollouts_filter_and_read(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        reader = store.reader
        assert reader.counts() == {"goalpost": 2, "proposal": 12, "node": 6, "rollout": 18}
        wrong = reader.rollouts(RolloutFilter(purpose="attempt", verdict="wrong"))
        assert [r.id for r in wrong] == ["2.attempt.1", "3.attempt.1"]
        assert reader.count_rollouts(RolloutFilter(role="teacher")) == 12
        assert reader.count_rollouts(RolloutFilter(min_reward=0.9)) == 4
        detail = reader.rollout("2.attempt.1")
        assert detail.prompt == "Solve 2.lemma.0. return sum(x)"
        assert detail.task is not None
        assert detail.task.shown[0].output == "3"
        assert reader.rollout("1.lemma.1").summary.verdict == "too-easy"


def test_evaluating_again_replaces(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        before = store.reader.evals()
        store.commit_evals(before[:1], store.reader.goalpost_attempts()[:1])
        assert store.reader.evals() == before
        assert before[1].pass_at == {1: 0.1}


rejections = st.lists(st.sampled_from([None, *Rejection]), max_size=12)


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(rejections, min_size=1, max_size=4))
def test_funnel_counts_sum_to_the_proposals(tmp_path_factory, steps) -> None:
    folder = tmp_path_factory.mktemp("run")
    with RunStore.create(Config(), folder / "r") as store:
        store.add_goalposts(GOALPOSTS)
        for number, rejected in enumerate(steps, 1):
            proposals = [proposal(number, i, rejection=r) for i, r in enumerate(rejected)]
            store.commit_step(step_record(number, proposals))
        reader = store.reader
        assert sum(row.count for row in reader.funnel()) == sum(map(len, steps))
        for number, rejected in enumerate(steps, 1):
            rows = {row.verdict: row.count for row in reader.funnel(number, number)}
            assert rows.get("accepted", 0) == rejected.count(None)
            for reason in Rejection:
                assert rows.get(reason, 0) == rejected.count(reason)
        accepted = sum(r.count(None) for r in steps)
        assert len(list(reader.accepted())) == accepted
        assert sum(g.lemmas for g in reader.goalposts()) == accepted


def test_lineage_must_hold(tmp_path: Path) -> None:
    with small_run(tmp_path, steps=1) as store:
        for bad in (
            proposal(2, 0, Stage.LIFT, parent="1.lemma.1"),  # was rejected
            proposal(2, 0, Stage.LIFT, parent="1.lemma.0", goalpost="g2"),  # another root
            proposal(2, 0, Stage.LIFT, parent="g1"),  # a lift never has a goalpost as parent
            proposal(2, 0, Stage.LEMMA, parent="g2", goalpost="g1"),
        ):
            with pytest.raises(StoreError, match="is not an accepted node"):
                store.commit_step(step_record(2, [bad]))
        assert store.reader.last_step() == 1
        chain = proposal(2, 0, Stage.LIFT, parent="1.lift.0")
        store.commit_step(step_record(2, [chain]))
        assert store.reader.lineage("2.lift.0") == ["1.lemma.0", "1.lift.0", "2.lift.0"]


def test_a_step_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with small_run(tmp_path, steps=1) as store:
        before = store.reader.counts()
        twice = attempt(2, 0, "1.lemma.0")
        with pytest.raises(StoreError, match="UNIQUE"):
            store.commit_step(step_record(2, [proposal(2, 0)], [twice, twice]))
        assert store.reader.counts() == before
        assert store.reader.last_step() == 1
        store.commit_step(step_record(2, [proposal(2, 0)], [twice]))
        assert store.reader.last_step() == 2


def test_steps_have_no_gaps(tmp_path: Path) -> None:
    with small_run(tmp_path, steps=1) as store, pytest.raises(StoreError, match="cannot follow"):
        store.commit_step(step_record(3))


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 10_000_000], ids=lambda t: repr(t)[:20])
def test_hostile_text_survives_unchanged(tmp_path: Path, text: str) -> None:
    with small_run(tmp_path, steps=1, text=text) as store:
        node = store.reader.node("1.lemma.0")
        assert node.program == node.message == node.detail == text
        assert node.shown[0].input == text
        assert node.completion == f"```python\n{text}\n```"
        assert node.summary.label.isprintable()
        assert len(node.summary.label) <= 100
        rollout = store.reader.rollout("1.attempt.0")
        assert rollout.completion == rollout.detail == text


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=200))
def test_codecs_round_trip(text: str) -> None:
    assert unpack_text(pack_text(text)) == text
    assert unpack_json(pack_json({"a": [text]})) == {"a": [text]}
    label = label_of(text)
    assert len(label) <= 100
    assert label.isprintable()


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.floats(-50, 0, width=32)), max_size=40))
def test_traces_round_trip(tokens: list[tuple[int, float]]) -> None:
    trace = TokenTrace(
        ids=tuple(i for i, _ in tokens),
        logprobs=tuple(p for _, p in tokens),
        ends=tuple(range(len(tokens))),
    )
    assert unpack_trace(pack_trace(trace)) == trace


@pytest.mark.parametrize("length", [0, SHORT - 1, SHORT, 4096, 4097, 100_000])
def test_texts_of_every_length_round_trip_and_long_ones_shrink(length: int) -> None:
    text = ("def f(x):\n    return x + 1\n" * (length // 26 + 1))[:length]
    assert unpack_text(pack_text(text)) == text
    assert len(pack_text(text)) < max(SHORT + 1, length / 2)


def test_what_earlier_schemas_packed_is_still_read() -> None:
    assert unpack_text(zlib.compress(b"text", 6)) == "text"
    assert unpack_json(zlib.compress(b"[1]", 6)) == [1]
    arrays = array("i", [7, 70_000]), array("i", [1, 3]), array("f", [-0.5, -2.0])
    packed = zlib.compress(b"".join(a.tobytes() for a in arrays), 6)
    assert unpack_trace(packed) == TokenTrace(ids=(7, 70_000), ends=(1, 3), logprobs=(-0.5, -2.0))


def test_a_damaged_blob_is_one_sentence() -> None:
    with pytest.raises(StoreError, match="damaged"):
        unpack_text(b"no zlib")


def test_one_run_has_one_writer(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from gasp_rl.store.run import RunStore; from gasp_rl.errors import StoreError\n"
        "try: RunStore.open(Path(sys.argv[1]))\n"
        "except StoreError as error: print(error)"
    )
    with small_run(tmp_path) as store:
        command = [sys.executable, "-c", code, str(store.path)]
        refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"in use by another process (pid {os.getpid()})" in refused
        with RunReader.open(store.path) as reader:
            assert reader.last_step() == 3
    allowed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert allowed == ""


def test_a_folder_with_content_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(StoreError, match="not empty"):
        RunStore.create(Config(), tmp_path)
    assert (tmp_path / "note.txt").read_text() == "mine"


_COMMITTER = """
import sys
from pathlib import Path
from small_runs import GOALPOSTS, attempt, proposal, step_record
from gasp_rl.config import Config
from gasp_rl.store.run import RunStore
store = RunStore.create(Config(), Path(sys.argv[1]))
store.add_goalposts(GOALPOSTS)
for step in range(1, 10_000):
    proposals = [proposal(step, i) for i in range(40)]
    rollouts = [attempt(step, i, proposals[0].id) for i in range(60)]
    store.commit_step(step_record(step, proposals, rollouts))
    print(step, flush=True)
"""


@pytest.mark.parametrize("moment", range(6))
def test_kill_during_commit_keeps_whole_steps_only(tmp_path: Path, moment: int) -> None:
    folder = tmp_path / "run"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    child = subprocess.Popen(
        [sys.executable, "-c", _COMMITTER, str(folder)], stdout=subprocess.PIPE, text=True, env=env
    )
    assert child.stdout is not None
    for _ in range(3):
        child.stdout.readline()
    time.sleep(0.007 * moment)
    child.send_signal(signal.SIGKILL)
    said = child.stdout.read()
    child.wait()
    printed = max([3, *(int(word) for word in said.split())])
    with RunStore.open(folder) as store:
        last = store.reader.last_step()
        assert printed <= last <= printed + 1
        counts = store.reader.counts()
        assert counts["proposal"] == 40 * last
        assert counts["rollout"] == 100 * last
        assert store.reader.state(last) == f"state after {last}".encode()
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(1, last + 1))
        assert store.attempt == 2
        store.commit_step(step_record(last + 1))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_database_is_one_sentence(tmp_path: Path, share: float) -> None:
    with small_run(tmp_path) as store:
        path = store.path / "run.db"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    for opener in (RunReader.open, RunStore.open):
        with pytest.raises(StoreError) as caught:
            opener(path.parent)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_other_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="not a database"):
        RunReader.open(tmp_path)
    (tmp_path / "run.db").unlink()
    connection = sqlite3.connect(tmp_path / "run.db")
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="schema version 99"):
        RunReader.open(tmp_path)
    (tmp_path / "run.db").write_bytes(b"")
    with pytest.raises(StoreError, match="holds no run"):
        RunReader.open(tmp_path)


def test_rollback_forgets_later_steps_and_only_those(tmp_path: Path) -> None:
    with small_run(tmp_path, steps=2) as store:
        expected = (store.reader.counts(), store.reader.evals(), store.reader.funnel())
        store.commit_step(step_record(3, [proposal(3, 0)], [attempt(3, 0, "1.lemma.0")]))
        store.save_checkpoint(3, lambda path: (path / "w").write_bytes(b"3") and None)
        store.rollback_to(2)
        assert (store.reader.counts(), store.reader.evals(), store.reader.funnel()) == expected
        assert len((store.path / "metrics.jsonl").read_text().splitlines()) == 2
        assert store.resume_points() == []
        store.commit_step(step_record(3, [proposal(3, 0)]))
        store.rollback_to(0)
        assert store.reader.counts()["proposal"] == 0
        assert store.reader.counts()["goalpost"] == 2


def test_resume_points_pair_a_checkpoint_with_its_state(tmp_path: Path) -> None:
    with small_run(tmp_path, steps=1) as store:
        for step in (2, 3, 4, 5):
            store.commit_step(step_record(step))
            if step % 2 == 0:
                store.save_checkpoint(step, lambda path: (path / "w").write_bytes(b"w") and None)
        assert [(p.step, p.state) for p in store.resume_points()] == [
            (4, b"state after 4"),
            (2, b"state after 2"),
        ]
        assert store.reader.state(3) is None
        assert store.reader.state(5) == b"state after 5"


def test_select_reads_and_never_writes(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        names, rows = store.reader.select("select step, count(*) as n from proposal group by step")
        assert (names, rows) == (["step", "n"], [(1, 4), (2, 4), (3, 4)])
        for statement in (
            "delete from step",
            "attach 'x.db' as x",
            "pragma journal_mode = delete",
            "select 1; delete from step",
            "",
            "-- nothing",
        ):
            with pytest.raises(StoreError):
                store.reader.select(statement)
        with pytest.raises(StoreError, match="rows are read here, never changed"):
            store.reader.select("drop table step")
        assert store.reader.last_step() == 3


_ENDLESS = """
import signal, sys
from pathlib import Path
from gasp_rl.errors import StoreError
from gasp_rl.store.reader import RunReader
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
endless = "with recursive a(x) as (select 1 union all select x + 1 from a) select count(*) from a"
with RunReader.open(Path(sys.argv[1])) as reader:
    print("begins", flush=True)
    try:
        reader.select(endless)
    except (StoreError, KeyboardInterrupt):
        print("ended")
"""


def test_ctrl_c_ends_a_statement_without_end(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        pass
    command = [sys.executable, "-c", _ENDLESS, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=60)[0] == "ended\n"
        finally:
            process.kill()


def test_a_copied_read_only_folder_opens(tmp_path: Path) -> None:
    with small_run(tmp_path) as store:
        folder = store.path
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        with RunReader.open(folder) as reader:
            assert reader.last_step() == 3
    finally:
        folder.chmod(0o755)


def test_runs_are_found_by_path_name_and_latest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        small_run(tmp_path, name=name).close()
    now = time.time_ns()
    for offset, name in enumerate(("b", "a")):
        os.utime(tmp_path / name / "config.json", ns=(now, now + offset))
    assert find_run("latest", tmp_path) == tmp_path / "a"
    assert find_run("b", tmp_path) == tmp_path / "b"
    assert find_run(str(tmp_path / "b"), Path("nowhere")) == tmp_path / "b"
    assert [path.name for path in list_runs(tmp_path)] == ["b", "a"]
    with pytest.raises(StoreError, match="no run folder"):
        find_run("c", tmp_path)


def test_text_can_be_left_out(tmp_path: Path) -> None:
    config = Config.model_validate({"store": {"keep_rollouts": False}})
    with RunStore.create(config, tmp_path / "r") as store:
        store.add_goalposts(GOALPOSTS)
        store.commit_step(step_record(1, [proposal(1, 0)]))
        assert store.reader.node("1.lemma.0").completion == ""
        assert store.reader.node("1.lemma.0").program != ""
