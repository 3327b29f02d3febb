"""The three tasks that one deterministic program gives: induction, deduction, abduction.

Each class says what the student sees (`seen`), how its answer is read (`parse`) and which sandbox
job judges it (`job`). Values are literals in their canonical text, so expected outputs are bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gasp_rl.sandbox import Abduct, Check, Deduct, Job
from gasp_rl.sandbox.canonical import LiteralError, parse_arguments, parse_literal
from gasp_rl.tasks.answers import last_block
from gasp_rl.types import Example, TaskKey, TaskKind, content_key


@dataclass(frozen=True, slots=True)
class Induction:
    """From a message and the shown pairs, write f. Right if f gives every pair, hidden ones too.

    program: the teacher's own f. It made the outputs; no prompt of the student shows it.
    """

    program: str
    message: str
    shown: tuple[Example, ...]
    hidden: tuple[Example, ...]
    kind: TaskKind = field(default=TaskKind.INDUCTION, init=False)

    def __post_init__(self) -> None:
        if not self.hidden:
            raise ValueError("an induction task needs at least one hidden pair to judge by")

    @property
    def key(self) -> TaskKey:
        pairs = [(e.input, e.output) for e in self.shown + self.hidden]
        return content_key(self.kind, self.program, self.message, pairs)

    def seen(self) -> dict[str, str | tuple[Example, ...]]:
        return {"message": self.message, "examples": self.shown}

    @staticmethod
    def parse(completion: str) -> str | None:
        return last_block(completion, "python", "py", "python3")

    def job(self, answer: str) -> Job:
        pairs = self.shown + self.hidden
        return Check(answer, tuple(e.input for e in pairs), tuple(e.output.encode() for e in pairs))


@dataclass(frozen=True, slots=True)
class Deduction:
    """From f and an input, predict the output."""

    program: str
    example: Example
    kind: TaskKind = field(default=TaskKind.DEDUCTION, init=False)

    @property
    def key(self) -> TaskKey:
        return content_key(self.kind, self.program, self.example.input, self.example.output)

    def seen(self) -> dict[str, str | tuple[Example, ...]]:
        return {"program": self.program, "input": self.example.input}

    @staticmethod
    def parse(completion: str) -> str | None:
        answer = last_block(completion, "output")
        return answer if answer is not None and _reads(parse_literal, answer) else None

    def job(self, answer: str) -> Job:
        return Deduct(answer, self.example.output.encode())


@dataclass(frozen=True, slots=True)
class Abduction:
    """From f and an output, find any input that produces it; judged by running f on the answer."""

    program: str
    example: Example
    kind: TaskKind = field(default=TaskKind.ABDUCTION, init=False)

    @property
    def key(self) -> TaskKey:
        return content_key(self.kind, self.program, self.example.output)

    def seen(self) -> dict[str, str | tuple[Example, ...]]:
        return {"program": self.program, "output": self.example.output}

    @staticmethod
    def parse(completion: str) -> str | None:
        answer = last_block(completion, "input")
        return answer if answer is not None and _reads(parse_arguments, answer) else None

    def job(self, answer: str) -> Job:
        return Abduct(self.program, answer, self.example.output.encode(), rules=True)


Task = Induction | Deduction | Abduction


def retell(task: Induction, kind: TaskKind, random: np.random.Generator) -> Task:
    """The same program asked as another kind; the pair asked about is drawn from the task's own."""
    if kind is TaskKind.INDUCTION:
        return task
    pairs = task.shown + task.hidden
    example = pairs[int(random.integers(len(pairs)))]
    return (Deduction if kind is TaskKind.DEDUCTION else Abduction)(task.program, example)


def _reads(parser: Callable[[str], object], text: str) -> bool:
    try:
        parser(text)
    except LiteralError:
        return False
    return True
