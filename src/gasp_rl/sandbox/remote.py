"""Test code and program in two processes: neither side can touch the other. Runs in the children.

The process of the tests knows the program's functions as stubs: a call becomes a frame that the
worker carries to the program's process, and its value comes back as canonical text. So a program
that returns an object equal to everything, reads the caller's frame or exits has nothing to act on.
"""

import ast
import builtins
import collections.abc
import sys
import types
from collections.abc import Callable
from typing import Any

from gasp_rl.sandbox import frames
from gasp_rl.sandbox.canonical import encode, parse_literal

Receive = Callable[[], bytes]
Send = Callable[[bytes], None]


def free_names(tests: str) -> list[str]:
    """Names that test code reads and does not bind: the program's functions, and modules."""
    tree = ast.parse(tests)
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
    return sorted(read - bound - set(dir(builtins)))


def run_tests(tests: str, receive: Receive, send: Send) -> None:
    """Run test code to its end; DONE, or the exception that stopped it."""
    module = types.ModuleType("tests")
    namespace = module.__dict__
    for name in free_names(tests):
        known = sys.modules.get(name)
        namespace[name] = known if known is not None else _stub(name, receive, send)
    exec(compile(tests, "<tests>", "exec", 0, True), namespace)


def _stub(name: str, receive: Receive, send: Send) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        send(frames.pack(frames.CALL, encode((name, arguments, named), sort_keys=False)))
        answer = receive()
        if answer[:1] != frames.VALUE:
            raise _exception(answer[1:].decode("utf-8", "replace"))
        is_iterator, value = parse_literal(answer[1:].decode())
        return iter(value) if is_iterator else value

    return call


def _exception(text: str) -> Exception:
    """The builtin exception that a text names, so that tests may expect one."""
    name, _, message = text.partition(": ")
    kind = getattr(builtins, name, None)
    ends_a_loop = kind in (StopIteration, StopAsyncIteration)  # `all(map(f, ...))` would be true
    if isinstance(kind, type) and issubclass(kind, Exception) and not ends_a_loop:
        try:
            return kind(message)
        except TypeError:
            return RuntimeError(text)
    return RuntimeError(text)


def portable(value: Any) -> tuple[bool, Any]:
    """Whether a value is an iterator, and the value with its items laid out."""
    if isinstance(value, collections.abc.Iterator):
        return True, list(value)
    views = (collections.abc.KeysView, collections.abc.ValuesView, collections.abc.ItemsView)
    if isinstance(value, (range, *views)):
        return False, list(value)
    return False, value
