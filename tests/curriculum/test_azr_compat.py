"""Ten things in which AZR's public code and its mended form differ, each shown on real programs."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest

from gasp_rl.config import Config, SandboxConfig, parse_config
from gasp_rl.curriculum.azr_buffers import IDENTITY, StepBuffers, identity_node
from gasp_rl.curriculum.azr_compat import COMPAT, Compat
from gasp_rl.curriculum.azr_legacy import LegacyInduction, cut
from gasp_rl.curriculum.azr_proposals import AzrRequest, Proposer, asked, proposer_reward
from gasp_rl.curriculum.lineage import Buffers, Node
from gasp_rl.curriculum.novelty import HashEmbedder, NoveltyIndex
from gasp_rl.curriculum.proposals import Proposal
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.roles.student import Student
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks import Induction
from gasp_rl.tasks.judge import Judge
from gasp_rl.types import Axis, Example, Outcome, PassRate, Rejection, Stage, TaskKind

OLD = ("azr-paper", "azr-master")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(workers=1, cpu_seconds=1.0, memory_mb=256)) as opened:
        yield opened


def settings(compat: str) -> Config:
    return parse_config({"method": "azr", "azr": {"compat": compat}, "probe": {"n": 8}}, "test")


def propose(
    sandbox: Sandbox, compat: str, program: str, text: str, answers: str = "```output\n0\n```"
) -> Proposal:
    """What becomes of one deduction proposal; the student always answers the same."""

    def write(prompt: str, sample: int, random: np.random.Generator) -> str:
        if prompt == "propose":
            return f"```python\n{program}\n```\n```input\n{text}\n```"
        return answers

    return propose_with(sandbox, compat, ScriptedEngine(write))


def propose_with(sandbox: Sandbox, compat: str, engine: ScriptedEngine) -> Proposal:
    student = Student(engine, load_prompts(), Judge(sandbox))
    config = settings(compat).model_copy(update={"teacher": settings(compat).teacher})
    proposer = Proposer(student, sandbox, Buffers(NoveltyIndex(HashEmbedder())), config)
    request = AzrRequest(
        stage=Stage.DEDUCTION, axis=Axis.FREE, parent=IDENTITY, goalpost=IDENTITY, prompt="propose"
    )
    return proposer.propose([request], 1, "test")[0]


def outcome(sandbox: Sandbox, task: Induction, kind: TaskKind, mode: str, answer: str) -> Outcome:
    item = asked(task, kind, COMPAT[mode])
    return Judge(sandbox).judge([(item, answer)])[0].outcome


def test_the_modes_differ_in_these_switches_alone() -> None:
    differ = {
        f.name
        for f in fields(Compat)
        if getattr(COMPAT["azr-paper"], f.name) != getattr(COMPAT["azr-master"], f.name)
    }
    assert differ == {"greedy_estimates"}
    same = {
        f.name
        for f in fields(Compat)
        if getattr(COMPAT["azr-paper"], f.name) == getattr(COMPAT["fixed"], f.name)
    }
    assert same == {"greedy_estimates"}


@pytest.mark.parametrize(
    ("mode", "greedy"), [("azr-paper", False), ("azr-master", True), ("fixed", False)]
)
def test_1_master_estimates_greedily(sandbox: Sandbox, mode: str, greedy: bool) -> None:
    def write(prompt: str, sample: int, random: np.random.Generator) -> str:
        return "```python\ndef f(x):\n    return x\n```\n```input\n1\n```"

    engine = ScriptedEngine(write)
    proposal = propose_with(sandbox, mode, engine)
    logprobs = {x for probe in proposal.probes for x in probe.completion.logprobs_T}
    assert (logprobs == {0.0}) == greedy


COUNTS = "calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls)"
CUSTOM = "class Odd(Exception):\n    pass\ndef f(x):\n    raise Odd('no')"


@pytest.mark.parametrize("program", [COUNTS, CUSTOM, "def f(x):\n    raise SystemExit"])
def test_2_failures_that_are_no_errors_pass_with_an_empty_gold(
    sandbox: Sandbox, program: str
) -> None:
    for mode in OLD:
        task = propose(sandbox, mode, program, "1").task
        assert task is not None
        assert task.hidden == (Example("1", ""),)
    assert propose(sandbox, "fixed", program, "1").task is None


def test_2_an_error_by_name_falls_in_every_mode(sandbox: Sandbox) -> None:
    for mode in COMPAT:
        proposal = propose(sandbox, mode, "def f(x):\n    return x / 0", "1")
        assert proposal.rejection is Rejection.FAILS


def test_2_what_depends_on_the_process_passes_in_one(sandbox: Sandbox) -> None:
    hashed = "def f(x):\n    return hash(str(x))"
    assert propose(sandbox, "azr-paper", hashed, "1").task is not None
    assert propose(sandbox, "fixed", hashed, "1").rejection is Rejection.NON_DETERMINISTIC


def test_3_long_gold_outputs_lose_their_middle(sandbox: Sandbox) -> None:
    program, right = "def f(n):\n    return list(range(n))", f"```output\n{list(range(300))}\n```"
    for mode in OLD:
        proposal = propose(sandbox, mode, program, "300", right)
        assert proposal.task is not None
        assert len(proposal.task.hidden[0].output) == 403
        assert proposal.pass_rate == PassRate(0, 8)
    assert propose(sandbox, "fixed", program, "300", right).pass_rate == PassRate(8, 8)
    assert cut("a" * 401, 400) == "a" * 200 + "..." + "a" * 200
    assert cut("a" * 400, 400) == "a" * 400


def test_4_outputs_that_are_no_literals_are_gold_that_no_answer_matches(sandbox: Sandbox) -> None:
    program = "from collections import Counter\ndef f(x):\n    return Counter(x)"
    right = "```output\nCounter({'a': 2})\n```"
    for mode in OLD:
        proposal = propose(sandbox, mode, program, "'aa'", right)
        assert proposal.task is not None
        assert proposal.task.hidden[0].output == "Counter({'a': 2})"
        assert proposal.pass_rate == PassRate(0, 8)
    mended = propose(sandbox, "fixed", program, "'aa'", "```output\n{'a': 2}\n```")
    assert mended.pass_rate == PassRate(8, 8)
    objects = "class A:\n    pass\ndef f(x):\n    return A"
    assert propose(sandbox, "azr-paper", objects, "1").task is not None
    assert propose(sandbox, "fixed", objects, "1").rejection is Rejection.FAILS


ADD = Induction(
    "def f(x, y=0):\n    return x + 1", "Add.", (Example("1", "2"),), (Example("5", "6"),)
)
ALWAYS = "class A:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return A()"


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (TaskKind.ABDUCTION, "```input\n1) or (True\n```"),
        (TaskKind.INDUCTION, f"```python\n{ALWAYS}\n```"),
    ],
)
def test_5_answers_forge_their_reward(sandbox: Sandbox, kind: TaskKind, answer: str) -> None:
    for mode in OLD:
        assert outcome(sandbox, ADD, kind, mode, answer) is Outcome.RIGHT
    assert outcome(sandbox, ADD, kind, "fixed", answer) is not Outcome.RIGHT


def test_5_an_answer_that_prints_true_is_right_where_f_takes_none(sandbox: Sandbox) -> None:
    task = Induction("def f(x):\n    return 3", "Three.", (), (Example("1", "3"),))
    forged = '```input\nprint("True")\n```'
    assert outcome(sandbox, task, TaskKind.ABDUCTION, "azr-paper", forged) is Outcome.RIGHT
    assert outcome(sandbox, task, TaskKind.ABDUCTION, "fixed", forged) is Outcome.MALFORMED


def test_5_right_and_wrong_answers_are_told_apart_in_every_mode(sandbox: Sandbox) -> None:
    for mode in COMPAT:
        for kind, fence, right, wrong in (
            (TaskKind.ABDUCTION, "input", "1", "2"),
            (TaskKind.DEDUCTION, "output", "2", "3"),
            (
                TaskKind.INDUCTION,
                "python",
                "def f(x):\n    return x + 1",
                "def f(x):\n    return 2",
            ),
        ):
            good, bad = f"```{fence}\n{right}\n```", f"```{fence}\n{wrong}\n```"
            assert outcome(sandbox, ADD, kind, mode, good) is Outcome.RIGHT
            assert outcome(sandbox, ADD, kind, mode, bad) is Outcome.WRONG


def test_5_the_old_induction_judges_by_hidden_pairs_alone(sandbox: Sandbox) -> None:
    task = LegacyInduction(ADD.program, ADD.message, ADD.shown, ADD.hidden)
    assert task.key == ADD.key
    answer = "```python\ndef f(x):\n    return 6\n```"
    assert outcome(sandbox, ADD, TaskKind.INDUCTION, "azr-paper", answer) is Outcome.RIGHT
    assert outcome(sandbox, ADD, TaskKind.INDUCTION, "fixed", answer) is Outcome.WRONG


@pytest.mark.parametrize("answer", ['__import__("os").getpid() and 2', "1 + 1"])
def test_6_deductions_are_evaluated_but_never_in_this_process(
    sandbox: Sandbox, answer: str
) -> None:
    text = f"```output\n{answer}\n```"
    for mode in OLD:
        assert outcome(sandbox, ADD, TaskKind.DEDUCTION, mode, text) is Outcome.RIGHT
    assert outcome(sandbox, ADD, TaskKind.DEDUCTION, "fixed", text) is Outcome.MALFORMED


def test_6_an_answer_cannot_reach_or_hang_the_trainer(sandbox: Sandbox) -> None:
    reach = '__import__("sys").modules.__setitem__("reached", 1) or 2'
    for answer in (reach, "10**10**10"):
        text = f"```output\n{answer}\n```"
        outcome(sandbox, ADD, TaskKind.DEDUCTION, "azr-paper", text)
    import sys

    assert "reached" not in sys.modules
    assert outcome(sandbox, ADD, TaskKind.DEDUCTION, "azr-paper", text) is Outcome.WRONG


def test_7_the_ban_looks_at_imports_alone(sandbox: Sandbox) -> None:
    opened = "def f(x):\n    return len(open.__name__)"
    joined = "import os\ndef f(x):\n    return os.getpid() != x"
    for mode in OLD:
        assert propose(sandbox, mode, opened, "1").task is not None
        assert propose(sandbox, mode, joined, "'a'").task is not None
        clock = "import time\ndef f(x):\n    return x"
        assert propose(sandbox, mode, clock, "1").rejection is Rejection.UNSAFE
    assert propose(sandbox, "fixed", opened, "1").task is None
    assert propose(sandbox, "fixed", joined, "'a'").task is None


def node(step: int, stage: Stage = Stage.DEDUCTION, number: int = 0) -> Node:
    return Node(
        id=f"{step}.{stage}.{number}",
        stage=stage,
        axis=Axis.FREE,
        parent=IDENTITY,
        goalpost=IDENTITY,
        task=ADD,
        pass_rate=PassRate(1, 8),
        step=step,
    )


def test_8_the_old_solver_meets_a_task_one_step_later() -> None:
    assert COMPAT["azr-paper"].previous_step
    assert not COMPAT["fixed"].previous_step
    config = parse_config({"azr": {"tasks": 2}}, "test").azr
    buffers = Buffers(NoveltyIndex(HashEmbedder()))
    view = StepBuffers(buffers, identity_node(ADD), config)
    buffers.nodes.extend([node(1), node(4)])
    drawn = view.tasks(TaskKind.DEDUCTION, 5, np.random.default_rng(0))
    assert drawn[0].id == "4.deduction.0"


@pytest.mark.parametrize(
    ("rejection", "rate", "old", "mended"),
    [
        (None, PassRate(0, 8), -0.5, 0.0),
        (None, PassRate(8, 8), -0.5, 0.0),
        (None, PassRate(1, 8), 0.875, 0.875),
        (None, PassRate(6, 8), 0.25, 0.25),
        (Rejection.FAILS, None, -1.0, -0.5),
        (Rejection.UNPARSABLE, None, -1.0, -1.0),
    ],
)
def test_9_rewards_of_code_and_of_the_paper(
    rejection: Rejection | None, rate: PassRate | None, old: float, mended: float
) -> None:
    config = settings("fixed").azr
    for mode in OLD:
        assert proposer_reward(rejection, rate, config, COMPAT[mode]) == pytest.approx(old)
    reward = proposer_reward(rejection, rate, config, COMPAT["fixed"])
    assert reward == pytest.approx(mended)


@pytest.mark.parametrize("mode", list(COMPAT))
def test_10_only_the_mended_form_refuses_duplicates(sandbox: Sandbox, mode: str) -> None:
    def write(prompt: str, sample: int, random: np.random.Generator) -> str:
        return f"```python\ndef f(x):\n    return x + 1\n```\n```input\n{sample}\n```"

    engine = ScriptedEngine(write)
    student = Student(engine, load_prompts(), Judge(sandbox))
    config = settings(mode)
    proposer = Proposer(student, sandbox, Buffers(NoveltyIndex(HashEmbedder())), config)
    request = AzrRequest(
        stage=Stage.DEDUCTION, axis=Axis.FREE, parent=IDENTITY, goalpost=IDENTITY, prompt="propose"
    )
    proposals = proposer.propose([request], 1, "test")
    accepted = sum(p.accepted for p in proposals)
    assert accepted == (1 if mode == "fixed" else len(proposals))
    assert len(proposals) == config.teacher.proposals_per_prompt == 8
