"""From what a process said to a verdict. Runs in the trusted worker; compares bytes only."""

import functools
import json
import marshal
import os
import re
import signal
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from gasp_rl.sandbox import canonical, frames, grading, plain
from gasp_rl.sandbox.child import APPLIED, APPLY, TELL
from gasp_rl.sandbox.jobs import Verdict
from gasp_rl.sandbox.program import Limits, Program, Run
from gasp_rl.sandbox.zygote import RICH_MODULES

Tests = tuple[tuple[Verdict, str], ...]


class Ruling(NamedTuple):
    """A verdict with its reasons."""

    verdict: Verdict
    tests: Tests = ()
    outputs: tuple[bytes, ...] = ()
    detail: str = ""


class Runner(Protocol):
    """What judging needs from the worker."""

    def limits(self, cpu_seconds: float | None) -> Limits: ...

    def open(
        self, flavour: str, order: bytes, limits: Limits, stdin: bytes | None = None
    ) -> Program: ...

    def spend(self, cpu_seconds: float) -> None: ...

    def run(
        self, flavour: str, order: bytes, limits: Limits, stdin: bytes | None = None
    ) -> Run: ...


def judge(runner: Runner, job: tuple[Any, ...]) -> Ruling:
    """Judge a job as it came over the wire: (kind, cpu_seconds or None, its fields in order)."""
    kind, cpu_seconds, *fields = job
    return _JUDGES[kind](runner, runner.limits(cpu_seconds), *fields)


class _Outputs(NamedTuple):
    """Outputs of one process, and why there are no more of them (None: all came)."""

    values: list[bytes]
    failure: Verdict | None
    detail: str


def _func(runner: Runner, limits: Limits, code: str, inputs: Any, entry: str) -> Ruling:
    try:
        arguments = tuple(map(_arguments, inputs))
    except canonical.LiteralError as error:
        return Ruling(Verdict.BAD_INPUT, detail=str(error))
    got = _call(runner, limits, code, entry, arguments)
    return _only_canonical(got)


def _only_canonical(got: _Outputs) -> Ruling:
    """Hand outputs on only in the form that our own encoder gives them."""
    values, failure, detail = got
    for position, value in enumerate(values):
        try:
            canonical.literal(value)
        except canonical.LiteralError as error:
            values, failure = values[:position], Verdict.BAD_OUTPUT
            detail = f"not a canonical value: {error}"
            break
    tests: Tests = tuple((Verdict.OK, "") for _ in values)
    if failure is None:
        return Ruling(Verdict.OK, tests, tuple(values))
    return Ruling(failure, (*tests, (failure, detail)), detail=detail)


def _check(
    runner: Runner,
    limits: Limits,
    code: str,
    inputs: Any,
    expected: Any,
    entry: str,
    rules: bool = False,
) -> Ruling:
    if len(inputs) != len(expected) or not inputs:
        return Ruling(Verdict.BAD_INPUT, detail=f"{len(inputs)} inputs, {len(expected)} expected")
    try:
        arguments = tuple(map(_arguments, inputs))
    except canonical.LiteralError as error:
        return Ruling(Verdict.BAD_INPUT, detail=str(error))
    values, failure, detail = _call(runner, limits, code, entry, arguments, rules=rules)
    tests = [
        (Verdict.OK if canonical.same(value, wanted) else Verdict.WRONG_ANSWER, "")
        for value, wanted in zip(values, expected, strict=False)
    ]
    if failure is not None:
        tests.append((failure, detail))
    return _summary(tuple(tests), len(expected))


def _summary(tests: Tests, wanted: int) -> Ruling:
    """OK if as many tests as wanted are OK; else the first that is not. BAD_OUTPUT is wrong."""
    for verdict, detail in tests:
        if verdict is not Verdict.OK:
            bad = verdict is Verdict.BAD_OUTPUT
            return Ruling(Verdict.WRONG_ANSWER if bad else verdict, tests, detail=detail)
    return Ruling(Verdict.OK if len(tests) == wanted else Verdict.NO_RESULT, tests)


