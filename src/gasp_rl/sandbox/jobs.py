"""What can be asked of the sandbox, and what it answers. Plain frozen records; no behaviour."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Verdict(StrEnum):
    """How a job ended. Exactly one for each job; only OK may earn a reward."""

    OK = "OK"
    WRONG_ANSWER = "WRONG_ANSWER"
    BAD_OUTPUT = "BAD_OUTPUT"  # returned something that has no literal
    BAD_INPUT = "BAD_INPUT"  # the inputs, or the answer, are not literals
    COMPILE_ERROR = "COMPILE_ERROR"
    NO_ENTRY = "NO_ENTRY"  # the program does not define the function that was asked for
    UNSAFE = "UNSAFE"  # an import or a name that teacher programs may not use
    RUNTIME_ERROR = "RUNTIME_ERROR"  # an exception reached the top
    EXIT = "EXIT"  # SystemExit where a value was asked for
    NO_RESULT = "NO_RESULT"  # the process ended without a result
    CRASH = "CRASH"  # killed by a signal of its own making
    DENIED = "DENIED"  # killed for a forbidden system call
    TIMEOUT_CPU = "TIMEOUT_CPU"
    TIMEOUT_WALL = "TIMEOUT_WALL"  # slept, or found no CPU for very long
    MEMORY = "MEMORY"
    OUTPUT_LIMIT = "OUTPUT_LIMIT"
    NONDETERMINISTIC = "NONDETERMINISTIC"  # two fresh processes disagree
    IMPURE = "IMPURE"  # imports a module that reads the clock, the machine or other programs
    CANCELLED = "CANCELLED"  # the caller stopped waiting
    INTERNAL = "INTERNAL"  # our own failure: retried, then raised, never handed out

    @property
    def is_resource(self) -> bool:
        """One of the limits was hit; which one fires first is a race, so score them as one."""
        return self in _RESOURCE


_RESOURCE = frozenset(
    {Verdict.TIMEOUT_CPU, Verdict.TIMEOUT_WALL, Verdict.MEMORY, Verdict.OUTPUT_LIMIT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """Base of every job."""

    cpu_seconds: float | None = None
    """CPU time of one program (of one test, for tests on stdin); none takes the configured one."""


@dataclass(frozen=True, slots=True)
class Func(Limited):
    """Call `entry` on each input and hand back canonical outputs."""

    code: str
    inputs: tuple[str, ...]
    entry: str = "f"


@dataclass(frozen=True, slots=True)
class Check(Limited):
    """Call `entry` on each input; OK if every output equals the expected canonical bytes."""

    code: str
    inputs: tuple[str, ...]
    expected: tuple[bytes, ...]
    entry: str = "f"


@dataclass(frozen=True, slots=True)
class Validate(Limited):
    """Judge a teacher's program: allowed names only, and equal outputs in fresh processes.

    They differ in hash seed, address layout and random numbers. What an earlier call left behind
    must not matter: each input has a process of its own, but where the program's syntax shows that
    no call can leave anything (`plain`).
    """

    code: str
    inputs: tuple[str, ...]
    entry: str = "f"


@dataclass(frozen=True, slots=True)
class Abduct(Limited):
    """OK if `entry` called with the arguments written in `answer` gives the expected value.

    `rules`: those of `Validate`, for a teacher's program, which must not behave otherwise here.
    """

    code: str
    answer: str
    expected: bytes
    entry: str = "f"
    rules: bool = False


@dataclass(frozen=True, slots=True)
class Deduct(Limited):
    """OK if the literal written in `answer` equals the expected value. Runs no program."""

    answer: str
    expected: bytes


@dataclass(frozen=True, slots=True)
class Stdio(Limited):
    """Run a program on each (stdin, expected stdout), up to the first failure.

    `real` gives each test a process of its own with a true stdin; `lcb_compat` runs and grades as
    LiveCodeBench's checker does, its quirks included.
    """

    code: str
    tests: tuple[tuple[str, str], ...]
    grader: Literal["real", "lcb_compat"] = "real"


@dataclass(frozen=True, slots=True)
class Call(Limited):
    """LiveCodeBench's functional tests: `Solution().fn_name` or a function, JSON in, JSON out.

    Each test is (one JSON value a line, the expected JSON value).
    """

    code: str
    fn_name: str
    tests: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asserts(Limited):
    """OK if the trusted test code runs to its end against the program (HumanEval, MBPP).

    The tests run in a process of their own; the program sees arguments and hands back values.
    """

    code: str
    tests: str


Job = Func | Check | Validate | Abduct | Deduct | Stdio | Call | Asserts


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one input or test ended; `detail` is for people and never decides anything."""

    __test__ = False

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The one answer to a job."""

    verdict: Verdict
    tests: tuple[TestResult, ...] = ()
    """In the order of the inputs or tests; stops at the first one that did not run."""
    outputs: tuple[bytes, ...] = ()
    """Canonical bytes; complete for an OK `Func` or `Validate`, else empty."""
    detail: str = ""
    """One line for people, at most 500 characters."""
    cpu_ms: float = 0.0
    """CPU time of the program's processes."""
    wall_ms: float = 0.0
    attempts: int = 1
    """Above 1 when a failure of the sandbox itself made it run the job again."""
    layers: str = ""
    """Names of the layers that were on."""
    unsafe: bool = False
    """Ran without the system-call filter."""

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK


@dataclass(frozen=True, slots=True)
class Layer:
    """One wall of the sandbox on this machine."""

    name: str
    on: bool
    detail: str = field(default="")
    """What it does when on; the errno and the remedy when off."""
