"""A real problem: what is asked, the tests that judge a solution, and where it came from.

A question is material for goalposts and evaluation. It becomes a training row only when it is
wrapped as a `TrainingQuestion`, which the methods that train on real data do by name.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from gasp_rl.errors import DataError
from gasp_rl.sandbox.canonical import LiteralError, encode, parse_literal
from gasp_rl.sandbox.jobs import Abduct, Asserts, Call, Check, Deduct, Job, Stdio
from gasp_rl.types import Example, TaskKey, content_key


class Form(StrEnum):
    """What a solution is, and how its tests are written."""

    FUNCTION = "function"  # a function; inputs and outputs are Python literals
    STDIN = "stdin"  # a program; inputs and outputs are raw text
    METHOD = "method"  # a method of `class Solution` (LiveCodeBench); JSON, one argument a line
    ASSERTS = "asserts"  # a function judged by assert statements (HumanEval, MBPP)
    OUTPUT = "output"  # a program and an input are given: predict the output (CRUXEval-O)
    INPUT = "input"  # a program and an output are given: find an input (CRUXEval-I)


class Match(StrEnum):
    """When the output of a FUNCTION question counts as the expected one."""

    EXACT = "exact"  # equal values
    CLOSE = "close"  # equal, or numbers within `atol` (EvalPlus; 1e-6 where floats are expected)
    SET = "set"  # the same elements in any order
    PRESENCE = "presence"  # the expected bool, or as expected None (False) or something (True)
    ANY = "any"  # whatever comes back without an error (EvalPlus for Mbpp/164)
    OR_ZERO = "or-zero"  # equal, or 0 (EvalPlus for Mbpp/295)
    ROOT = "root"  # a root of the polynomial that the input lists (HumanEval/32)
    EITHER = "either"  # equal, or right under a second reading of the statement (Mbpp/558, 581)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One real problem with its tests.

    source:       name of the data set, for instance `livecodebench`.
    starter_code: code that the statement comes with; for OUTPUT and INPUT the given program.
    entry:        the function or method that tests call.
    shown:        examples that the statement may show; they count as tests too.
    hidden:       tests that no prompt may show. OUTPUT and INPUT have exactly one, of which the
                  prompt shows one side.
    asserts:      ASSERTS only: statements that raise unless the solution is right.
    match:        FUNCTION only: when an output counts as right; `atol` belongs to CLOSE and ROOT.
    cpu_seconds:  time limit of its own, where the reference takes long; none takes the sandbox's.
    date:         ISO day of publication, for windows against contamination.
    reference:    a known solution where the data set ships one; it never enters a prompt.

    Example::

        Question(id="sum", source="mine", form=Form.FUNCTION, statement="Add all numbers of x.",
                 shown=(Example("[1, 2]", "3"),), hidden=(Example("[]", "0"),))
    """

    id: str
    source: str
    form: Form
    statement: str
    starter_code: str = ""
    entry: str = "f"
    shown: tuple[Example, ...] = ()
    hidden: tuple[Example, ...] = ()
    asserts: str = ""
    match: Match = Match.EXACT
    atol: float = 0.0
    cpu_seconds: float | None = None
    date: str | None = None
    platform: str = ""
    difficulty: str = ""
    tags: tuple[str, ...] = ()
    reference: str | None = None

    @property
    def key(self) -> TaskKey:
        """Hash of what is asked and how it is judged: the same under any id or source."""
        pairs = [(e.input, e.output) for e in (*self.shown, *self.hidden)]
        judged = (self.entry, pairs, self.asserts, self.match, self.atol)
        return content_key(self.form, self.statement, self.starter_code, judged)

    @property
    def tests(self) -> tuple[Example, ...]:
        """Every pair that judges a solution, the shown ones first."""
        return self.shown + self.hidden

    @property
    def gradable(self) -> bool:
        """Whether any test exists. Without one nothing can be called solved."""
        return bool(self.asserts.strip()) if self.form is Form.ASSERTS else bool(self.tests)

    def job(self, code: str) -> Job:
        """The sandbox job that judges `code` on all tests.

        Raises `DataError` when there is no test, because an empty test list never counts as solved,
        and for a `match` that `evals.judge` settles outside the sandbox.
        """
        if not self.gradable:
            raise DataError(f"{self.source} question {self.id} has no tests: it cannot be judged")
        if self.match not in (Match.EXACT, Match.PRESENCE):
            raise DataError(
                f"{self.source} question {self.id} is matched by {self.match!r}: judge it through "
                "gasp_rl.evals.judge"
            )
        inputs = tuple(e.input for e in self.tests)
        outputs = tuple(e.output for e in self.tests)
        limit = self.cpu_seconds
        match self.form:
            case Form.FUNCTION:
                expected = tuple(map(canonical, outputs))
                program = self.program(code)
                return Check(program, inputs, expected, entry=self.entry, cpu_seconds=limit)
            case Form.STDIN:
                return Stdio(code, tuple(zip(inputs, outputs, strict=True)), cpu_seconds=limit)
            case Form.METHOD:
                tests = tuple(zip(inputs, outputs, strict=True))
                return Call(code, self.entry, tests, cpu_seconds=limit)
            case Form.ASSERTS:
                return Asserts(code, self.asserts, cpu_seconds=limit)
            case Form.OUTPUT:
                return Deduct(code, canonical(outputs[0]))
            case Form.INPUT:
                return Abduct(self.starter_code, code, canonical(outputs[0]), entry=self.entry)

    def program(self, code: str) -> str:
        """The code as it runs: for PRESENCE, with the output reduced to a bool, because a match
        object that says "found" has no literal."""
        if self.match is not Match.PRESENCE:
            return code
        return code + _PRESENCE.replace("ENTRY", self.entry)


_PRESENCE = """

_answer_of_ENTRY = ENTRY
def ENTRY(*arguments):
    answer = _answer_of_ENTRY(*arguments)
    return answer if isinstance(answer, bool) else answer is not None
"""


@lru_cache(maxsize=1 << 16)
def canonical(text: str) -> bytes:
    """Canonical bytes of the value that a literal stands for. Raises `DataError` for anything else.

    Cached, because a question is judged many times with the same expected outputs.
    """
    try:
        return encode(parse_literal(text))
    except LiteralError as error:
        raise DataError(f"{text!r:.100} is no literal: {error}") from None


@dataclass(frozen=True, slots=True)
class TrainingQuestion:
    """The only form in which a real question may become a training row.

    Real-data methods (RLVR, GASP with real data) make it on purpose; everything else takes a
    `Question`, so a goalpost or a benchmark question cannot slip into training.
    """

    question: Question