def _validate(runner: Runner, limits: Limits, code: str, inputs: Any, entry: str) -> Ruling:
    try:
        arguments = tuple(map(_arguments, inputs))
    except canonical.LiteralError as error:
        return Ruling(Verdict.BAD_INPUT, detail=str(error))
    run = runner.run("first", _order(code, entry, arguments, TELL), limits)
    is_plain = run.frames[:1] == [(frames.VALUE, b"1")]
    if is_plain or run.frames[:1] == [(frames.VALUE, b"0")]:
        run = run._replace(frames=run.frames[1:])
    first = _only_canonical(_outputs(run, len(arguments)))
    if first.verdict is not Verdict.OK:
        return first
    backwards = tuple(zip(reversed(arguments), reversed(first.outputs), strict=True))
    together = is_plain and not any(map(_holds_set, inputs))
    for group in (backwards,) if together else zip(backwards, strict=True):
        order = _order(code, entry, tuple(argument for argument, _ in group), APPLIED)
        values, failure, detail = _outputs(runner.run("second", order, limits), len(group))
        if failure is not None and (failure.is_resource or failure is Verdict.CANCELLED):
            return Ruling(failure, detail=detail)
        if failure is not None or values != [output for _, output in group]:
            return Ruling(Verdict.NONDETERMINISTIC, detail=detail or "two fresh processes disagree")
    return first


def _abduct(
    runner: Runner,
    limits: Limits,
    code: str,
    answer: str,
    expected: bytes,
    entry: str,
    rules: bool,
) -> Ruling:
    return _check(runner, limits, code, (answer,), (expected,), entry, rules)


def _deduct(runner: Runner, limits: Limits, answer: str, expected: bytes) -> Ruling:
    try:
        value = canonical.encode(canonical.parse_literal(answer))
    except canonical.LiteralError as error:
        return Ruling(Verdict.BAD_INPUT, detail=str(error))
    right = canonical.same(value, expected)
    return Ruling(Verdict.OK if right else Verdict.WRONG_ANSWER)


