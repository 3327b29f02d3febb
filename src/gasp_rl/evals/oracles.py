"""When an output counts as right although it is not equal: EvalPlus's tolerances and exceptions.

Facts of EvalPlus v0.3.1 (evalplus/eval). Values arrive as canonical text from the sandbox, are read
by its literal parser, and so are plain builtin data whatever the program did.
"""

import math
from typing import Any

from gasp_rl.problems.evalplus import holds_floats
from gasp_rl.sandbox.canonical import parse_arguments, parse_literal, same
from gasp_rl.tasks.question import Match, Question, canonical
from gasp_rl.types import Example

RTOL = 1e-7
FLOAT_ATOL = 1e-6


def output_matches(question: Question, example: Example, output: bytes) -> bool:
    """Whether one output is right under the question's `match`."""
    expected = canonical(example.output)
    if question.match is Match.ANY or same(output, expected):
        return True
    if question.match in (Match.EXACT, Match.PRESENCE):
        return False
    got, wanted = parse_literal(output.decode()), parse_literal(example.output)
    match question.match:
        case Match.CLOSE:
            atol = question.atol or (FLOAT_ATOL if holds_floats(wanted) else 0.0)
            return atol > 0 and type(got) is type(wanted) and _close(got, wanted, atol)
        case Match.SET:
            return _same_elements(got, wanted)
        case Match.OR_ZERO:
            return _is_number(got) and got == 0
        case Match.ROOT:
            coefficients = parse_arguments(example.input)[0]
            return _is_number(got) and abs(_polynomial(coefficients, got)) <= question.atol
        case Match.EITHER:
            second = _SECOND_READINGS[question.entry](*parse_arguments(example.input))
            return _is_number(got) and got == second


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _close(got: Any, wanted: Any, atol: float) -> bool:
    """Numbers within atol + RTOL * |wanted|, element by element."""
    if isinstance(wanted, list | tuple):
        return (
            isinstance(got, list | tuple)
            and len(got) == len(wanted)
            and all(_close(g, w, atol) for g, w in zip(got, wanted, strict=True))
        )
    if not (_is_number(got) and _is_number(wanted)):
        return bool(got == wanted)
    try:
        near = abs(got - wanted) <= atol + RTOL * abs(wanted)
        return bool(near or (got != got and wanted != wanted))
    except OverflowError:  # an int that no float can hold
        return False


def _same_elements(got: Any, wanted: Any) -> bool:
    if not isinstance(got, list | tuple | set | frozenset | str | dict):
        return False
    try:
        return set(got) == set(wanted)
    except TypeError:  # unhashable elements
        return False


def _polynomial(coefficients: list[float], x: float) -> float:
    try:
        return math.fsum(c * math.pow(x, i) for i, c in enumerate(coefficients))
    except (OverflowError, ValueError):
        return math.inf


def _surface_area(base_edge: float, height: float) -> int:
    """Mbpp/581 with the height read as the pyramid's own, not the slant's."""
    return round(base_edge**2 + 2 * base_edge * math.hypot(base_edge / 2, height))


def _digit_distance(first: int, second: int) -> int:
    """Mbpp/558 digit by digit."""
    a, b = str(first), str(second)
    width = max(len(a), len(b))
    pairs = zip(a.zfill(width), b.zfill(width), strict=True)
    return sum(abs(int(x) - int(y)) for x, y in pairs)


_SECOND_READINGS = {"surface_Area": _surface_area, "digit_distance_nums": _digit_distance}
