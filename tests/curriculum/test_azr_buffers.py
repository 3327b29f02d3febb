"""AZR's buffers: kinds, stamps, capacity, and what is drawn from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.config import AzrConfig
from gasp_rl.curriculum.azr_buffers import IDENTITY, StepBuffers, draw, identity_node, mix
from gasp_rl.curriculum.lineage import Buffers, Node
from gasp_rl.curriculum.novelty import HashEmbedder, NoveltyIndex
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.tasks import Induction
from gasp_rl.types import Axis, Example, PassRate, Stage, TaskKind

TASK = Induction("def f(x):\n    return x", "Same.", (), (Example("1", "1"),))


def node(step: int, number: int, stage: Stage = Stage.DEDUCTION, *, seed: bool = False) -> Node:
    return Node(
        id=f"{step}.{stage}.{number}",
        stage=stage,
        axis=Axis.FREE,
        parent=IDENTITY,
        goalpost=IDENTITY,
        task=TASK,
        pass_rate=None if seed else PassRate(1, 2),
        step=step,
    )


def view(nodes: list[Node], **settings: object) -> StepBuffers:
    buffers = Buffers(NoveltyIndex(HashEmbedder()))
    buffers.nodes.extend(nodes)
    return StepBuffers(buffers, identity_node(TASK), AzrConfig.model_validate(settings))


def ids(nodes: list[Node]) -> list[str]:
    return [n.id for n in nodes]


def test_seed_programs_start_both_buffers_of_programs() -> None:
    buffers = view([node(1, 0, seed=True), node(1, 1, Stage.INDUCTION, seed=True), node(2, 0)])
    assert ids(buffers.of(TaskKind.DEDUCTION)) == [IDENTITY, "1.deduction.0", "2.deduction.0"]
    assert ids(buffers.of(TaskKind.ABDUCTION)) == [IDENTITY, "1.deduction.0"]
    assert ids(buffers.of(TaskKind.INDUCTION)) == [IDENTITY, "1.induction.1"]
    assert ids(buffers.programs()) == [IDENTITY, "1.deduction.0", "2.deduction.0"]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("oldest", ["identity", "1.deduction.0"]), ("newest", ["1.deduction.1", "1.deduction.2"])],
)
def test_a_full_buffer_keeps_one_end(keep: str, kept: list[str]) -> None:
    nodes = [node(1, i) for i in range(3)]
    assert ids(view(nodes, capacity=2, keep=keep).of(TaskKind.DEDUCTION)) == kept


OLD = [node(step, i) for step in range(1, 10) for i in range(10)]
NEW = [node(19, i) for i in range(8)]


def drawn(mixing: str, random: int = 0) -> list[Node]:
    config = AzrConfig.model_validate({"mixing": mixing, "tasks": 10})
    return mix(OLD + NEW, config, 20, np.random.default_rng(random))


def test_new_tasks_come_first_and_old_ones_fill_up() -> None:
    assert sum(n.step == 19 for n in drawn("max-new")) == 8
    assert all(n.step == 19 for n in drawn("max-new")[:8])


def test_half_new_takes_at_least_its_half() -> None:
    assert all(n.step == 19 for n in drawn("half-new")[:5])
    assert any(n.step < 19 for n in drawn("half-new"))


def test_age_prefers_late_tasks_and_uniform_does_not() -> None:
    late = {
        m: sum(n.step == 19 for s in range(300) for n in drawn(m, s)) for m in ("age", "uniform")
    }
    share = sum(n.step + 1 for n in NEW) / sum(n.step + 1 for n in OLD + NEW)
    assert late["age"] / 3000 == pytest.approx(share, abs=0.03)
    assert late["uniform"] / 3000 == pytest.approx(8 / 98, abs=0.02)


@given(
    count=st.integers(0, 30),
    steps=st.lists(st.integers(0, 50), max_size=20),
    mixing=st.sampled_from(["max-new", "half-new", "uniform", "age"]),
    now=st.integers(0, 60),
)
def test_nothing_is_drawn_twice_and_the_count_is_kept(
    count: int, steps: list[int], mixing: str, now: int
) -> None:
    nodes = [node(step, i) for i, step in enumerate(steps)]
    config = AzrConfig.model_validate({"mixing": mixing, "tasks": max(1, count)})
    chosen = mix(nodes, config, now, np.random.default_rng(0))
    assert len({n.id for n in chosen}) == len(chosen) == min(max(1, count), len(nodes))
    assert len(draw(nodes, count, np.random.default_rng(0))) == min(count, len(nodes))


def test_references_are_of_the_same_kind_and_can_be_left_out() -> None:
    nodes = [node(1, 0), node(1, 0, Stage.ABDUCTION), node(2, 0, Stage.INDUCTION)]
    random = np.random.default_rng(0)
    found = view(nodes, references=6).references(TaskKind.ABDUCTION, random)
    assert sorted(ids(found)) == ["1.abduction.0", IDENTITY]
    assert view(nodes, references=0).references(TaskKind.ABDUCTION, random) == []


def test_prompts_show_references_and_the_given_program() -> None:
    book = load_prompts()
    task = Induction("def f(x):\n    return x * 7", "Hint.", (), (Example("[2, 3]", "[6, 9]"),))
    for stage in (Stage.DEDUCTION, Stage.ABDUCTION):
        prompt = book.propose(stage, [task], 10)
        assert "return x * 7" in prompt
        assert "f([2, 3]) == [6, 9]" in prompt
    described = book.describe(task, 10)
    assert "return x * 7" in described
    assert "Hint." not in described
    assert "10 inputs" in described
    assert book.identity is not None
    assert all(e.input == e.output for e in book.identity.shown + book.identity.hidden)
