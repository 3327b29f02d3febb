"""What happens inside the process of one program, after the fork. Nothing here is trusted.

The process receives an order (marshalled by the worker before any untrusted code ran in it), runs
the program, and sends frames. A program may do as it likes with this code: the worker believes
none of it, and expected outputs are not in this process.
"""

import ast
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

from gasp_rl.sandbox import frames, lcb, plain, remote, teacher
from gasp_rl.sandbox.canonical import LiteralError, encode, parse_literal

Send = Callable[[bytes], Any]
Receive = Callable[[], bytes]

APPLY, APPLIED, TELL = "apply", "applied", "tell"  # what to do about a teacher's rules
RECURSION_LIMIT = 1000  # while our own code encodes a value
_set_digits = getattr(sys, "set_int_max_str_digits", lambda n: None)
_set_recursion, _recursion = sys.setrecursionlimit, sys.getrecursionlimit


def execute(order: tuple[Any, ...], receive: Receive, send: Send) -> None:
    """Run one order: (kind, its arguments...)."""
    kind, *arguments = order
    if kind == "function":
        send(run_function(*arguments, send=send))
    else:
        _KINDS[kind](*arguments, receive, send)


def run_function(
    code: str, entry: str, inputs: tuple[bytes, ...], rules: str, prelude: bool, *, send: Send
) -> bytes:
    """Call `entry` on each marshalled argument tuple; frames of all outputs, up to a failure.

    `rules`: those for teachers, or "" for none. They are applied (`APPLY`), or another process has
    applied them to this code (`APPLIED`). `TELL` applies them and sends at once, before anything
    of the program has run, a VALUE frame that says whether the program is plain (b"1" or b"0").
    `prelude`: names and recursion limit as LiveCodeBench gives them, and a method of `Solution`
    where there is such a class.
    """
    namespace = _new_module("program")
    if prelude:
        namespace.update(lcb.namespace(), __name__="program")
        _set_recursion(lcb.RECURSION_LIMIT)
    try:
        if rules in (APPLY, TELL):
            tree = ast.parse(code) if rules == TELL or teacher.may_offend(code) else None
            found = teacher.offence(tree) if tree and teacher.may_offend(code) else None
            if found:
                impure, what = found
                tag = frames.IMPURE if impure else frames.UNSAFE
                return frames.pack(tag, what.encode("utf-8", "replace"))
        compiled = compile(code, "<program>", "exec", 0, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return failure(error, frames.COMPILE)
    if rules == TELL and tree:
        send(frames.pack(frames.VALUE, b"1" if plain.is_plain(tree) else b"0"))
    if rules:
        namespace["__builtins__"] = teacher.builtins_for_teachers()
    out = []
    try:
        exec(compiled, namespace)
        if prelude and "class Solution" in code:
            function = getattr(namespace["Solution"](), entry, None)
        else:
            function = namespace.get(entry)
    except BaseException as error:
        return failure(error)
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


def output(value: Any, *, sort_keys: bool = True) -> bytes:
    """The frame of one returned value."""
    limit = _recursion()
    try:
        _set_recursion(RECURSION_LIMIT)
        _set_digits(4300)
        return frames.pack(frames.VALUE, encode(value, sort_keys=sort_keys))
    except MemoryError:
        return frames.pack(frames.MEMORY)
    except LiteralError as error:
        return frames.pack(frames.BAD, str(error).encode("utf-8", "replace")[:300])
    except BaseException as error:
        return frames.pack(frames.BAD, type(error).__name__.encode("utf-8", "replace")[:100])
    finally:
        _set_recursion(limit)


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


def share_compiled(compiled: types.CodeType, room: int, send: Send) -> None:
    """Hand compiled code to the worker for the processes of further tests, in a VALUE frame.

    The worker may trust that the first frame is this one, because nothing of the program has run.
    It is empty where the code is larger than `room`; `room` 0 sends nothing.
    """
    if room:
        try:
            data = marshal.dumps(compiled)
        except ValueError:  # too deep for marshal
            data = b""
        send(frames.pack(frames.VALUE, data if len(data) <= room else b""))


def run_stdin(code: str | bytes, room: int, receive: Receive, send: Send) -> None:
    """Run a whole program as `__main__` with descriptors 0 and 1 already in place.

    `code` is source, or compiled code that another test's process shared.
    """
    namespace = _new_module("__main__")
    sys.argv = ["program.py"]
    try:
        compiled = (
            marshal.loads(code)
            if isinstance(code, bytes)
            else compile(code, "<program>", "exec", 0, True)
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        send(failure(error, frames.COMPILE))
        return
    share_compiled(compiled, room, send)
    result = _DONE
    try:
        exec(compiled, namespace)
    except SystemExit:
        pass
    except BaseException as error:
        result = failure(error)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.__stdout__):  # the first may be a buffer of the program's
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException as error:
        result = failure(error)
    send(result)


def run_lcb(code: str | bytes, stdin: str, room: int, receive: Receive, send: Send) -> None:
    """Run a program on standard input as LiveCodeBench does; one VALUE frame: what it printed."""
    try:
        compiled = marshal.loads(code) if isinstance(code, bytes) else lcb.compiled(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        send(failure(error, frames.COMPILE))
        return
    share_compiled(compiled, room, send)
    try:
        printed = lcb.call(lcb.load(compiled), stdin)
    except BaseException as error:
        send(failure(error))
    else:
        send(frames.pack(frames.VALUE, printed.encode("utf-8", "replace")) + _DONE)


def run_tests(tests: str, receive: Receive, send: Send) -> None:
    """Run trusted test code against a program in another process."""
    try:
        remote.run_tests(tests, receive, send)
    except BaseException as error:
        send(failure(error))
    else:
        send(_DONE)


def run_served(code: str, receive: Receive, send: Send) -> None:
    """Run a program, send an empty VALUE, then answer calls of its functions until killed."""
    namespace = _new_module("program")
    try:
        compiled = compile(code, "<program>", "exec", 0, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        send(failure(error, frames.COMPILE))
        return
    try:
        exec(compiled, namespace)
    except BaseException as error:
        send(failure(error))
        return
    send(frames.pack(frames.VALUE))
    while True:
        name, arguments, named = parse_literal(receive().decode())
        try:
            value = remote.portable(namespace[name](*arguments, **named))
        except BaseException as error:
            send(failure(error))
        else:
            send(output(value, sort_keys=False))


def _new_module(name: str) -> dict[str, Any]:
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    return module.__dict__


_KINDS: dict[str, Callable[..., None]] = {
    "stdin": run_stdin,
    "lcb": run_lcb,
    "tests": run_tests,
    "served": run_served,
}


def prepare(seed: int) -> None:
    """Done once in the zygote: what every program finds, and warm code paths."""
    _repeat_randomness(seed)
    _make_streams()
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    for _ in range(30):
        arguments = marshal.dumps(([3, 1, 2], "text", {"k": (1, None)}, 0.5))
        source = "from collections import Counter\ndef f(a, *r):\n    return sorted(a), list(r), a"
        run_function(source, "f", (arguments,) * 5, "", False, send=len)
        run_function(source, "f", (arguments,) * 2, TELL, False, send=len)
        run_function(source, "f", (arguments,) * 2, "", True, send=len)
        run_function("def f(:", "f", (arguments,), "", False, send=len)
        run_function("def f(x): return 1/0", "f", (marshal.dumps((1,)),), "", False, send=len)
    _set_recursion(1000)
    sys.modules.pop("program", None)


def _repeat_randomness(seed: int) -> None:
    """Where `random` would ask the kernel for a seed, draw one from `seed`: a coin that a program
    tosses falls alike in each process of this zygote, so no luck decides a verdict."""
    source, real = random.Random(seed), random.Random.seed

    def drawn(self: random.Random, a: Any = None, version: int = 2) -> None:
        real(self, source.getrandbits(64) if a is None else a, version)

    random.Random.seed = drawn  # type: ignore[method-assign]
    random.seed = drawn.__get__(random.random.__self__)  # type: ignore[attr-defined]
    random.seed(seed)


def _make_streams() -> None:
    """Python streams on descriptors 0 and 1, made once: a program puts its own descriptors there.

    They note at their making that the one can be sought in and the other cannot, so for that moment
    0 and 1 are such a file and such a pipe.
    """
    kept = [os.dup(0), os.dup(1)]
    reading, writing = os.pipe()
    file = os.memfd_create("stdin", os.MFD_CLOEXEC)
    os.dup2(file, 0)
    os.dup2(writing, 1)
    sys.stdin = io.TextIOWrapper(
        io.BufferedReader(io.FileIO(0, "rb", closefd=False)), "utf-8", "surrogateescape"
    )
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "wb", closefd=False)), "utf-8", "surrogateescape"
    )
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout)
    # The interpreter names the mode of its own streams, and programs look at it.
    sys.stdin.mode, sys.stdout.mode = "r", "w"  # type: ignore[misc]
    adopt_streams(kept)
    for descriptor in (reading, writing, file):
        os.close(descriptor)


def adopt_streams(descriptors: list[int]) -> None:
    """Make the received descriptors 0 and 1."""
    os.dup2(descriptors[0], 0)
    os.dup2(descriptors[1], 1)
    for descriptor in descriptors:
        os.close(descriptor)
