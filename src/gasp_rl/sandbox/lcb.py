"""LiveCodeBench's way of running a program on standard input, quirks included. Runs in the child.

Facts of its checker (LiveCodeBench at 28fef95): imports go to the top and every other statement
into one function; a final `if __name__ == "__main__":` is replaced by its body; a block of star
imports comes first; standard input is an imitation that cannot be iterated, whose `readlines` ends
with an empty line and whose `buffer.readline` always gives the first line; only what goes through
the `sys.stdout` object counts as printed.
"""

import ast
import builtins
import contextlib
import io
import os
import sys
import types
from functools import cache
from typing import Any

MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools "
    "operator io sys json builtins typing"
)
RECURSION_LIMIT = 50_000


@cache
def _names() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for module in MODULES.split():
        exec(f"from {module} import *", names)
    for module in MODULES.split():
        exec(f"import {module}", names)
    return names


def namespace() -> dict[str, Any]:
    """What a program finds before its first line."""
    return dict(_names())


def compiled(code: str) -> types.CodeType:
    """Code of a module whose `wrapped_function` is the program on standard input."""
    tree = _flat(ast.parse(code))
    imports = [s for s in tree.body if isinstance(s, ast.Import | ast.ImportFrom)]
    if any(isinstance(s, ast.ImportFrom) and s.module == "__future__" for s in imports):
        raise SyntaxError("from __future__ imports must occur at the beginning of the file")
    rest = [s for s in tree.body if not isinstance(s, ast.Import | ast.ImportFrom)]
    wrapper = ast.parse("def wrapped_function():\n    pass").body[0]
    assert isinstance(wrapper, ast.FunctionDef)
    wrapper.body = rest or wrapper.body
    # Through text, as there: unparsing changes what some programs mean.
    text = ast.unparse(ast.fix_missing_locations(ast.Module([*imports, wrapper], [])))
    if "class Solution" in code:  # it stands inside of the function: this raises, as there
        text += "\nwrapped_function = Solution().wrapped_function"
    return compile(text, "<program>", "exec", 0, True)


def load(code: types.CodeType) -> types.FunctionType:
    """The function that one test calls."""
    module = types.ModuleType("tmp_sol")
    sys.modules["tmp_sol"] = module
    module.__dict__.update(namespace(), __name__="tmp_sol")
    sys.setrecursionlimit(RECURSION_LIMIT)
    exec(code, module.__dict__)
    function: types.FunctionType = module.wrapped_function
    return function


def _flat(tree: ast.Module) -> ast.Module:
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
        tree.body[-1:] = last.body
    return tree


def call(function: Any, stdin: str) -> str:
    """What `function` prints, given `stdin`."""
    builtins.quit = os.kill = os.system = None  # type: ignore[assignment]
    builtins.open = _no_open
    captured = io.StringIO()
    sys.stdin, sys.stdout = _Stdin(stdin), captured
    with contextlib.suppress(SystemExit):
        function()
    return captured.getvalue()


def _no_open(*_: object, **__: object) -> Any:
    raise OSError("no files here")


class _Buffer:
    def __init__(self, text: str) -> None:
        self.data = text.encode()

    def read(self, *_: object) -> bytes:
        return self.data

    def readline(self, *_: object) -> bytes:
        return self.data.split(b"\n")[0] + b"\n"


class _Stdin:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = io.StringIO(text)
        self.buffer = _Buffer(text)

    def read(self, *_: object) -> str:
        return self.text

    def readline(self, *arguments: int) -> str:
        return self.lines.readline(*arguments)

    def readlines(self, *_: object) -> list[str]:
        return self.text.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lines, name)
