"""Honest programs that a wall or a rule once stopped by accident."""

import pytest

from gasp_rl.sandbox import Check, Stdio, Validate

TYPED = '''
from typing import Any, Callable, Dict, Generic, List, NamedTuple, Optional, Tuple, TypeVar, Union, cast
T = TypeVar("T", bound="str")
class Point(NamedTuple):
    """A point."""
    x: int
    y: Optional["int"] = 5
    def total(self) -> int: return self.x + self.y
    @property
    def twice(self): return 2 * self.x
    @classmethod
    def of(cls, v): return cls(v)
    def __add__(self, other): return Point(self.x + other.x, 0)
class Stack(Generic[T]):
    def __init__(self): self.items: List[T] = []
    def push(self, v: T) -> "Stack[T]":
        self.items.append(v)
        return self
Pair = NamedTuple("Pair", [("a", int), ("b", "str")])
def g(a: Dict[str, List[int]], h: Callable[[int], Union[int, None]] = None, *b: Tuple[int, ...],
      c: int | Optional[int] = 3) -> Any: return a
def f(x: int):
    p = Point(x)
    assert isinstance([], List) and isinstance(p, tuple) and g({}) == {}
    return (p, p.total(), p.twice, Point.of(3).x, (p + p).x, Stack().push(4).items,
            Pair(1, "b").b, cast(int, 5), p._replace(y=1), str(p))
'''
TYPED_OUTPUT = b"((1, 5), 6, 2, 3, 2, [4], 'b', 5, (1, 1), 'Point(x=1, y=5)')"

TEACHERS = {
    "types": (TYPED, TYPED_OUTPUT),
    "dates": (
        "from datetime import date, datetime, timedelta\n"
        "def f(x):\n"
        "    d = datetime.strptime('2020-02-03', '%Y-%m-%d') + timedelta(days=x)\n"
        "    return d.strftime('%d/%m/%y'), f'{d:%Y}', list(date(2020, 1, 1).timetuple())[:2]",
        b"('04/02/20', '2020', [2020, 1])",
    ),
    "enumeration": (
        "from enum import Enum\n"
        "class E(Enum):\n"
        "    A = 1\n"
        "    @classmethod\n"
        "    def _missing_(cls, value): return cls.A\n"
        "def f(x): return E(99).value",
        b"1",
    ),
    "underscores": (
        "def f(x):\n    __ = x\n    for _ in range(3): __ += 1\n    return __",
        b"4",
    ),
    "copies": (
        "import copy\nclass A:\n    def __init__(self): self.v = [1]\n"
        "def f(x):\n    a = A()\n    b = copy.deepcopy(a)\n    b.v.append(x)\n    return a.v, b.v",
        b"([1], [1, 1])",
    ),
    "generators": ("import random\ndef f(x): return random.Random(5).randint(1, 100)", b"80"),
}


@pytest.mark.parametrize("name", TEACHERS)
def test_teachers(sandbox, name):
    code, output = TEACHERS[name]
    result = sandbox.run(Validate(code, ("1",)))
    assert result.outputs == (output,), result


PRINTED = {  # each prints 3
    "time.strptime": "import time\nprint(time.strptime('3', '%d').tm_mday)",
    "datetime.strptime": "import datetime\nprint(datetime.datetime.strptime('3', '%d').day)",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(2) as pool: print(sum(pool.map(int, ['1', '2'])))",
    "asyncio.to_thread": "import asyncio\n"
    "async def main(): return await asyncio.to_thread(lambda: 3)\nprint(asyncio.run(main()))",
    "utf-8-sig": "print(len('abc'.encode('utf-8-sig').decode('utf-8-sig')))",
}
NUMPY = {
    "matrices": "print(int((np.ones((3, 3)) @ np.ones(3))[0]))",
    "determinant": "print(int(round(np.linalg.det(np.diag([1.0, 3.0])))))",
    "unique": "print(len(np.unique([3, 4, 5])))",
    "fft": "print(int(round(abs(np.fft.fft([1, 2])[0]))))",
    "polynomial": "print(int(np.polynomial.Polynomial([1, 2])(1)))",
}


@pytest.mark.parametrize("name", PRINTED)
def test_programs_on_stdin(sandbox, name):
    assert sandbox.run(Stdio(PRINTED[name], (("3\n", "3\n"),))).ok


@pytest.mark.parametrize("name", NUMPY)
def test_numpy(sandbox, name):
    pytest.importorskip("numpy")
    result = sandbox.run(Stdio(f"import numpy as np\n{NUMPY[name]}", (("3\n", "3\n"),)))
    assert result.ok, result


def test_dates_of_students(sandbox):
    code = "import datetime\ndef f(x): return datetime.datetime.strptime('2020', '%Y').year"
    assert sandbox.run(Check(code, ("1",), (b"2020",))).ok
