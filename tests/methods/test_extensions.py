"""Ladder, renewal, axis check and alignment on the whole loop: what they do, and exact resume."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gasp_rl.config import Config
from gasp_rl.curriculum.axes import on_io_axis
from gasp_rl.engines.protocol import Row
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.engines.two import TwoPolicies
from gasp_rl.goalposts.file import Goalpost, GoalpostFile, write_goalposts
from gasp_rl.methods import loop
from gasp_rl.methods.controls import Measured, commit_measured
from gasp_rl.methods.session import open_session
from gasp_rl.sandbox import Sandbox
from gasp_rl.store.fork import fork_run
from gasp_rl.store.run import RunStore
from gasp_rl.store.views import RolloutFilter
from gasp_rl.tasks import Induction
from gasp_rl.types import Example, PassRate
from tests.methods.conftest import metrics_of, question, resumed_like_whole, with_keys, write


def test_a_ladder_goes_on_from_mastered_lifts_alone(config: Config, tmp_path: Path) -> None:
    config = with_keys(config, steps=6, teacher={"lifts": 3, "mastery": 0.25})
    run = loop.train(config, tmp_path / "run", engine=ScriptedEngine(write))
    with RunStore.open_readonly(run) as reader:
        nodes = {n.summary.id: n.summary for n in reader.accepted()}
        probes = reader.rollouts(RolloutFilter(purpose="probe"), limit=100_000)
    rungs = {id: len(chain(nodes, id)) - 1 for id in nodes}
    assert max(rungs.values()) in (2, 3)
    for node in nodes.values():
        if rungs[node.id] >= 2:
            fresh = [p for p in probes if p.origin == node.parent and p.step == node.step]
            assert np.mean([p.verdict == "right" for p in fresh]) >= 0.25
    metrics = metrics_of(run)
    assert any(m["ladder/mastered"] for m in metrics)
    assert all(m["ladder/mastered"] <= m["ladder/tried"] <= 3 for m in metrics)


def chain(nodes: dict, id: str) -> list[str]:
    return [id, *chain(nodes, nodes[id].parent)] if id in nodes else []


def test_retired_goalposts_become_training_questions(config: Config, tmp_path: Path) -> None:
    renewal = {"every": 1, "active": 2, "samples": 8, "retire": 1, "tests": 1}
    engine = ScriptedEngine(write)
    run = loop.train(with_keys(config, renewal=renewal), tmp_path / "run", engine=engine)
    with RunStore.open_readonly(run) as reader:
        attempts = reader.rollouts(RolloutFilter(purpose="attempt"), limit=100_000)
        tests = [a for a in reader.goalpost_attempts() if a.policy == "renewal"]
        lemmas = {(n.summary.step, n.summary.goalpost) for n in reader.accepted()}
    first = {a.goalpost: a.correct for a in tests if a.step == 1}
    solved = {id for id, correct in first.items() if correct}
    assert set(first) == {"h0", "h1"}
    assert solved
    trained = {a.origin for a in attempts if a.step == 1 and a.origin in first}
    assert trained == solved
    assert not solved & {id for step, id in lemmas if step == 1}
    assert metrics_of(run)[0]["renewal/retired"] == len(solved)


def test_axis_check_tells_another_program_from_a_rewritten_one() -> None:
    def task(program: str) -> Induction:
        return Induction(program, "", (Example("2", "4"),), (Example("3", "6"),))

    before = task("def f(x):\n    return 2 * x")
    after = [
        "def f(number):\n    # doubled\n    return 2 * number",
        "def f(x):\n    return x + x",
        "def f(x):\n    return x * x",
        "def f(s):\n    return 2 * int(s[0])",
    ]
    with Sandbox() as sandbox:
        kept = on_io_axis([(before, task(program)) for program in after], sandbox)
    assert kept == [True, True, False, False]


def test_lifts_off_their_axis_are_counted_and_punished(config: Config, tmp_path: Path) -> None:
    config = with_keys(config, steps=2, teacher={"axes": ("io",)})
    rewards = {}
    for check in ("log", "punish"):
        run = loop.train(
            with_keys(config, teacher={"axis_check": check}),
            tmp_path / check,
            engine=ScriptedEngine(write),
        )
        with RunStore.open_readonly(run) as reader:
            lifts = [n for n in reader.accepted() if n.summary.stage == "lift"]
        rewards[check] = {n.summary.reward for n in lifts if n.detail.startswith("off the I/O")}
        assert metrics_of(run)[0]["lift/off_axis"] > 0
    assert min(rewards["log"]) > 0  # the scripted teacher draws another constant each time
    assert rewards["punish"] == {config.teacher.reward_outside}


def test_alignment_multiplies_the_rewards_of_accepted_proposals(
    config: Config, tmp_path: Path
) -> None:
    config = with_keys(config, steps=1)
    runs = [
        loop.train(c, tmp_path / name, engine=ScriptedEngine(write))
        for name, c in {
            "plain": config,
            "half": with_keys(config, alignment={"measure": "words", "weight": 0.5}),
        }.items()
    ]
    found = []
    for run in runs:
        with RunStore.open_readonly(run) as reader:
            found.append(reader.proposals(limit=10_000))
    for plain, half in zip(*found, strict=True):
        if plain.verdict == "accepted":
            assert 0.5 * plain.reward <= half.reward < plain.reward
        else:
            assert half.reward == plain.reward
    assert 0 < metrics_of(runs[1])[0]["lemma/alignment"] < 1


def test_references_stand_in_for_solutions_only_where_a_setting_says_so(
    config: Config, tmp_path: Path
) -> None:
    goalposts = tmp_path / "with-references.jsonl"
    known = [replace(question(i), reference=f"def f(x):\n    return x + {i}") for i in range(5)]
    write_goalposts(goalposts, GoalpostFile(tuple(Goalpost(q) for q in known)))
    config = with_keys(config, steps=1, data={"goalposts": str(goalposts)})
    for reference in (False, True):
        alignment = {"measure": "likelihood", "reference": reference}
        run = loop.train(
            with_keys(config, alignment=alignment),
            tmp_path / str(reference),
            engine=ScriptedEngine(write),
        )
        assert ("lemma/alignment" in metrics_of(run)[0]) == reference


def test_a_teacher_of_its_own_learns_from_proposals_and_the_student_from_attempts(
    config: Config, tmp_path: Path
) -> None:
    both = two_policies()
    run = loop.train(with_keys(config, steps=2), tmp_path / "run", engine=both)
    asked = {
        role: {"You are a teacher" in both.tokenizer.decode(row.prompt) for row in rows}
        for role, rows in (("student", trained(both.student)), ("teacher", trained(both.teacher)))
    }
    assert asked == {"student": {False}, "teacher": {True}}
    assert both.teacher.version > 0
    assert metrics_of(run)[0]["teacher/train/rows"] > 0
    assert resumed_like_whole(config, tmp_path, make=two_policies)
    saved = sorted((tmp_path / "broken" / "checkpoints").iterdir())[-1]
    assert (saved / "teacher" / "scripted.json").is_file()


def two_policies() -> TwoPolicies:
    return TwoPolicies(ScriptedEngine(write), ScriptedEngine(write))


def trained(engine: ScriptedEngine) -> list[Row]:
    return [row for batch in engine.batches for row in batch]


def test_extensions_resume_exactly(config: Config, tmp_path: Path) -> None:
    """All at once: the state of each is rebuilt from the store."""
    config = with_keys(
        config,
        steps=6,
        teacher={"lifts": 3, "mastery": 0.25, "axis_check": "punish"},
        renewal={"every": 1, "active": 2, "samples": 6, "retire": 1, "tests": 1},
        alignment={"measure": "likelihood"},
    )
    assert resumed_like_whole(config, tmp_path, crash=5)
    assert {"ladder/tried", "renewal/retired"} <= set(metrics_of(tmp_path / "whole")[5])


def test_a_run_that_was_measured_goes_on_like_one_that_was_not(
    config: Config, tmp_path: Path
) -> None:
    """Solutions that a measurement found are no solutions that the run found."""
    config = with_keys(config, alignment={"measure": "likelihood"}, eval={"every": 6})
    longer = with_keys(config, steps=6)
    whole = loop.train(longer, tmp_path / "whole", engine=ScriptedEngine(write))
    run = loop.train(config, tmp_path / "run", engine=ScriptedEngine(write))
    with open_session(config, ScriptedEngine(write)) as session, RunStore.open(run) as store:
        for name, step in (("base", 0), ("trained", 4)):
            solved = [PassRate(1, 4)] * len(session.goalposts)
            solutions = ["```python\ndef f(x):\n    return x\n```"] * len(session.goalposts)
            measured = Measured(
                name=name, temperature=1.0, test=(), goalposts=solved, solutions=solutions
            )
            commit_measured(store, session, measured, step)
    fork = fork_run(run, longer, tmp_path / "fork")
    loop.resume(fork, engine=ScriptedEngine(write))
    loop.resume(run, engine=ScriptedEngine(write), overrides=["steps=6"])
    assert "lemma/alignment" not in metrics_of(whole)[4]
    assert "lemma/alignment" in metrics_of(whole)[5]
    assert metrics_of(run) == metrics_of(whole)
    assert metrics_of(fork) == metrics_of(whole)
