"""AZR's filters, composite functions and intrinsic rewards: programs as text."""

import ast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gasp_rl.config import AzrConfig, IntrinsicConfig
from gasp_rl.curriculum import intrinsic
from gasp_rl.curriculum.azr_proposals import filtered
from gasp_rl.curriculum.program_text import (
    calls,
    composed,
    functions,
    renamed,
    without_comments,
    without_globals,
    without_prints,
)
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.roles.teacher import Draft, Unparsable
from gasp_rl.tasks import Induction
from gasp_rl.types import Example, Stage

METHOD = "class A:\n    def g(self):\n        return 1\n\ndef solve(x):\n    return A().g() + x"


def draft(program: str) -> Draft:
    return Draft(program, "", ("41",))


def with_filters(program: str, helpers: tuple[str, ...] = (), **keys: object) -> Draft | Unparsable:
    return filtered(draft(program), helpers, AzrConfig.model_validate(keys))


def test_without_filters_a_program_stays_as_it_is() -> None:
    assert with_filters(METHOD) == draft(METHOD)


def test_a_second_function_is_refused_even_a_method() -> None:
    assert functions(METHOD) == ["g", "solve"]
    assert isinstance(with_filters(METHOD, single_function=True), Unparsable)
    one = "def f(x):\n    return x"
    assert with_filters(one, single_function=True) == draft(one)


def test_the_first_or_the_last_function_becomes_f() -> None:
    program = "def a(x):\n    return x\ndef b(x):\n    return a(x)"
    for which, expected in (("first", "return f(x)"), ("last", "def f(x):")):
        found = with_filters(program, rename=which)
        assert isinstance(found, Draft)
        assert expected in found.program


def test_an_input_in_the_code_can_be_refused() -> None:
    program = "def f(x):\n    return 41"
    assert with_filters(program) == draft(program)
    assert isinstance(with_filters(program, refuse_input_in_code=True), Unparsable)


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        ("comments", "# top\ndef f(x):  # why\n    return '#'\n", "def f(x):\n    return '#'\n"),
        ("prints", "def f(x):\n    print(x)\n    return x\n", "def f(x):\n    return x\n"),
        (
            "prints",
            "def f(x):\n    if x:\n        print(x)\n",
            "def f(x):\n    if x:\n        pass\n",
        ),
        (
            "globals",
            "n = 1\nimport math\ndef f(x):\n    return x\n",
            "import math\ndef f(x):\n    return x\n",
        ),
    ],
)
def test_parts_are_taken_away(part: str, before: str, after: str) -> None:
    found = with_filters(before, strip=(part,))
    assert isinstance(found, Draft)
    assert found.program == after


def test_names_are_replaced_and_strings_are_not() -> None:
    program = "def f(x):\n    return f(x - 1) + len(f'{x}f')  # f\n"
    assert renamed(program, "f", "g_0") == (
        "def g_0(x):\n    return g_0(x - 1) + len(f'{x}f')  # f\n"
    )


def test_a_composite_program_must_call_its_helpers_and_brings_them_along() -> None:
    helpers = ("def f(x):\n    return x + 1", "def f(x):\n    return x * 2")
    lazy = with_filters("def f(x):\n    return g_0(x)", helpers)
    assert lazy == Unparsable("does not call g_1")
    found = with_filters("def f(x):\n    return g_1(g_0(x))", helpers)
    assert isinstance(found, Draft)
    space: dict[str, object] = {}
    exec(compile(found.program, "<ours>", "exec"), space)
    assert space["f"](3) == 8  # type: ignore[operator]
    prompt = load_prompts().propose(Stage.DEDUCTION, [], 5, helpers)
    assert "g_1" in prompt
    assert "return x * 2" in prompt


@given(st.text(max_size=200))
def test_any_text_is_survived(text: str) -> None:
    for change in (without_comments, without_prints, without_globals):
        assert isinstance(change(text), str)
    assert isinstance(renamed(text, "f", "g"), str)
    assert isinstance(composed([text], text), str)
    assert intrinsic.halstead_mix(text) >= 0
    assert calls(text) is not None


