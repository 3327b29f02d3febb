"""AZR in the whole loop: with a scripted policy, and on the miniature's own model."""

import re
from pathlib import Path

import numpy as np
import pytest

from gasp_rl.config import Config, load_config
from gasp_rl.curriculum.azr_buffers import IDENTITY
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.methods import loop
from gasp_rl.methods.azr import block_weights
from gasp_rl.miniature import assets
from gasp_rl.store.run import RunStore
from gasp_rl.types import Rejection
from tests.methods.conftest import metrics_of, resumed_like_whole, with_keys


def write(prompt: str, sample: int, random: np.random.Generator) -> str:
    """A proposer that adds constants and sometimes errs; a solver that is right by chance."""
    constant = int(random.integers(1, 1000))
    if "You are a teacher" in prompt and "Invent" in prompt:
        if sample % 4 == 3:
            return "nothing"
        body = "y = x\n    " * sample + f"return x {'/ 0' if sample % 4 == 2 else f'+ {constant}'}"
        return f"```python\ndef f(x):\n    {body}\n```\n```input\n{constant}\n```"
    if "You are a teacher" in prompt:
        inputs = "\n".join(str(constant + i) for i in range(5))
        return f"```message\nHint {constant}.\n```\n```inputs\n{inputs}\n```"
    added = re.search(r"x \+ (\d+)", prompt)
    called = re.search(r"the call `f\((\d+)\)`", prompt)
    if called and added and random.random() < 0.5:
        return f"```output\n{int(called[1]) + int(added[1])}\n```"
    if "Find arguments" in prompt:
        return "```input\n0\n```"
    if called:
        return "```output\n0\n```"
    return "```python\ndef f(x):\n    return x\n```" if random.random() < 0.8 else "no idea"


@pytest.fixture
def azr(config: Config) -> Config:
    own = {"prompts": 3, "tasks": 4, "references": 2, "seeds": 6}
    return with_keys(config, method="azr", azr=own, teacher={"proposals_per_prompt": 4})


def scripted() -> ScriptedEngine:
    return ScriptedEngine(write)


def test_the_tree_grows_from_the_identity_program(azr: Config, tmp_path: Path) -> None:
    run = loop.train(azr, tmp_path / "run", engine=scripted())
    for metrics in metrics_of(run):
        fallen = sum(metrics[f"propose/reject/{reason}"] for reason in Rejection)
        assert metrics["propose/written"] == fallen + metrics["propose/accepted"]
    with RunStore.open_readonly(run) as reader:
        nodes = {n.summary.id: n.summary for n in reader.accepted()}
        assert {n.stage for n in nodes.values()} == {"deduction", "abduction", "induction"}
        assert {n.goalpost for n in nodes.values()} == {IDENTITY}
        described = [n for n in nodes.values() if n.stage == "induction"]
        assert any(n.parent in nodes for n in described)
        assert all(n.parent == IDENTITY for n in nodes.values() if n.stage != "induction")
        assert sum(row.count for row in reader.funnel()) == reader.count_proposals()
        assert {row.axis for row in reader.funnel()} == {"free"}
        board = {g.id: g for g in reader.goalposts()}
        assert board[IDENTITY].lemmas + board[IDENTITY].lifts == len(nodes)
        kinds = {r.kind for r in reader.rollouts(limit=10_000) if r.purpose == "probe"}
        assert kinds == {"deduction", "abduction", "induction"}
        child = next(n.id for n in described if n.parent in nodes)
        assert reader.lineage(child) == [nodes[child].parent, child]


def test_seeds_are_neither_probed_nor_learnt_from(azr: Config, tmp_path: Path) -> None:
    engine = scripted()
    run = loop.train(with_keys(azr, steps=1), tmp_path / "run", engine=engine)
    with RunStore.open_readonly(run) as reader:
        seeds = [n.summary for n in reader.accepted() if n.summary.pass_rate is None]
        assert {s.stage for s in seeds} == {"deduction", "abduction", "induction"}
        assert sum(s.stage != "induction" for s in seeds) >= azr.azr.seeds
        assert all(s.advantage is None for s in seeds)
    proposals = 3 * azr.azr.prompts * azr.teacher.proposals_per_prompt
    attempts = 3 * azr.azr.tasks * azr.student.attempts
    assert [len(batch) for batch in engine.batches] == [proposals + attempts]