def _stdio(runner: Runner, limits: Limits, code: str, tests: Any, grader: str) -> Ruling:
    run_one = _true_process if grader == "real" else _as_livecodebench
    flavour = _flavour(code)
    results: list[tuple[Verdict, str]] = []
    program: str | bytes = code
    for number, (stdin, expected) in enumerate(tests):
        shares = number == 0 and len(tests) > 1
        room = min(_SHARED_BYTES, limits.output_bytes // 2) if shares else 0
        run = run_one(runner, limits, flavour, program, stdin, room)
        if flavour == "first" and _lacks_module(run):
            flavour = "rich"
            run = run_one(runner, limits, flavour, program, stdin, room)
        if room and run.frames[:1] and run.frames[0][0] == frames.VALUE:
            program = run.frames[0][1] or code
            run = run._replace(frames=run.frames[1:])
        printed, failure, detail = _printed(run, grader)
        if failure is None:
            right = grading.same_lines(printed, expected)
            failure = Verdict.OK if right else Verdict.WRONG_ANSWER
        results.append((failure, detail))
        if failure is not Verdict.OK:
            break
    return _summary(tuple(results), max(len(tests), 1))


_SHARED_BYTES = 1 << 19  # of compiled code, which the first test's process hands over to the rest


def _true_process(
    runner: Runner, limits: Limits, flavour: str, program: str | bytes, stdin: str, room: int
) -> Run:
    data = stdin.encode("utf-8", "surrogateescape")
    return runner.run(flavour, marshal.dumps(("stdin", program, room)), limits, data)


def _as_livecodebench(
    runner: Runner, limits: Limits, flavour: str, program: str | bytes, stdin: str, room: int
) -> Run:
    return runner.run(flavour, marshal.dumps(("lcb", program, stdin, room)), limits)


def _printed(run: Run, grader: str) -> tuple[str, Verdict | None, str]:
    """What it printed, and why it did not end well, or None."""
    if grader == "real":
        return run.stdout.decode("utf-8", "replace"), *_failure(run, exit_is_fine=True)
    values, failure, detail = _outputs(run, 1)
    return b"".join(values).decode("utf-8", "replace"), failure, detail


def _functional(runner: Runner, limits: Limits, code: str, entry: str, tests: Any) -> Ruling:
    try:
        arguments = tuple(map(_json_arguments, (given for given, _ in tests)))
        expected = tuple(canonical.encode(json.loads(wanted)) for _, wanted in tests)
    except ValueError as error:
        return Ruling(Verdict.BAD_INPUT, detail=f"a test is not JSON: {error}")
    values, failure, detail = _call(runner, limits, code, entry, arguments, prelude=True)
    results = [
        (Verdict.OK if _same_json(value, wanted) else Verdict.WRONG_ANSWER, "")
        for value, wanted in zip(values, expected, strict=False)
    ]
    if failure is not None:
        results.append((failure, detail))
    return _summary(tuple(results), max(len(tests), 1))


def _same_json(value: bytes, wanted: bytes) -> bool:
    """As LiveCodeBench compares: a tuple at the top counts as a list."""
    if value[:1] == b"(":
        try:
            parsed = canonical.parse_literal(value.decode())
            value = canonical.encode(list(parsed)) if type(parsed) is tuple else value
        except (canonical.LiteralError, UnicodeDecodeError):
            return False
    return canonical.same(value, wanted)


def _asserts(runner: Runner, limits: Limits, code: str, tests: str) -> Ruling:
    flavour = _flavour(code)
    ruling, lacks_module = _conversation(runner, limits, code, tests, flavour)
    return _conversation(runner, limits, code, tests, "rich")[0] if lacks_module else ruling


def _conversation(
    runner: Runner, limits: Limits, code: str, tests: str, flavour: str
) -> tuple[Ruling, bool]:
    """Carry calls from the tests' process to the program's; and whether a module was missing."""
    others = "second" if _flavour(tests) == "first" else "rich"
    serve, test = marshal.dumps(("served", code)), marshal.dumps(("tests", tests))
    with runner.open(flavour, serve, limits) as program, runner.open(others, test, limits) as t:
        stopped = program.wait(for_any=True)
        answered = 1
        ready = stopped is None and program.frames[:1] == [(frames.VALUE, b"")]
        overdue = None
        while ready and (overdue := t.wait(for_any=True)) is None:
            if not t.frames or t.frames[-1][0] != frames.CALL:
                break
            program.send(t.frames[-1][1])
            if len(program.frames) == answered:
                stopped = program.wait(for_any=True)
            if stopped is not None or len(program.frames) == answered:
                break
            tag, payload = program.frames[answered]
            answered += 1
            t.send(tag + payload)
        tested = t.end(overdue)
        verdict_of_tests, detail = _failure(tested)
        lost = not ready or stopped is not None or len(program.frames) < answered
        end = program.end(stopped)
    runner.spend(end.cpu_seconds + tested.cpu_seconds)
    lacks = flavour == "first" and _lacks_module(end)
    if lost or end.malformed or end.hung_up:
        failure, why = _failure(end._replace(frames=end.frames[-1:]))
        return Ruling(failure or Verdict.NO_RESULT, detail=why), lacks
    if verdict_of_tests is Verdict.RUNTIME_ERROR and detail.startswith("AssertionError"):
        verdict_of_tests = Verdict.WRONG_ANSWER
    return Ruling(verdict_of_tests or Verdict.OK, detail=detail), lacks


_JUDGES: dict[str, Callable[..., Ruling]] = {
    "Func": _func,
    "Check": _check,
    "Validate": _validate,
    "Abduct": _abduct,
    "Deduct": _deduct,
    "Stdio": _stdio,
    "Call": _functional,
    "Asserts": _asserts,
}


# -- running and reading ---------------------------------------------------------------------


def _remembered(read: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Keep what short texts gave: bounded in bytes, since a text may have megabytes."""
    recall = functools.lru_cache(maxsize=4096)(read)
    return lambda text: recall(text) if len(text) < 1 << 14 else read(text)


@_remembered
def _arguments(text: str) -> bytes:
    """Arguments ready for the child; the text is parsed here, before any untrusted code runs."""
    return marshal.dumps(canonical.parse_arguments(text))


def _holds_set(text: str) -> bool:
    may = "{" in text or "set" in text
    return may and plain.holds_set(canonical.parse_arguments(text))


@_remembered
def _json_arguments(text: str) -> bytes:
    return marshal.dumps(tuple(map(json.loads, text.split("\n"))))


def _call(
    runner: Runner,
    limits: Limits,
    code: str,
    entry: str,
    arguments: tuple[bytes, ...],
    *,
    rules: bool = False,
    prelude: bool = False,
) -> _Outputs:
    order = _order(code, entry, arguments, APPLY if rules else "", prelude)
    flavour = "first" if rules else _flavour(code)
    run = runner.run(flavour, order, limits)
    if flavour == "first" and not rules and _lacks_module(run):
        run = runner.run("rich", order, limits)
    return _outputs(run, len(arguments))


def _order(
    code: str, entry: str, arguments: tuple[bytes, ...], rules: str, prelude: bool = False
) -> bytes:
    return marshal.dumps(("function", code, entry, arguments, rules, prelude))


_WORD = re.compile(r"[A-Za-z]\w*")
_RICH_WORDS = frozenset(name.partition(".")[0] for name in (*RICH_MODULES, "threading"))


def _flavour(code: str) -> str:
    """The zygote for a program: the small one, unless a line that imports names a module that only
    the rich one has. Where that guess fails, the missing module tells (`_lacks_module`)."""
    lines = code.splitlines() if "import" in code else ()
    words = _WORD.findall(" ".join(line for line in lines if "import" in line))
    return "first" if _RICH_WORDS.isdisjoint(words) else "rich"


def _lacks_module(run: Run) -> bool:
    """The small zygote has no such module loaded; the rich one may."""
    if not run.frames or run.frames[-1][0] != frames.ERROR:
        return False
    return run.frames[-1][1].startswith((b"ModuleNotFoundError", b"ImportError"))


def _outputs(run: Run, wanted: int) -> _Outputs:
    values = [payload for tag, payload in run.frames if tag == frames.VALUE]
    shape = [tag for tag, _ in run.frames]
    whole = [frames.VALUE] * wanted + [frames.DONE]
    if run.malformed or len(values) > wanted or shape[: len(values)] != whole[: len(values)]:
        return _Outputs([], Verdict.BAD_OUTPUT, "wrote to the job socket")
    if run.stopped is None and shape == whole:
        return _Outputs(values, None, "")
    failure, detail = _failure(run)
    return _Outputs(values, failure or Verdict.NO_RESULT, detail)


_FAILURES = {
    frames.BAD: Verdict.BAD_OUTPUT,
    frames.ERROR: Verdict.RUNTIME_ERROR,
    frames.EXIT: Verdict.EXIT,
    frames.MEMORY: Verdict.MEMORY,
    frames.COMPILE: Verdict.COMPILE_ERROR,
    frames.NO_ENTRY: Verdict.NO_ENTRY,
    frames.UNSAFE: Verdict.UNSAFE,
    frames.IMPURE: Verdict.IMPURE,
}


def _failure(run: Run, *, exit_is_fine: bool = False) -> tuple[Verdict | None, str]:
    """Why a process did not end well, or None. What it says itself can only be a failure."""
    if run.stopped is not None:
        return run.stopped, ""
    if run.malformed:
        return Verdict.BAD_OUTPUT, "wrote to the job socket"
    for tag, payload in run.frames:
        if tag in _FAILURES:
            return _FAILURES[tag], _printable(payload)
    if run.frames and run.frames[-1][0] == frames.DONE:
        return None, ""
    if os.WIFSIGNALED(run.status):
        number = os.WTERMSIG(run.status)
        if run.hung_up and number == signal.SIGKILL:
            return Verdict.NO_RESULT, "closed its socket, or was killed"
        return _SIGNALS.get(number, Verdict.CRASH), f"killed by signal {number}"
    if exit_is_fine and os.WEXITSTATUS(run.status) == 0:
        return None, ""
    return Verdict.NO_RESULT, f"ended with status {os.WEXITSTATUS(run.status)}"


_SIGNALS: dict[int, Verdict] = {
    signal.SIGSYS: Verdict.DENIED,
    signal.SIGXCPU: Verdict.TIMEOUT_CPU,
    signal.SIGKILL: Verdict.MEMORY,  # not by us: the kernel ran out of memory
}


def _printable(payload: bytes) -> str:
    text = payload[:500].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