@given(st.integers(0, 3), st.integers(0, 3))
def test_what_is_taken_away_leaves_python(comments: int, prints: int) -> None:
    body = "    print(x)\n" * prints + "    # note\n" * comments
    program = f"n = 2\ndef f(x):\n{body}    return x\n"
    for change in (without_comments, without_prints, without_globals):
        ast.parse(change(program))
    assert without_prints(without_comments(program)) == "n = 2\ndef f(x):\n    return x\n"


@pytest.mark.parametrize(
    ("part", "before", "after"),
    [
        ("prints", "def f(x):\n    print(x); return x\n", "def f(x):\n    return x\n"),
        ("prints", "def f(x):\n    y = x; print(x); print(y)  # c\n    return y\n", None),
        ("prints", "if x:\n    y = 1\nelse:\n    print(x)\n", None),
        ("prints", "if x:\n    print(x)\n    print(x)\n", "if x:\n    pass\n"),
        ("prints", "if x: print(x); print(x)\nelse: print(x)\n", "if x: pass\nelse: pass\n"),
        ("prints", "try:\n    print(1)\nexcept E:\n    print(2)\nfinally:\n    print(3)\n", None),
        ("prints", "match x:\n    case 1:\n        print(1)\n", None),
        ("prints", "print('''a\n;'''); x = 1\n", "x = 1\n"),
        ("prints", "print(1) \\\n;\nx = 1\n", "x = 1\n"),
        ("prints", "print(1); \\\n  x = 1\n", "x = 1\n"),
        ("prints", "if x:\n  \\\n print(1)\n  y = 1\n", "if x:\n  \\\n pass\n  y = 1\n"),
        ("prints", "x = '\x0c\u2028'\nprint(x)\ny = 1\n", "x = '\x0c\u2028'\ny = 1\n"),
        ("prints", "x = 1\rprint(x)\ry = 2", "x = 1\ry = 2"),
        ("prints", "\u00e9 = 1; print('\u00e9'); y = 2\n", "\u00e9 = 1; y = 2\n"),
        ("globals", "A = 1; import math\n", "import math\n"),
        ("globals", "import math; A = 1\nB = 2", "import math\n"),
        ("comments", "x = 1 \\\n# c\ny = 2\n", "x = 1 \\\n\ny = 2\n"),
        ("comments", "x = '\x0c\u2028'  # c\ny = 2  # d\n", "x = '\x0c\u2028'\ny = 2\n"),
    ],
)
def test_whole_statements_are_cut_however_they_stand(
    part: str, before: str, after: str | None
) -> None:
    changed = CHANGES[part](before)
    assert shape(changed) == expected(part, before)
    assert after is None or changed == after


CHANGES = {
    "comments": without_comments,
    "prints": without_prints,
    "globals": without_globals,
}

SIMPLE = (
    *(
        "print(x)",
        "print('\u00e9;', x)",
        "(print(1))",
        "print('''a\n;  # no\n''')",
        "print(\n x\n)",
    ),
    *("y = x", "z: int = 1", "y += '''\n#;'''", "import math", "pass", "x", "y = '\x0c\u2028'"),
)
BETWEEN = ("; ", ";", " ; ", ";\\\n ", " \\\n; ")
ENDS = ("", "", ";", "  # note", " ;# note", " # note \\", " \\\n;", " \\\n# note", " \\\n")
HEADS = (
    ("if x:",),
    ("if x:", "else:"),
    ("if x:", "elif y:", "else:"),
    ("for x in y:", "else:"),
    ("while x:", "else:"),
    ("try:", "except E:", "else:", "finally:"),
    ("try:", "finally:"),
    ("with x:",),
    ("def g(x):",),
    ("class A:",),
    ("async def g(x):",),
)
ABOVE = ("", "", "# above\n", "# above \\\n", "\n", "\\\n")


@st.composite
def simple_lines(draw: st.DrawFn) -> str:
    """Simple statements on one logical line."""
    found = draw(st.lists(st.sampled_from(SIMPLE), min_size=1, max_size=4))
    joined = found[0] + "".join(draw(st.sampled_from(BETWEEN)) + s for s in found[1:])
    return joined + draw(st.sampled_from(ENDS)) + "\n"


