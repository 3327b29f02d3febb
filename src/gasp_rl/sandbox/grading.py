"""Comparison of printed output, by the rule that LiveCodeBench uses.

Both texts are stripped and split into lines; each pair of lines must be equal after stripping, or
hold equal sequences of decimal numbers (exact: 1.0 is 1, and 0.1 is not 0.10000001).
"""

from decimal import Decimal, InvalidOperation


def same_lines(got: str, expected: str) -> bool:
    """Whether a program printed what was expected."""
    if got == expected:
        return True
    mine, theirs = got.strip().split("\n"), expected.strip().split("\n")
    if len(mine) != len(theirs):
        return False
    return all(map(_same_line, mine, theirs))


def _same_line(got: str, expected: str) -> bool:
    got, expected = got.strip(), expected.strip()
    if got == expected:
        return True
    numbers, mine = _decimals(expected), _decimals(got)
    if numbers is None or mine is None:
        return False
    try:
        return numbers == mine
    except InvalidOperation:  # a signalling NaN cannot even be compared
        return False


def _decimals(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None
