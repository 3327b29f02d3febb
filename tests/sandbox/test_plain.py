"""Which programs are validated without a process for each input, and that nothing rides on it."""

import ast
import contextlib
import random
import tomllib
import warnings
from pathlib import Path

import pytest
from sandbox_corpora import hostile_items, read_jsonl

from gasp_rl.sandbox import Func, Validate, Verdict, canonical, plain, teacher

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


class _Writer:
    """Writes short programs from tame pieces and, here and there, one that shows an address."""

    TAME = str.split(
        "x x k 0 1 2.5 'ab' None True [] {} [3,1,2] {1:2,'a':3} (1,'b') math.inf range(3)"
    )
    WILD = str.split("""f g len str zip dict.values {1,'a'} float('nan') Counter('aba') error set(x)
    ValueError(1) [].append iter(x) reversed(x) enumerate(x) zip(x,x) map(str,x) {1:2}.values()
    {1:2}.keys() type(x) defaultdict(list) deque(x) chain(x,x) Counter(x).elements() '{0.append}'""")
    WILD += ["lambda z: z", "lambda *z: str(z)", "(y for y in x)"]
    CALLS = str.split("""list tuple dict str repr sorted sum min max any all next len isinstance type g
    reduce Counter defaultdict deque math.floor math.prod deepcopy nlargest format int bool""")
    READERS = str.split("list tuple sorted min max any next Counter dict sum len str repr g deque")
    LAZY = str.split(
        "zip({}) zip(x,{}) map(str,{}) map(g,{}) map(len,{}) enumerate({}) filter(None,{})"
    )
    LAZY += str.split("reversed({}) iter({}) chain(x,{}) ({}).values() ({}).items() product({},x)")
    LAZY += ["map(lambda z: [z], {})", "(y for y in {})", "(str(y) for y in {})", "filter(f, {})"]
    METHODS = str.split("""append extend join update get items values keys sort split format copy
    index count pop fromkeys upper most_common union translate insert""")

    def __init__(self, rng):
        self.rng = rng

    def expression(self, depth):
        rng = self.rng
        if depth == 0 or rng.random() < 0.25:
            return rng.choice(self.WILD if rng.random() < 0.04 else self.TAME)
        part, many = self.expression(depth - 1), self.expression(depth - 1)
        lazy = rng.choice(self.LAZY).format(part)
        match rng.randrange(12):
            case 0:
                return f"{rng.choice(self.CALLS)}({part}, {many})"
            case 1:
                return f"{rng.choice(self.CALLS)}({part})"
            case 2 | 3:
                key = rng.choice(["", "", "", ", key=str", ", key=len", ", key=lambda z: str(z)"])
                return f"{rng.choice(self.READERS)}({lazy}{key})"
            case 4:
                return f"({part}).{rng.choice(self.METHODS)}({rng.choice([many, lazy, ''])})"
            case 5:
                return f"[{part} for k in {rng.choice([many, lazy])}]"
            case 6:
                return f"f'{{({part.replace(chr(39), chr(34))})}}'"
            case 7:
                return f"({part} if {many} else 0)"
            case 8:
                return f"[{part}, *{rng.choice([many, lazy])}]"
            case 9:
                return f"({part} {rng.choice(['in', '+', '==', '%', '<', 'and'])} {many})"
            case 10:
                return f"({part} in {lazy})"
            case _:
                return f"{{{part}: {many}}}"

    def program(self):
        return (
            "import math\nfrom collections import Counter, defaultdict, deque\n"
            "from itertools import chain, product\nfrom functools import reduce\n"
            "from copy import deepcopy\nfrom heapq import nlargest\n"
            f"def g(z=0, k=0):\n    return {self.expression(1)}\n"
            f"def f(x, k=1):\n    try:\n        y = {self.expression(3)}\n"
            "    except (TypeError, ValueError, AttributeError) as error:\n"
            f"        y = str({self.rng.choice(['error', 'error', 'x'])})\n"
            f"    return [y, {self.expression(2)}]\n"
        )


# Calls `f` again and again, with another state of the heap each time: blocks freed in another
# order, and some that stay.
_STIRRED = """
import random
def answers(seed):
    rng, kept, found = random.Random(seed), [], []
    for _ in range(5):
        try: found.append(repr(f([3, 1])))
        except Exception as problem: found.append(f"{type(problem).__name__}: {problem}")
        blocks = [[[None] * rng.randrange(9), str(rng.random()), {i: i}] for i in range(200)]
        blocks += [(y for y in ()) for _ in range(60)] + [zip() for _ in range(60)]
        rng.shuffle(blocks)
        while len(blocks) > 90: blocks.pop()
        kept.append(blocks)
    return found
"""


def plain_programs_that_remember(sandbox, count, seed):
    """Of `count` random programs: those that are plain, and their answers over several calls."""
    rng = random.Random(seed)
    writer, codes = _Writer(rng), []
    for _ in range(count):
        code = writer.program()
        with warnings.catch_warnings(), contextlib.suppress(SyntaxError):
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            if not teacher.offence(tree) and plain.is_plain(tree):
                codes.append(code)
    jobs = [Func(code + _STIRRED, (str(seed),), "answers", cpu_seconds=0.5) for code in codes]
    return [
        (code, ast.literal_eval(result.outputs[0].decode()))
        for code, result in zip(codes, sandbox.map(jobs), strict=True)
        if result.ok
    ]


def test_random_plain_programs_do_not_see_the_heap(sandbox):
    answered = plain_programs_that_remember(sandbox, 400, seed=1)
    assert [(code, a) for code, a in answered if len(set(a)) > 1] == []
    assert sum("Error" not in a[0] for _, a in answered) > 20


def test_plain_programs_do_not_see_the_heap(sandbox):
    results = sandbox.map([Func(code + _STIRRED, ("1",), "answers") for code in PLAIN])
    answers = [ast.literal_eval(result.outputs[0].decode()) for result in results]
    assert [(c, a) for c, a in zip(PLAIN, answers, strict=True) if len(set(a)) > 1] == []


def test_the_stirred_heap_shows_to_those_who_look(sandbox):
    looks = ("str(y for y in x)", "id([])", "str(zip(x))", "[str([].append)]")
    jobs = [Func(f"def f(x): return {look}{_STIRRED}", ("1",), "answers") for look in looks]
    for result in sandbox.map(jobs):
        assert len(set(ast.literal_eval(result.outputs[0].decode()))) > 1
