"""A real problem: what is asked, the tests that judge a solution, and where it came from.

A question is material for goalposts and evaluation. It becomes a training row only when it is
wrapped as a `TrainingQuestion`, which the methods that train on real data do by name.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gasp_rl.errors import DataError
from gasp_rl.types import Example, TaskKey, content_key

if TYPE_CHECKING:
    from gasp_rl.sandbox import Job


class Form(StrEnum):
    """What a solution is, and how its tests are written."""

    FUNCTION = "function"  # a function; inputs and outputs are Python literals
    STDIN = "stdin"  # a program; inputs and outputs are raw text
    METHOD = "method"  # a method of `class Solution` (LiveCodeBench); JSON, one argument a line
    ASSERTS = "asserts"  # a function judged by assert statements (HumanEval, MBPP)
    OUTPUT = "output"  # a program and an input are given: predict the output (CRUXEval-O)
    INPUT = "input"  # a program and an output are given: find an input (CRUXEval-I)


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
    date: str | None = None
    platform: str = ""
    difficulty: str = ""
    tags: tuple[str, ...] = ()
    reference: str | None = None

    @property
    def key(self) -> TaskKey:
        """Hash of what is asked and how it is judged: the same under any id or source."""
        pairs = [(e.input, e.output) for e in (*self.shown, *self.hidden)]
        return content_key(
            self.form, self.statement, self.starter_code, self.entry, pairs, self.asserts
        )

    @property
    def tests(self) -> tuple[Example, ...]:
        """Every pair that judges a solution, the shown ones first."""
        return self.shown + self.hidden

    @property
    def gradable(self) -> bool:
        """Whether any test exists. Without one nothing can be called solved."""
        return bool(self.asserts.strip()) if self.form is Form.ASSERTS else bool(self.tests)

    def job(self, code: str) -> "Job":
        """The sandbox job that judges `code` on all tests.

        Raises `DataError` when there is no test: an empty test list never counts as solved.
        """
        from gasp_rl.sandbox import Abduct, Asserts, Call, Check, Deduct, Stdio

        if not self.gradable:
            raise DataError(f"{self.source} question {self.id} has no tests: it cannot be judged")
        inputs = tuple(e.input for e in self.tests)
        outputs = tuple(e.output for e in self.tests)
        pairs = tuple(zip(inputs, outputs, strict=True))
        match self.form:
            case Form.FUNCTION:
                return Check(code, inputs, outputs, entry=self.entry)
            case Form.STDIN:
                return Stdio(code, pairs)
            case Form.METHOD:
                return Call(code, self.entry, pairs)
            case Form.ASSERTS:
                return Asserts(code, self.asserts)
            case Form.OUTPUT:
                return Deduct(code, outputs[0])
            case Form.INPUT:
                return Abduct(self.starter_code, code, outputs[0], entry=self.entry)


@dataclass(frozen=True, slots=True)
class TrainingQuestion:
    """The only form in which a real question may become a training row.

    Real-data methods (RLVR, GASP with real data) make it on purpose; everything else takes a
    `Question`, so a goalpost or a benchmark question cannot slip into training.
    """

    question: Question
