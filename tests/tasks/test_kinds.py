"""Task kinds: what the student sees, how answers are read, how a real sandbox judges them."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks import Abduction, Deduction, Induction, retell
from gasp_rl.tasks.answers import blocks, last_block
from gasp_rl.tasks.judge import Judge
from gasp_rl.types import Example, Outcome, TaskKind

DOUBLE = "def f(x):\n    return [2 * v for v in x]"
TASK = Induction(
    DOUBLE,
    "Double every number.",
    (Example("[1, 2]", "[2, 4]"),),
    (Example("[5]", "[10]"), Example("[]", "[]")),
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox() as sandbox:
        yield Judge(sandbox)


def fenced(label: str, body: str) -> str:
    return f"some thoughts\n```{label}\n{body}\n```\n"


def test_the_student_never_sees_hidden_pairs_or_the_program() -> None:
    seen = str(TASK.seen())
    assert "[10]" not in seen
    assert "2 * v" not in seen
    assert "[2, 4]" in seen


def test_induction_is_judged_on_hidden_pairs(judge: Judge) -> None:
    answers = [
        fenced("python", DOUBLE),
        fenced("python", "def f(x):\n    return [2, 4]"),  # fits the shown pair alone
        fenced("python", "def f(x) return x"),
        "no block at all",
    ]
    outcomes = [j.outcome for j in judge.judge([(TASK, a) for a in answers])]
    assert outcomes == [Outcome.RIGHT, Outcome.WRONG, Outcome.WRONG, Outcome.MALFORMED]


def test_deduction_and_abduction_are_judged_by_value(judge: Judge) -> None:
    deduction = Deduction(DOUBLE, Example("[1, 2]", "[2, 4]"))
    abduction = Abduction("def f(x):\n    return sorted(x)", Example("[2, 1]", "[1, 2]"))
    attempts = [
        (deduction, fenced("output", "[2,4]")),
        (deduction, fenced("output", "[2, 5]")),
        (deduction, fenced("output", "f([1, 2])")),
        (abduction, fenced("input", "[1, 2]")),
        (abduction, fenced("input", "[2, 2]")),
        (abduction, fenced("input", "1) or (True")),
    ]
    right, wrong, malformed = Outcome.RIGHT, Outcome.WRONG, Outcome.MALFORMED
    outcomes = [j.outcome for j in judge.judge(attempts)]
    assert outcomes == [right, wrong, malformed, right, wrong, malformed]


def test_forged_verdicts_earn_nothing(judge: Judge) -> None:
    forgeries = [
        "class E(list):\n    def __eq__(s, o): return True\ndef f(x): return E()",
        "def f(x):\n    print('True')",
        "import sys\ndef f(x):\n    sys.exit(0)",
    ]
    outcomes = {j.outcome for j in judge.judge([(TASK, fenced("python", p)) for p in forgeries])}
    assert outcomes == {Outcome.WRONG}


def test_retelling_keeps_the_program_and_a_pair_of_the_task() -> None:
    random = np.random.default_rng(0)
    assert retell(TASK, TaskKind.INDUCTION, random) is TASK
    pairs = TASK.shown + TASK.hidden
    asked = set()
    for _ in range(50):
        told = retell(TASK, TaskKind.ABDUCTION, random)
        assert isinstance(told, Abduction)
        assert told.program == DOUBLE
        assert told.example in pairs
        asked.add(told.example)
    assert asked == set(pairs)


def test_an_induction_task_without_hidden_pairs_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="hidden"):
        Induction(DOUBLE, "m", TASK.shown, ())


def test_last_matching_block_wins_and_open_blocks_do_not_count() -> None:
    text = fenced("python", "a = 1") + fenced("python", "a = 2") + "```python\na = 3"
    assert last_block(text, "python") == "a = 2"
    assert last_block("```\nplain\n```", "python") == "plain"
    assert last_block("```input\n1\n```", "python") is None
    assert last_block("<think>```python\nx\n```</think> nothing", "python") is None
    assert last_block("<answer>```python\ny\n```</answer> tail ```python\nz\n```", "python") == "y"


@given(st.text(alphabet="`\n abcpython<>/think", max_size=300))
def test_reading_never_raises(text: str) -> None:
    assert all("```" not in line[:3] for b in blocks(text) for line in b.body.splitlines())
    for kind in (Induction, Deduction, Abduction):
        answer = kind.parse(text)
        assert answer is None or answer.strip()


@given(st.text(max_size=300))
def test_any_closed_block_without_fences_inside_is_read_back(body: str) -> None:
    body = body.replace("`", "").replace("\r", "")
    if not body.strip() or any(ord(c) in (11, 12, 28, 29, 30, 133, 8232, 8233) for c in body):
        return
    assert last_block(f"```python\n{body}\n```", "python") == body.strip("\n")
