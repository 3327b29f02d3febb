"""Which programs are validated without a process for each input, and that nothing rides on it."""

import ast
import tomllib
from pathlib import Path

import pytest
from sandbox_corpora import hostile_items, read_jsonl

from gasp_rl.sandbox import Validate, Verdict, canonical, plain, teacher

HERE = Path(__file__).parent

PROGRAMS = tomllib.loads((HERE / "plain.toml").read_text(encoding="utf-8"))
PLAIN = [item["code"] for item in PROGRAMS["plain"]]
OTHER = [item["code"] for item in PROGRAMS["other"]]


@pytest.mark.parametrize("code", PLAIN)
def test_plain(code):
    tree = ast.parse(code)
    assert teacher.offence(tree) is None
    assert plain.is_plain(tree)


@pytest.mark.parametrize("code", OTHER)
def test_not_plain(code):
    tree = ast.parse(code)
    assert teacher.offence(tree) or not plain.is_plain(tree)


def test_depth_is_no_error():
    assert not plain.is_plain(ast.parse("def f(x): return " + "+".join(["x"] * 1000)))


@pytest.mark.parametrize(
    ("text", "holds"),
    [("{1}, 2", True), ("[({1: frozenset()},)]", True), ("{(1, frozenset({2})): 3}", True),
     ("{1: [2]}, 'set()'", False), ("set(), 1", True), ("[1, (2.5, None)]", False)],
)  # fmt: skip
def test_sets_in_inputs(text, holds):
    assert plain.holds_set(canonical.parse_arguments(text)) is holds


def known_programs():
    for path in (HERE / "attacks").glob("*.toml"):
        for item in tomllib.loads(path.read_text(encoding="utf-8"))["attack"]:
            yield from (item[key] for key in ("code", "plant", "seek") if key in item)
    yield from (item["code"] for item in read_jsonl(HERE / "attacks.jsonl") if "code" in item)
    yield from (item["code"] for item in hostile_items())
    yield from PLAIN + OTHER


def test_the_look_at_the_text_passes_no_offence():
    offences = 0
    for code in known_programs():
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if teacher.offence(tree):
            offences += 1
            assert teacher.may_offend(code), code
    assert offences > 100


def test_no_known_attack_on_determinism_is_plain():
    """But for those that any two processes tell apart, whatever was called before."""
    told_apart = {"order_of_a_set_of_texts"}
    items = tomllib.loads((HERE / "attacks/determinism.toml").read_text())["attack"]
    for item in items:
        if item["name"] not in told_apart:
            assert not plain.is_plain(ast.parse(item["code"])), item["name"]


def test_both_kinds_are_judged_alike(sandbox):
    """A program and its twin that is not plain, for the sake of an empty class."""
    bodies = [
        ("def f(x): return [v + 1 for v in x]", ("[1, 2]", "[3]", "[]")),
        ("def f(x): return 1 // x", ("1", "0")),
        ("def f(x): return lambda: x", ("1",)),
        ("def f(x): return {1: x}.values()", ("1",)),
        ("def f(x): return ''.join({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})", ("1", "2")),
        ("def f(x, y): return x in y", ("1, {1, 2}", "3, {4}")),
        ("def f(x): return x", ("{'a', 'b'}", "{3}")),
        ("def f(x): return [v for v in x]", ("{'a', 'b', 'c', 'd', 'e', 'f', 'g'}", "{3}")),
        ("def g(x): return x", ("1",)),
        ("def f(x) return x", ("1",)),
        ("def f(x):\n while True: pass", ("1",)),
        ("def f(x): return [0] * 10**10", ("1",)),
        ("def f(x): return x", ()),
    ]
    jobs = [Validate(c, i, cpu_seconds=1) for c, i in bodies]
    twins = [Validate(f"{c}\nclass Unused: pass", i, cpu_seconds=1) for c, i in bodies]
    results = sandbox.map(jobs + twins)
    told = [(r.verdict, r.outputs, [t.verdict for t in r.tests]) for r in results]
    assert told[: len(jobs)] == told[len(jobs) :]
    assert told[0] == (Verdict.OK, (b"[2, 3]", b"[4]", b"[]"), [Verdict.OK] * 3)
