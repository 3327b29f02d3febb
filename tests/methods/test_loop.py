"""The whole loop with a scripted policy: real sandbox, real store, real resume."""

from pathlib import Path

import pytest

from gasp_rl.config import Config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.store.run import RunStore
from gasp_rl.types import Rejection
from tests.methods.conftest import metrics_of, resumed_like_whole, with_keys, write


def test_every_proposal_is_kept_with_its_reason_and_the_funnel_adds_up(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    run = loop.train(config, tmp_path / "run", engine=engine)
    for metrics in metrics_of(run):
        fallen = sum(metrics[f"propose/reject/{reason}"] for reason in Rejection)
        assert metrics["propose/written"] == fallen + metrics["propose/accepted"]
    with RunStore.open_readonly(run) as reader:
        verdicts = {row.verdict for row in reader.funnel()}
        assert sum(row.count for row in reader.funnel()) == reader.count_proposals()
        reached = {"unparsable", "unsafe", "fails", "accepted", "too-easy", "too-hard"}
        assert reached <= verdicts
        for node in reader.accepted():
            rate = node.summary.pass_rate
            assert rate is not None
            band = config.teacher.lemma if node.summary.stage == "lemma" else config.teacher.lift
            assert band.low <= rate.value <= band.high
            root = node.summary.goalpost
            assert reader.has_goalpost(root)
            if node.summary.stage == "lift":
                assert root not in node.prompt
                assert "something hard" not in node.prompt


def test_seconds_stand_apart_from_what_a_seed_decides(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    run = loop.train(config, tmp_path / "run", engine=engine)
    with RunStore.open_readonly(run) as reader:
        for step in reader.steps():
            assert not [name for name in step.metrics if name.startswith("time/")]
            phases = {name: s for name, s in step.times.items() if name.count("/") == 1}
            assert {"time/lemma", "time/lift", "time/solver"} <= phases.keys()
            within = [s for name, s in phases.items() if name != "time/eval"]
            assert 0 < sum(within) <= step.seconds
            for name, seconds in phases.items():
                parts = [s for n, s in step.times.items() if n.startswith(f"{name}/")]
                assert sum(parts) <= seconds
        trained = reader.steps()[-1].times
        assert {"time/solver/sampling", "time/solver/judging", "time/solver/training"} <= set(
            trained
        )


@pytest.mark.parametrize("budget", [0, 400, 10**6])
def test_tokens_keep_their_log_probabilities_within_a_budget_trained_ones_first(
    config: Config, engine: ScriptedEngine, tmp_path: Path, budget: int
) -> None:
    config = with_keys(config, store={"trace_tokens": budget})
    run = loop.train(config, tmp_path / "run", engine=engine)
    with RunStore.open_readonly(run) as reader:
        kept = [reader.rollout(r.id) for r in reader.rollouts(limit=10**6)]
        for step in reader.steps():
            of_step = [d for d in kept if d.summary.step == step.step]
            traced = [d for d in of_step if d.trace is not None]
            assert sum(d.summary.tokens for d in traced) <= budget
            if budget == 400:
                assert traced
                assert all(d.summary.advantage is not None for d in traced)
            if budget > 400:
                assert traced == of_step
            for detail in traced:
                assert detail.trace.ends[-1] == len(detail.completion)


def test_lifts_inherit_the_axis_of_their_lemma(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    run = loop.train(config, tmp_path / "run", engine=engine)
    with RunStore.open_readonly(run) as reader:
        nodes = {node.summary.id: node.summary for node in reader.accepted()}
    lifts = [node for node in nodes.values() if node.stage == "lift"]
    assert lifts
    assert all(nodes[lift.parent].axis == lift.axis for lift in lifts)
    assert {node.axis for node in nodes.values()} == {"io", "f"}


def test_goalposts_and_hidden_tests_never_become_training_rows(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    loop.train(config, tmp_path / "run", engine=engine)
    student_rows = [
        bytes(t for t in row.prompt if t < 256).decode()
        for batch in engine.batches
        for row in batch
        if b"You are a teacher" not in bytes(t for t in row.prompt if t < 256)
    ]
    assert student_rows
    assert not any("something hard" in prompt for prompt in student_rows)


@pytest.mark.parametrize("method", ["gasp", "rlvr"])
def test_the_same_seed_gives_the_same_run(config: Config, method: str, tmp_path: Path) -> None:
    config = config.model_copy(update={"method": method})
    runs = [
        loop.train(config, tmp_path / name, engine=ScriptedEngine(write)) for name in ("a", "b")
    ]
    assert metrics_of(runs[0]) == metrics_of(runs[1])
    other = config.model_copy(update={"seed": 1})
    third = loop.train(other, tmp_path / "c", engine=ScriptedEngine(write))
    assert metrics_of(third) != metrics_of(runs[0])


@pytest.mark.parametrize("crash", [1, 2, 3])
def test_resuming_equals_not_having_stopped(config: Config, crash: int, tmp_path: Path) -> None:
    assert resumed_like_whole(config, tmp_path, crash)


def test_rlvr_trains_on_the_pool_alone(
    config: Config, engine: ScriptedEngine, tmp_path: Path
) -> None:
    config = config.model_copy(update={"method": "rlvr"})
    run = loop.train(config, tmp_path / "run", engine=engine)
    rows = [row for batch in engine.batches for row in batch]
    assert len(rows) == config.steps * config.rlvr.questions * config.rlvr.attempts
    with RunStore.open_readonly(run) as reader:
        assert reader.count_proposals() == 0
