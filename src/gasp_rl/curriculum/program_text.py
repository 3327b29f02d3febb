"""Programs as text: what AZR's validity filters look at and change. Nothing here runs a program.

A text that Python cannot read is handed back as it is; the sandbox then refuses it.
"""

import ast
import re
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import pairwise

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def parsed(program: str) -> ast.Module | None:
    """The syntax tree, None where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(program)
    except _UNREADABLE:
        return None


def functions(program: str) -> list[str]:
    """Names of all functions in the order of the text, methods and nested ones too."""
    tree = parsed(program)
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)] if tree else []
    return [n.name for n in sorted(found, key=lambda n: n.lineno)]


def calls(program: str) -> set[str]:
    """Names that the program calls."""
    tree = parsed(program)
    nodes = ast.walk(tree) if tree else ()
    return {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def renamed(program: str, old: str, new: str) -> str:
    """Every name `old` becomes `new`; strings and comments stay.

    Example: `renamed("def f(x): return f'{x}'", "f", "g_0")` is `"def g_0(x): return f'{x}'"`.
    """
    lines = _lines(program)
    for token in reversed(_tokens(program)):
        if token.type == tokenize.NAME and token.string == old:
            row, start = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:start] + new + line[start + len(old) :]
    return "".join(lines)


def without_comments(program: str) -> str:
    """Comments are taken away, and lines that held nothing else."""
    lines = _lines(program)
    for token in _tokens(program):
        if token.type == tokenize.COMMENT:
            row, start = token.start
            line = lines[row - 1]
            kept = line[:start].rstrip()
            end = line[len(line.rstrip("\r\n")) :]
            if kept:
                lines[row - 1] = kept + end
            elif row > 1 and lines[row - 2].rstrip("\r\n").endswith("\\"):
                lines[row - 1] = end or "\n"  # where the backslash goes on must be a line, if empty
            else:
                lines[row - 1] = ""
    return "".join(lines)


def without_prints(program: str) -> str:
    """Statements that only print are taken away; where nothing else was, `pass` stands."""
    tree = parsed(program)
    if tree is None:
        return program
    return _without(program, tree, [n for n in ast.walk(tree) if _is_print(n)])


def without_globals(program: str) -> str:
    """Assignments at the top level are taken away; functions, classes and imports stay."""
    tree = parsed(program)
    if tree is None:
        return program
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign)
    return _without(program, tree, [n for n in tree.body if isinstance(n, kinds)])


def composed(helpers: Sequence[str], program: str) -> str:
    """A program above which its helpers stand as g_0, g_1, ...

    Example: helpers `["def f(x): return x"]` give `def g_0(x): return x` before the program.
    """
    texts = [renamed(helper, "f", f"g_{i}") for i, helper in enumerate(helpers)]
    return "\n\n".join([*(text.strip("\n") for text in texts), program])


def uncalled(helpers: Iterable[str], program: str) -> list[str]:
    """Helpers g_0, g_1, ... that a program does not call."""
    called = calls(program)
    return [name for i, _ in enumerate(helpers) if (name := f"g_{i}") not in called]


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_LINE_BYTES = re.compile(_LINE.pattern.encode())
_GOES_ON = rb"(?:[ \t\f]|\\(?:\r\n|\r|\n))*"
_SEMICOLON = re.compile(_GOES_ON + rb";" + _GOES_ON)


def _lines(program: str) -> list[str]:
    """The lines as Python counts them, with their ends; `splitlines` knows ends that Python does not."""
    return _LINE.findall(program)


def _tokens(program: str) -> list[tokenize.TokenInfo]:
    lines = (line.rstrip("\r\n") + "\n" for line in _lines(program))
    try:
        return list(tokenize.generate_tokens(lambda: next(lines, "")))
    except (tokenize.TokenError, *_UNREADABLE):
        return []


def _is_print(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "print"
    )


def _without(program: str, tree: ast.Module, unwanted: Sequence[ast.AST]) -> str:
    """The program without simple statements of it; all other text stays as it is."""
    source = _Source(program.encode())
    gone = {id(node) for node in unwanted}
    cuts = [
        cut
        for suite in _suites(tree)
        if any(id(statement) in gone for statement in suite)
        for cut in source.cuts(suite, gone, may_vanish=suite is tree.body)
    ]
    parts, at = [], 0
    for start, end, instead in sorted(cuts):
        parts += [source.text[at:start], instead]
        at = end
    return b"".join([*parts, source.text[at:]]).decode()


def _suites(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Every list of statements: bodies, and what follows else, except, finally and case."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            suite = getattr(node, field, None)
            if isinstance(suite, list) and suite:
                yield suite


Cut = tuple[int, int, bytes]
"""Bytes from one place to another, and what stands there instead."""


class _Source:
    """A program's bytes, for places in a syntax tree count bytes of lines."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._starts = [0, *(line.end() for line in _LINE_BYTES.finditer(text))]

    def cuts(self, suite: Sequence[ast.stmt], gone: Set[int], *, may_vanish: bool) -> list[Cut]:
        """What takes the statements that are gone out of a suite, which keeps one, or gets `pass`."""
        emptied = all(id(statement) in gone for statement in suite) and not may_vanish
        stays = id(suite[0]) if emptied else None
        cuts: list[Cut] = []
        for line in self._logical_lines(suite):
            kept = [s for s in line if id(s) not in gone or id(s) == stays]
            if emptied and kept:
                cuts.append((*self._place(kept[0]), b"pass"))
            if kept:
                cuts += self._cuts_beside(line, kept)
            else:
                cuts.append(self._whole(line))
        return cuts

    def _logical_lines(self, suite: Sequence[ast.stmt]) -> list[list[ast.stmt]]:
        """The suite's statements, together those that semicolons join."""
        lines = [[suite[0]]]
        for before, statement in pairwise(suite):
            end, start = self._place(before)[1], self._place(statement)[0]
            if _SEMICOLON.fullmatch(self.text, end, start):
                lines[-1].append(statement)
            else:
                lines.append([statement])
        return lines

    def _cuts_beside(self, line: Sequence[ast.stmt], kept: Sequence[ast.stmt]) -> list[Cut]:
        """Cut up to the next statement of the line, or after the last that is kept to the end."""
        staying = {id(statement) for statement in kept}
        cuts = [
            (self._place(statement)[0], self._place(after)[0], b"")
            for statement, after in pairwise(line[: line.index(kept[-1]) + 1])
            if id(statement) not in staying
        ]
        if line[-1] is not kept[-1]:
            cuts.append((self._place(kept[-1])[1], self._place(line[-1])[1], b""))
        return cuts

    def _whole(self, line: Sequence[ast.stmt]) -> Cut:
        """Cut the lines of the text that a logical line fills, with a comment at its end."""
        start, end = self._place(line[0])[0], self._place(line[-1])[1]
        row = line[0].lineno - 1
        first = self._starts[row]
        if row and self.text[self._starts[row - 1] : first].rstrip(b"\r\n").endswith(b"\\"):
            return start, end, b"pass"  # its indentation is that of the line before
        if semicolon := _SEMICOLON.match(self.text, end):
            end = semicolon.end()
        last = bisect_right(self._starts, end)
        return first, self._starts[last] if last < len(self._starts) else len(self.text), b""

    def _place(self, statement: ast.stmt) -> tuple[int, int]:
        assert statement.end_lineno is not None
        assert statement.end_col_offset is not None
        start = self._starts[statement.lineno - 1] + statement.col_offset
        return start, self._starts[statement.end_lineno - 1] + statement.end_col_offset
