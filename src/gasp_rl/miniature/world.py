"""The miniature world: questions about short lists of digits, answered by straight-line Python.

A question is a pipeline of steps over a list of three digits, arithmetic modulo 10. Its statement
names the steps in controlled English; some constants are given, others (`?`) must be inferred from
two shown input/output pairs; three more pairs are hidden and judge the answer. The number of steps
(*depth*) is the axis from easy to hard.

Two worlds are shipped. `SKEWED` has what makes hard problems hard: a gap in the real questions
(depths 4 and 5 are missing between the easy ones and the goalposts), and families that are rare in
the corpus of the base model but common in the goalposts. `FLAT` is its control: no gap, no skew.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

DIGITS = 3
"""Length of every list in the miniature. The tokens of the first, the inner and the last digit differ,
so a model without positional encoding can still tell three places apart."""

State = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of step: what it does, how it is said, and how it is written in Python.

    `phrase` and `code` hold `{c}` where the constant stands; a family without one has no constants.
    """

    name: str
    phrase: str
    code: str
    apply: Callable[[State, int], State]
    constants: tuple[int, ...] = ()
    rare: bool = False


def _scan(x: State) -> State:
    return tuple(sum(x[: i + 1]) % 10 for i in range(len(x)))


FAMILIES: tuple[Family, ...] = (
    Family(
        name="add",
        phrase="add {c}",
        code="[(v + {c}) % 10 for v in x]",
        apply=lambda x, c: tuple((v + c) % 10 for v in x),
        constants=tuple(range(1, 10)),
    ),
    Family(
        name="multiply",
        phrase="multiply by {c}",
        code="[(v * {c}) % 10 for v in x]",
        apply=lambda x, c: tuple((v * c) % 10 for v in x),
        constants=(2, 3, 4, 6, 7, 8, 9),
    ),
    Family(
        name="rotate",
        phrase="rotate by {c}",
        code="x[{c}:] + x[:{c}]",
        apply=lambda x, c: x[c:] + x[:c],
        constants=(1, 2),
    ),
    Family(
        name="negate",
        phrase="negate",
        code="[-v % 10 for v in x]",
        apply=lambda x, c: tuple(-v % 10 for v in x),
    ),
    Family(name="reverse", phrase="reverse", code="x[::-1]", apply=lambda x, c: x[::-1]),
    Family(
        name="ramp",
        phrase="add a ramp of {c}",
        code="[(v + {c} * i) % 10 for i, v in enumerate(x)]",
        apply=lambda x, c: tuple((v + c * i) % 10 for i, v in enumerate(x)),
        constants=tuple(range(1, 10)),
        rare=True,
    ),
    Family(
        name="scan",
        phrase="take running sums",
        code="[sum(x[: i + 1]) % 10 for i in range(len(x))]",
        apply=lambda x, c: _scan(x),
        rare=True,
    ),
    Family(
        name="sort",
        phrase="sort",
        code="sorted(x)",
        apply=lambda x, c: tuple(sorted(x)),
        rare=True,
    ),
    Family(
        name="cap",
        phrase="cap at {c}",
        code="[min(v, {c}) for v in x]",
        apply=lambda x, c: tuple(min(v, c) for v in x),
        constants=(4, 5, 6, 7, 8),
        rare=True,
    ),
    Family(
        name="floor",
        phrase="raise to {c}",
        code="[max(v, {c}) for v in x]",
        apply=lambda x, c: tuple(max(v, c) for v in x),
        constants=(1, 2, 3, 4, 5),
        rare=True,
    ),
    Family(
        name="diff",
        phrase="take differences",
        code="[(a - b) % 10 for a, b in zip(x, x[1:] + x[:1])]",
        apply=lambda x, c: tuple((a - b) % 10 for a, b in zip(x, x[1:] + x[:1], strict=True)),
        rare=True,
    ),
    Family(
        name="odd",
        phrase="mirror odd digits",
        code="[9 - v if v % 2 else v for v in x]",
        apply=lambda x, c: tuple(9 - v if v % 2 else v for v in x),
        rare=True,
    ),
)

