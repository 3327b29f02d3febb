"""Programs as text: what AZR's validity filters look at and change. Nothing here runs a program.

A text that Python cannot read is handed back as it is; the sandbox then refuses it.
"""

import ast
import io
import tokenize
import warnings
from collections.abc import Iterable, Sequence

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
    lines = program.splitlines(keepends=True)
    for token in reversed(_tokens(program)):
        if token.type == tokenize.NAME and token.string == old:
            row, start = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:start] + new + line[start + len(old) :]
    return "".join(lines)


def without_comments(program: str) -> str:
    """Comments are taken away, and lines that held nothing else."""
    lines = program.splitlines(keepends=True)
    for token in _tokens(program):
        if token.type == tokenize.COMMENT:
            row, start = token.start
            line = lines[row - 1]
            kept = line[:start].rstrip()
            lines[row - 1] = kept + line[len(line.rstrip("\r\n")) :] if kept else ""
    return "".join(lines)


def without_prints(program: str) -> str:
    """Statements that only print are taken away; one that is a whole body becomes `pass`."""
    tree = parsed(program)
    if tree is None:
        return program
    prints = [n for n in ast.walk(tree) if isinstance(n, ast.Expr) and _is_print(n.value)]
    alone = {id(n.body[0]) for n in ast.walk(tree) if _has_one(n)}  # type: ignore[attr-defined]
    lines = program.splitlines(keepends=True)
    for node in sorted(prints, key=lambda n: -n.lineno):
        end = node.end_lineno or node.lineno
        head = lines[node.lineno - 1][: node.col_offset]
        if head.strip():
            continue  # it shares its line with something else
        lines[node.lineno - 1 : end] = [f"{head}pass\n"] if id(node) in alone else []
    return "".join(lines)


def without_globals(program: str) -> str:
    """Assignments at the top level are taken away; functions, classes and imports stay."""
    tree = parsed(program)
    if tree is None:
        return program
    lines = program.splitlines(keepends=True)
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign)
    for node in reversed([n for n in tree.body if isinstance(n, kinds)]):
        lines[node.lineno - 1 : node.end_lineno] = []
    return "".join(lines)


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


def _tokens(program: str) -> list[tokenize.TokenInfo]:
    try:
        return list(tokenize.generate_tokens(io.StringIO(program).readline))
    except (tokenize.TokenError, *_UNREADABLE):
        return []


def _is_print(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "print"
    )


def _has_one(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    return isinstance(body, list) and len(body) == 1