def test_no_goalpost_is_ever_shown(azr: Config, tmp_path: Path) -> None:
    engine = scripted()
    loop.train(azr, tmp_path / "run", engine=engine)
    prompts = {bytes(r.prompt).decode() for batch in engine.batches for r in batch}
    assert prompts
    assert not any("something hard" in prompt for prompt in prompts)


@pytest.mark.parametrize("compat", ["fixed", "azr-paper", "azr-master"])
def test_resuming_equals_not_having_stopped(azr: Config, compat: str, tmp_path: Path) -> None:
    config = with_keys(azr, azr={"compat": compat})
    assert resumed_like_whole(config, tmp_path, crash=3, make=scripted)


def test_another_seed_gives_another_run(azr: Config, tmp_path: Path) -> None:
    one = loop.train(azr, tmp_path / "one", engine=scripted())
    two = loop.train(with_keys(azr, seed=1), tmp_path / "two", engine=scripted())
    assert metrics_of(one) != metrics_of(two)


def test_in_azrs_modes_the_solver_is_one_step_behind(azr: Config, tmp_path: Path) -> None:
    for compat, behind in (("fixed", False), ("azr-paper", True)):
        config = with_keys(azr, azr={"compat": compat, "seeds": 0})
        run = loop.train(config, tmp_path / compat, engine=scripted())
        with RunStore.open_readonly(run) as reader:
            attempts = [r for r in reader.rollouts(limit=10_000) if r.purpose == "attempt"]
        lags = {r.step - int(r.origin.split(".")[0]) for r in attempts if r.origin != IDENTITY}
        assert (0 not in lags) == behind
        assert 1 in lags


def test_only_the_mended_form_learns_from_estimates(azr: Config, tmp_path: Path) -> None:
    for compat, learns in (("fixed", True), ("azr-paper", False)):
        config = with_keys(
            azr, steps=1, azr={"compat": compat}, student={"learn_from_probes": "valid"}
        )
        run = loop.train(config, tmp_path / compat, engine=scripted())
        with RunStore.open_readonly(run) as reader:
            probes = [r for r in reader.rollouts(limit=10_000) if r.purpose == "probe"]
        assert probes
        assert all((p.advantage is not None) == learns for p in probes)


def test_the_proposer_can_be_left_out_of_learning(azr: Config, tmp_path: Path) -> None:
    engine = scripted()
    config = with_keys(azr, azr={"train_proposer": False, "solver_only_steps": 1})
    run = loop.train(config, tmp_path / "run", engine=engine)
    prompts = [bytes(r.prompt).decode() for batch in engine.batches for r in batch]
    assert not any("You are a teacher" in prompt for prompt in prompts)
    with RunStore.open_readonly(run) as reader:
        probes = [r.step for r in reader.rollouts(limit=10_000) if r.purpose == "probe"]
    assert min(probes) == 2


def test_blocks_of_unequal_length_weigh_the_same() -> None:
    weights = block_weights([1, 3, 2, 2], ["a", "b", "c", "c"])
    assert weights == pytest.approx([8 / 3, 8 / 9, 2 / 3, 2 / 3])
    per_block = [1 * weights[0], 3 * weights[1], 2 * weights[2] + 2 * weights[3]]
    assert per_block == pytest.approx([8 / 3] * 3)


def test_the_miniature_resumes_to_the_bit(tmp_path: Path) -> None:
    small = ["steps=3", "azr.prompts=4", "azr.tasks=2", "azr.seeds=4", "probe.n=4"]
    rest = ["student.attempts=4", "eval.every=0", "store.checkpoint_every=2", "sandbox.workers=1"]
    config = load_config("miniature-azr", [*small, *rest])
    folder = assets.model_folder(config.model.path)
    assert resumed_like_whole(config, tmp_path, crash=2, make=lambda: build_engine(config, folder))
    weights = [
        (tmp_path / name / "checkpoints" / "step_000003" / "model.safetensors").read_bytes()
        for name in ("whole", "broken")
    ]
    assert weights[0] == weights[1]