FAMILY = {family.name: family for family in FAMILIES}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline; `hidden` says that the statement leaves its constant open."""

    family: str
    constant: int = 0
    hidden: bool = False

    def phrase(self) -> str:
        return FAMILY[self.family].phrase.replace("{c}", "?" if self.hidden else str(self.constant))

    def line(self) -> str:
        return "    x = " + FAMILY[self.family].code.replace("{c}", str(self.constant))


Pipeline = tuple[Step, ...]


def statement(pipeline: Pipeline) -> str:
    """The controlled English of a pipeline: `Take x; add 3; rotate by ?; reverse`."""
    return "; ".join(("Take x", *(step.phrase() for step in pipeline)))


def program(pipeline: Pipeline) -> str:
    """The pipeline as a Python function, one line for each step."""
    return "\n".join(("def f(x):", *(step.line() for step in pipeline), "    return x"))


def _line_patterns() -> list[tuple[str, re.Pattern[str]]]:
    """A pattern for each family's line; a constant that occurs twice must be the same twice."""
    patterns = []
    for family in FAMILIES:
        first, *rest = re.escape("    x = " + family.code.replace("{c}", "@")).split("@")
        body = first + "".join(
            (r"(?P<c>\d)" if i == 0 else "(?P=c)") + part for i, part in enumerate(rest)
        )
        patterns.append((family.name, re.compile(body)))
    return patterns


_PATTERNS = _line_patterns()


def recognise(code: str) -> Pipeline | None:
    """The pipeline that a program's text spells out, or None if it is anything else.

    For statistics (depth, families) of programs that a model wrote. It never judges an answer:
    the sandbox does, by running it.
    """
    first, *lines = code.strip("\n").split("\n")
    if first != "def f(x):" or not lines or lines[-1] != "    return x":
        return None
    steps = []
    for line in lines[:-1]:
        for name, pattern in _PATTERNS:
            if match := pattern.fullmatch(line):
                steps.append(Step(name, int(match.groupdict().get("c") or 0)))
                break
        else:
            return None
    return tuple(steps)


def rare_share(code: str) -> float | None:
    """Share of a program's steps that are of a rare family; None for any other program.

    Goalposts are full of these and the base's corpus is not, so it shows whether a curriculum
    keeps to its goalposts.
    """
    pipeline = recognise(code)
    if not pipeline:
        return None
    return sum(FAMILY[step.family].rare for step in pipeline) / len(pipeline)


def describes(message: str, code: str) -> bool:
    """Whether a message in the miniature's English names exactly the steps of a program.

    An open constant fits any. Without this check a teacher learns within twenty steps to write
    messages that name other steps than its program has: a cheap way to a middling pass rate.
    """
    pipeline = recognise(code)
    if pipeline is None:
        return False
    open_or_given = [
        (s.phrase(), Step(s.family, s.constant, hidden=True).phrase()) for s in pipeline
    ]
    first, *told = message.split("; ")
    return (
        first == "Take x"
        and len(told) == len(pipeline)
        and all(phrase in both for phrase, both in zip(told, open_or_given, strict=True))
    )


def run(pipeline: Pipeline, x: State) -> State:
    """The pipeline's value, computed by this trusted module rather than by its Python text."""
    for step in pipeline:
        x = FAMILY[step.family].apply(x, step.constant)
    return x


