"""Ablations, controls and GASP with real data: each differs from GASP in what it says, no more."""

from dataclasses import replace
from pathlib import Path

import pytest

from gasp_rl.config import Config
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.errors import DataError
from gasp_rl.methods import loop
from gasp_rl.methods.session import load_goalposts, load_guides, load_pool
from gasp_rl.problems.schema import write_questions
from gasp_rl.store.run import RunStore
from gasp_rl.store.views import RolloutFilter
from tests.methods.conftest import question, resumed_like_whole, with_keys, write


def prompts(engine: ScriptedEngine) -> list[str]:
    return [engine.tokenizer.decode(row.prompt) for batch in engine.batches for row in batch]


def proposals(run: Path) -> list[tuple[str, str, str]]:
    """(stage, axis, goalpost) of each, accepted or not."""
    with RunStore.open_readonly(run) as reader:
        return [(p.stage, p.axis, p.goalpost) for p in reader.proposals(limit=10_000)]


def test_without_the_io_axis_only_the_mapping_changes(config: Config, tmp_path: Path) -> None:
    run = loop.train(
        with_keys(config, teacher={"axes": ("f",)}), tmp_path / "run", engine=ScriptedEngine(write)
    )
    assert {axis for _, axis, _ in proposals(run)} == {"f"}
    assert {stage for stage, _, _ in proposals(run)} == {"lemma", "lift"}


def test_without_novelty_rejection_nothing_is_a_duplicate(config: Config, tmp_path: Path) -> None:
    copies = ScriptedEngine(lambda prompt, sample, random: write(prompt, 4 + sample % 2, random))
    usual = loop.train(config, tmp_path / "usual", engine=copies)
    config = with_keys(config, novelty={"enabled": False})
    open_to_all = loop.train(config, tmp_path / "open", engine=copies)
    counts = []
    for run in (usual, open_to_all):
        with RunStore.open_readonly(run) as reader:
            counts.append(sum(r.count for r in reader.funnel() if r.verdict == "duplicate"))
    assert counts[0] > 0
    assert counts[1] == 0


def test_one_step_has_no_lifts(config: Config, tmp_path: Path) -> None:
    engine = ScriptedEngine(write)
    run = loop.train(with_keys(config, teacher={"lifts": 0}), tmp_path / "run", engine=engine)
    assert {stage for stage, _, _ in proposals(run)} == {"lemma"}
    assert not any("can sometimes solve" in prompt for prompt in prompts(engine))


def test_without_guidance_the_teacher_sees_easy_questions_and_no_goalpost(
    config: Config, tmp_path: Path
) -> None:
    config = with_keys(config, teacher={"guide": "pool"})
    engine = ScriptedEngine(write)
    run = loop.train(config, tmp_path / "run", engine=engine)
    goalposts = load_goalposts(config)
    guides = load_guides(config, goalposts)
    assert len(guides) == len(goalposts)
    assert {root for _, _, root in proposals(run)} <= {g.id for g in guides}
    assert not any(g.statement in p for g in goalposts for p in prompts(engine))
    assert load_guides(config, goalposts) == guides
    other = config.model_copy(update={"seed": 1})
    assert load_guides(other, goalposts) != guides
    with RunStore.open_readonly(run) as reader:
        tried = {a.goalpost for a in reader.goalpost_attempts()}
    assert tried == {g.id for g in goalposts}  # what is measured stays the same


def test_guides_may_come_from_any_question_set(config: Config, tmp_path: Path) -> None:
    others = [replace(question(i), id=f"o{i}", statement=f"Take {i} away.") for i in range(40)]
    write_questions(tmp_path / "others.jsonl", [*load_goalposts(config), *others])
    config = with_keys(config, teacher={"guide": str(tmp_path / "others.jsonl")})
    engine = ScriptedEngine(write)
    run = loop.train(config, tmp_path / "run", engine=engine)
    assert {root for _, _, root in proposals(run)} <= {q.id for q in others}
    shown = [p for p in prompts(engine) if "You are a teacher" in p]
    assert any(q.statement in p for q in others for p in shown)
    assert not any(g.statement in p for g in load_goalposts(config) for p in shown)


def test_real_data_comes_after_self_play_and_holds_no_goalpost(
    config: Config, tmp_path: Path
) -> None:
    pool = tmp_path / "with-goalposts.jsonl"
    write_questions(pool, [question(i) for i in range(30)])  # 0 to 4 are the goalposts
    config = with_keys(config, method="gasp+rlvr", data={"pool": str(pool)})
    config = with_keys(config, rlvr={"questions": 25})
    real = load_pool(config, without=load_goalposts(config))
    assert [q.question.id for q in real] == [f"h{i}" for i in range(5, 30)]
    with pytest.raises(DataError, match="all of its 30 questions are goalposts"):
        load_pool(config, without=[question(i) for i in range(30)])
    engine = ScriptedEngine(write)
    run = loop.train(config, tmp_path / "run", engine=engine)
    attempts = 25 * config.rlvr.attempts
    ends = [b for b in engine.batches if len(b) == attempts]
    assert len(ends) == config.steps
    assert engine.batches[-1] is ends[-1]
    with RunStore.open_readonly(run) as reader:
        rollouts = reader.rollouts(RolloutFilter(purpose="rlvr"), limit=10_000)
        steps = list(reader.steps())
    assert len(rollouts) == config.steps * attempts
    shares = {s.step: s.metrics["rlvr/correct"] for s in steps}
    for step, share in shares.items():
        right = [r.verdict == "right" for r in rollouts if r.step == step]
        assert share == sum(right) / len(right)


def test_variants_resume_exactly(config: Config, tmp_path: Path) -> None:
    """All at once: each touches another phase of the iteration."""
    config = with_keys(config, method="gasp+rlvr", teacher={"lifts": 0, "guide": "pool"})
    assert resumed_like_whole(config, tmp_path)
