"""What happens inside the process of one program, after the fork. Nothing here is trusted.

The process receives an order (marshalled by the worker before any untrusted code ran in it), runs
the program, and sends frames. A program may do as it likes with this code: the worker believes
none of it, and expected outputs are not in this process.
"""

import atexit
import builtins
import io
import marshal
import os
import random
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from gasp_rl.sandbox import frames, teacher
from gasp_rl.sandbox.canonical import LiteralError, encode

Send = Callable[[bytes], None]

RECURSION_LIMIT = 1000
_set_digits = getattr(sys, "set_int_max_str_digits", lambda n: None)
_set_recursion = sys.setrecursionlimit


def execute(order: tuple[Any, ...], send: Send) -> None:
    """Run one order: ("function", ...) or ("stdin", ...)."""
    send(_KINDS[order[0]](*order[1:]))


def run_function(code: str, entry: str, inputs: tuple[bytes, ...], rules: bool) -> bytes:
    """Call `entry` on each marshalled argument tuple; frames of all outputs, up to a failure."""
    module = types.ModuleType("program")
    namespace = module.__dict__
    sys.modules["program"] = module
    try:
        if rules:
            found = teacher.offence(code)
            if found:
                impure, what = found
                tag = frames.IMPURE if impure else frames.UNSAFE
                return frames.pack(tag, what.encode("utf-8", "replace"))
            namespace["__builtins__"] = teacher.builtins_for_teachers()
        else:
            namespace["__builtins__"] = builtins
        compiled = compile(code, "<program>", "exec", 0, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return failure(error, frames.COMPILE)
    out = []
    try:
        exec(compiled, namespace)
    except BaseException as error:
        return failure(error)
    function = namespace.get(entry)
    if not callable(function):
        return frames.pack(frames.NO_ENTRY)
    for argument in inputs:
        try:
            value = function(*marshal.loads(argument))
        except BaseException as error:
            out.append(failure(error))
            break
        frame = output(value)
        out.append(frame)
        if frame[:1] != frames.VALUE:
            break
    else:
        out.append(_DONE)
    return b"".join(out)


_DONE = frames.pack(frames.DONE)


def output(value: Any) -> bytes:
    """The frame of one returned value."""
    try:
        _set_recursion(RECURSION_LIMIT)
        _set_digits(4300)
        return frames.pack(frames.VALUE, encode(value))
    except MemoryError:
        return frames.pack(frames.MEMORY)
    except LiteralError as error:
        return frames.pack(frames.BAD, str(error).encode("utf-8", "replace")[:300])
    except BaseException as error:
        return frames.pack(frames.BAD, type(error).__name__.encode("utf-8", "replace")[:100])


def failure(error: BaseException, tag: bytes = frames.ERROR) -> bytes:
    """The frame of an exception. Its text may be hostile: it may raise, hang or be huge."""
    if tag == frames.ERROR:
        if isinstance(error, MemoryError):
            return frames.pack(frames.MEMORY)
        if isinstance(error, SystemExit):
            tag = frames.EXIT
    name = type(error).__name__[:100]
    try:
        text = f"{name}: {error}"[:400]
    except BaseException:
        text = name
    return frames.pack(tag, text.encode("utf-8", "replace"))


def run_stdin(code: str) -> bytes:
    """Run a whole program as `__main__` with descriptors 0 and 1 already in place."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    try:
        compiled = compile(code, "<program>", "exec", 0, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return failure(error, frames.COMPILE)
    result = _DONE
    try:
        exec(compiled, module.__dict__)
    except SystemExit:
        pass
    except BaseException as error:
        result = failure(error)
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.__stdout__):  # the first may be a buffer of the program's
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException as error:
        result = failure(error)
    return result


_KINDS: dict[str, Callable[..., bytes]] = {"function": run_function, "stdin": run_stdin}


def prepare(seed: int) -> None:
    """Done once in the zygote: what every program finds, and warm code paths."""
    random.seed(seed)
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    for _ in range(30):
        arguments = marshal.dumps(([3, 1, 2], "text", {"k": (1, None)}, 0.5))
        source = "from collections import Counter\ndef f(a, *r):\n    return sorted(a), list(r), a"
        execute(("function", source, "f", (arguments,) * 5, False), len)
        execute(("function", source, "f", (arguments,) * 2, True), len)
        execute(("function", "def f(:", "f", (arguments,), False), len)
        execute(("function", "def f(x): return 1/0", "f", (marshal.dumps((1,)),), False), len)
    sys.modules.pop("program", None)


def adopt_streams(descriptors: list[int]) -> None:
    """Make the received descriptors 0 and 1, with fresh Python streams on top."""
    os.dup2(descriptors[0], 0)
    os.dup2(descriptors[1], 1)
    for descriptor in descriptors:
        os.close(descriptor)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(
        io.BufferedReader(io.FileIO(0, "rb", closefd=False)), "utf-8", "surrogateescape"
    )
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "wb", closefd=False)), "utf-8", "surrogateescape"
    )
    # The interpreter names the mode of its own streams, and programs look at it.
    sys.stdin.mode, sys.stdout.mode = "r", "w"  # type: ignore[misc]
