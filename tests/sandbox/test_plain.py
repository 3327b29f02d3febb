"""Which programs are validated without a process for each input, and that nothing rides on it."""

import ast
import tomllib
from pathlib import Path

import pytest
from sandbox_corpora import hostile_items, read_jsonl

from gasp_rl.sandbox import Validate, Verdict, canonical, plain, teacher

HERE = Path(__file__).parent

PLAIN = """
def f(x): return sorted(x)
---
def f(x):
    x = [(v + 3) % 10 for v in x]
    x = x[1:] + x[:1]
    return x
---
import math
from collections import Counter, defaultdict
from typing import List
N = 10**0
---
import math, heapq
from collections import Counter, defaultdict, deque
from functools import reduce
from itertools import chain, product
VOWELS = "aeiou"
LIMITS = (1, -2)

def helper(a: list[int], b=3, *more, key=None) -> int:
    return reduce(lambda p, q: p + q, map(int, a), b) + math.floor(math.pi)

def f(text: str, k: int = 0):
    counts = Counter(c for c in text if c in {"a", "b"})
    groups = defaultdict(list)
    for i, word in enumerate(text.split()):
        groups[len(word)].append(word.upper())
    try:
        best = max(counts, key=counts.get)
    except (ValueError, KeyError) as error:
        best = f"none: {error}"
        print(error)
    first, *rest = map(str.strip, text.split(","))
    while k > 0 and rest:
        k -= 1
        rest.pop()
    if not isinstance(k, int) or k is None:
        raise ValueError("k", k)
    pairs = {a: b for a, b in zip(rest, groups.values())}
    pairs.update(zip(first, range(3)))
    return best, helper([1], key=2), "".join(sorted(set_free(text))), pairs, any(c > 1 for c in
        counts.values()), list(chain([1], [2])), next((i for i in rest if i), None), "{}".format(k)

def set_free(text):
    return [c for c in text if text.count(c) == 1]
""".split("---")
del PLAIN[2]

# Each of these could tell what was called before, or would need a closer look to tell that not.
NOT_PLAIN = r"""
N = []
def f(x): N.append(x); return len(N)
---
N = [0] * 2
def f(x): return x
---
def f(x, seen=[]): return x
---
def f(x, *, seen={}): return x
---
N = 0
def f(x):
    global N
    N += 1
    return N
---
def f(x):
    f.calls = 1
    return x
---
import math
def f(x):
    math.calls = 1
    return x
---
class C: pass
def f(x): return x
---
import random
def f(x): return x
---
import decimal
def f(x): return decimal.getcontext().prec
---
import functools
@functools.lru_cache
def f(x): return x
---
def f(x): return str(f)
---
def f(x): return f"{f}"
---
def f(x): return str(lambda: 0)
---
def f(x): return str(y for y in [x])
---
def f(x): return str(zip([x]))
---
def f(x): return f"{zip([x])}"
---
def f(x): return [str(z) for z in [map(str, [x])]]
---
def f(x): return [str(z) for z in map(zip, [[x]])]
---
def f(x): return list(map(str, [reversed([x])]))
---
from itertools import repeat
def f(x): return [str(z) for z in repeat(zip([x]), 2)]
---
from itertools import cycle, chain
def f(x): return str(chain([x]))
---
def join(z): return str(z)
def f(x): return join(zip([x]))
---
def list(z): return str(z)
def f(x): return list(zip([x]))
---
def f(x, list=str): return list(zip([x]))
---
def f(x):
    for list in [x]: pass
    return list
---
from math import floor as list
def f(x): return x
---
from functools import reduce
def reduce(g, z): return str(g)
def f(x): return reduce(f, [x])
---
def g(h): return str(h)
def f(x): return g(f)
---
def g(key): return str(key)
def f(x): return g(key=lambda a: a)
---
def f(x): return str([].append)
---
def f(x): return "{0.append}".format([])
---
def f(x): return "{0.append}" .format_map([])
---
def f(x):
    t = "{0.append}"
    return t.format([])
---
def f(x): return str.format("{0.append}", [])
---
def f(x): return id(x)
---
def f(x): return hash("a")
---
def f(x): return object()
---
def f(x): return list({float("nan"), 1.5})
---
def f(x): return list(set([x]))
---
def f(x): return [y for y in {x, 1}]
---
def f(x): return list(frozenset([x]))
---
def f(x): return {y for y in [x]}
---
def f(x): return {1: x}.keys() & {1: 2}.keys()
---
def f(x): return {{}.values(): 1}
---
def f(x):
    v = {}.values()
    return v
---
def f(x): return list(map(dict.values, [{1: x}]))
---
from collections import Counter
def f(x): return str(Counter([x]).elements())
---
from collections import defaultdict
def f(x): return str(defaultdict(lambda: 0))
---
from collections import defaultdict
def f(x): return str(defaultdict(f))
---
def f(x):
    try: return x[0]
    except: return 1
---
def f(x):
    try: return [0] * x
    except MemoryError: return 1
---
def f(x):
    try: return [0] * x
    except Exception: return 1
---
def f(x):
    try: return f(x)
    except RecursionError: return 1
---
def f(x):
    try: return [0] * x
    finally: return 1
---
def f(x):
    try: raise ValueError
    except ValueError as e: return {e: 1}
---
def f(x):
    try: raise ValueError
    except ValueError as e:
        errors = [e]
        return errors
---
def f(x): return {ValueError(1): 2}
---
def f(x): return 1.5 is x
---
def f(x): return x is 1
---
def f(x): return x is x
---
def f(x): yield x
---
def f(x):
    def g(): yield 1
    return str(g())
---
async def f(x): return x
---
def f(x): return (lambda: x)()
---
def f(x): return type(x)(x)
---
def f(x): return max(zip([1]), zip([2]), key=lambda z: str(z))
---
def f(x): return sum([1], zip([2]))
---
def f(x):
    with x: pass
---
def f(x):
    match x:
        case [a]: return a
---
from collections import *
def f(x): return x
---
from copy import deepcopy as zip
def f(x): return x
---
import re
def f(x): return re.sub("a", lambda m: str(m), "a")
---
import re
def f(x): return re.compile("a")
---
def f(x): return getattr(x, "append")
---
if True:
    def f(x): return x
---
N = (1, [2])
def f(x): return N
---
def f(x):
    def g(a=[]): return a
    return g()
""".split("---")


@pytest.mark.parametrize("code", PLAIN)
def test_plain(code):
    tree = ast.parse(code)
    assert teacher.offence(tree) is None
    assert plain.is_plain(tree)


@pytest.mark.parametrize("code", NOT_PLAIN)
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
    yield from PLAIN + NOT_PLAIN


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