@dataclass(frozen=True, slots=True, kw_only=True)
class MiniQuestion:
    """A pipeline with its inputs: the first `shown` pairs are shown, the others judge."""

    pipeline: Pipeline
    inputs: tuple[State, ...]
    shown: int = 2

    @property
    def depth(self) -> int:
        return len(self.pipeline)

    @property
    def statement(self) -> str:
        return statement(self.pipeline)

    def pairs(self) -> list[tuple[State, State]]:
        return [(x, run(self.pipeline, x)) for x in self.inputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How often families and open constants occur, and at which depths the real questions lie.

    rare_in_corpus: weight of a rare family in the base model's corpus (a common one weighs 1).
    common_in_pool: weight of a common family in the real questions (a rare one weighs 1).
    """

    name: str
    rare_in_corpus: float
    common_in_pool: float
    pool_depths: tuple[int, ...]
    goalpost_depths: tuple[int, ...]
    corpus_depths: tuple[int, ...] = (1, 2, 3)

    def corpus_weights(self) -> np.ndarray:
        """Probability of each family in the corpus, in the order of `FAMILIES`."""
        return _normal([self.rare_in_corpus if f.rare else 1.0 for f in FAMILIES])

    def pool_weights(self) -> np.ndarray:
        """Probability of each family in the real questions, in the order of `FAMILIES`."""
        return _normal([1.0 if f.rare else self.common_in_pool for f in FAMILIES])

    def common_weights(self) -> np.ndarray:
        """Probability of each family in questions that have nothing of the rare ones."""
        return _normal([0.0 if f.rare else 1.0 for f in FAMILIES])


SKEWED = World(
    name="miniature",
    rare_in_corpus=0.25,
    common_in_pool=0.5,
    pool_depths=(1, 2, 3),
    goalpost_depths=(6, 7, 8, 9),
)
FLAT = World(
    name="miniature-flat",
    rare_in_corpus=1.0,
    common_in_pool=1.0,
    pool_depths=(1, 2, 3, 4, 5),
    goalpost_depths=(6, 7, 8, 9),
)
WORLDS = {world.name: world for world in (SKEWED, FLAT)}


def _normal(weights: Sequence[float]) -> np.ndarray:
    array = np.asarray(weights, dtype=np.float64)
    return np.asarray(array / array.sum())


def draw_pipeline(
    depth: int, weights: np.ndarray, hidden: int, random: np.random.Generator
) -> Pipeline:
    """A pipeline of `depth` steps, no family twice in a row, with at most `hidden` open constants."""
    steps: list[Step] = []
    cumulative = np.cumsum(weights)
    while len(steps) < depth:
        family = FAMILIES[int(np.searchsorted(cumulative, random.random() * cumulative[-1]))]
        if steps and steps[-1].family == family.name:
            continue
        n = len(family.constants)
        constant = family.constants[int(random.random() * n)] if n else 0
        steps.append(Step(family.name, constant))
    with_constant = [i for i, step in enumerate(steps) if FAMILY[step.family].constants]
    for i in random.permutation(with_constant)[:hidden] if hidden else ():
        steps[i] = Step(steps[i].family, steps[i].constant, hidden=True)
    return tuple(steps)


def draw_inputs(count: int, random: np.random.Generator) -> tuple[State, ...]:
    """Distinct random lists of digits."""
    seen: dict[State, None] = {}
    while len(seen) < count:
        seen[tuple(random.integers(0, 10, DIGITS).tolist())] = None
    return tuple(seen)


def is_sound(question: MiniQuestion) -> bool:
    """Whether a question asks what it seems to: every step matters, and outputs tell enough.

    A question is degenerate when dropping steps leaves a pipeline that still passes every pair:
    it would then be easier than its depth says.
    """
    pairs = question.pairs()
    outputs = {output for _, output in pairs}
    if len(outputs) < len(pairs) - 1 or any(len(set(output)) == 1 for output in outputs):
        return False
    return not any(
        all(run(shorter, x) == y for x, y in pairs)
        for size in range(question.depth)
        for shorter in combinations(question.pipeline, size)
    )


def draw_open_constants(random: np.random.Generator) -> int:
    """How many constants a statement leaves open: 0, 1 or 2 with probability .4, .5 and .1."""
    u = random.random()
    return 0 if u < 0.4 else 1 if u < 0.9 else 2


def draw_question(
    depth: int, weights: np.ndarray, random: np.random.Generator, max_hidden: int = 2
) -> MiniQuestion:
    """A sound question with at most `max_hidden` open constants."""
    while True:
        hidden = min(max_hidden, draw_open_constants(random))
        pipeline = draw_pipeline(depth, weights, hidden, random)
        question = MiniQuestion(pipeline=pipeline, inputs=draw_inputs(5, random))
        if is_sound(question):
            return question