@st.composite
def blocks(draw: st.DrawFn, indent: str = "", depth: int = 0) -> str:
    """Statements one below the other."""
    text = ""
    for _ in range(draw(st.integers(1, 4))):
        above = draw(st.sampled_from(ABOVE))
        text += indent + above + (indent if above else "")
        if above == "\\\n" or depth == 2 or draw(st.booleans()):
            text += draw(simple_lines())
            continue
        for number, head in enumerate(draw(st.sampled_from(HEADS))):
            text += (indent if number else "") + head
            if draw(st.booleans()):
                text += " " + draw(simple_lines())
            else:
                text += "\n" + draw(blocks(indent + "  ", depth + 1))
    return text


def expected(part: str, program: str) -> str:
    """The syntax tree without the nodes that the part names."""
    tree = ast.parse(program)
    if part == "globals":
        kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign)
        tree.body = [node for node in tree.body if not isinstance(node, kinds)]
    if part == "prints":
        tree = Prints().visit(tree)
    return shape(tree)


class Prints(ast.NodeTransformer):
    """Each print becomes `pass`."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        return ast.Pass() if ast.unparse(node).startswith("print(") else node


def shape(program: str | ast.Module) -> str:
    """The syntax tree without `pass`, which may stand where something was."""
    tree = ast.parse(program) if isinstance(program, str) else program
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            suite = getattr(node, name, None)
            if isinstance(suite, list):
                # An empty `else` is none; other suites are never empty.
                setattr(node, name, [s for s in suite if not isinstance(s, ast.Pass)])
    return ast.dump(tree)


@pytest.mark.parametrize("part", CHANGES)
@given(program=blocks(), newline=st.sampled_from(("\n", "\r\n", "\r")), ends=st.booleans())
def test_nothing_else_is_taken_away(part: str, program: str, newline: str, ends: bool) -> None:
    program = (program if ends else program.removesuffix("\n")).replace("\n", newline)
    try:
        ast.parse(program)
    except SyntaxError:
        assume(False)
    changed = CHANGES[part](program)
    assert shape(changed) == expected(part, program)
    assert CHANGES[part](changed) == changed


TASK = Induction(
    "def f(x):\n    return [x] if x else []",
    "List.",
    (Example("1", "[1]"),),
    (Example("2", "[2]"), Example("0", "[]")),
)


def test_terms_that_are_off_add_nothing() -> None:
    assert intrinsic.terms(TASK, [], [], IntrinsicConfig()) == []
    assert intrinsic.combined(0.5, [], "sum") == 0.5


@pytest.mark.parametrize(
    ("how", "value"),
    [("sum", 1.1), ("multiply", 0.04), ("sum-multiply", 0.3), ("multiply-sum", 0.58)],
)
def test_terms_join_learnability(how: str, value: float) -> None:
    assert intrinsic.combined(0.5, [0.2, 0.4], how) == pytest.approx(value)


def test_measures_have_the_values_of_a_hand_count() -> None:
    assert intrinsic.branches(TASK.program) == 2
    assert intrinsic.mean_distance(TASK.program, [TASK.program]) == 0
    assert intrinsic.mean_distance(TASK.program, ["import os"]) > 0.8
    assert intrinsic.diversity(TASK) == 1
    assert intrinsic.surprise(["7"], ["[1]", "[2]", "[3]", "4"]) == 0.75
    assert intrinsic.type_of("[1, 'a']") == "list[int,str]"
    assert intrinsic.type_of("Counter()") == "other"


def test_each_coefficient_switches_one_measure_on_and_is_bounded() -> None:
    for name in IntrinsicConfig.model_fields:
        if name in ("largest", "combine"):
            continue
        config = IntrinsicConfig.model_validate({name: 2.0, "largest": 0.25})
        found = intrinsic.terms(TASK, ["def f(x):\n    pass"], [], config)
        assert len(found) == 1
        assert 0 < found[0] <= 0.5
