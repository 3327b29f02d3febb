"""The nouns that every room of the system shares. Frozen; no torch, no files, no behaviour."""

import hashlib
import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

TaskKey = NewType("TaskKey", str)
"""Hash of a task's content: equal tasks have equal keys."""

Metrics = dict[str, float]
"""Slash-separated lower-case names, for instance `lemma/accept_rate`."""

Tokens = tuple[int, ...]


class Role(StrEnum):
    """Who wrote a completion. One policy plays both (also called proposer and solver)."""

    TEACHER = "teacher"
    STUDENT = "student"


class TaskKind(StrEnum):
    """What is asked about a deterministic program f."""

    INDUCTION = "induction"  # from input/output pairs and a message, write f
    DEDUCTION = "deduction"  # from f and an input, predict the output
    ABDUCTION = "abduction"  # from f and an output, find an input that gives it


class Stage(StrEnum):
    """Which kind of proposal the teacher was asked for. The last three are unguided (AZR)."""

    LEMMA = "lemma"  # an easier variant of a goalpost
    LIFT = "lift"  # a harder variant of an accepted lemma
    DEDUCTION = "deduction"  # a new program and an input whose output is hard to predict
    ABDUCTION = "abduction"  # a new program and an input that is hard to find from its output
    INDUCTION = "induction"  # inputs and a message from which a given program is hard to infer

    @property
    def kind(self) -> TaskKind:
        """In which form the student is probed."""
        return TaskKind(self) if self in _UNGUIDED else TaskKind.INDUCTION


_UNGUIDED = frozenset({Stage.DEDUCTION, Stage.ABDUCTION, Stage.INDUCTION})


class Axis(StrEnum):
    """What a variant changes. Drawn once for a lemma; its lifts inherit it."""

    IO = "io"  # the inputs and outputs: size, representation, how telling the examples are
    F = "f"  # the mapping: constraints added or dropped, operations composed
    FREE = "free"  # nothing: an unguided proposal is no variant


class Rejection(StrEnum):
    """Why a proposal fell. The order is the order of the checks: the funnel reads downwards."""

    UNPARSABLE = "unparsable"  # no program, no inputs or no message where they were asked for
    MISDESCRIBED = "misdescribed"  # the message tells of another program, where that can be checked
    UNSAFE = "unsafe"  # an import or a name that teacher programs may not use
    FAILS = "fails"  # does not run on its own inputs, or exceeds a limit
    NON_DETERMINISTIC = "non-deterministic"  # two fresh processes disagree
    DUPLICATE = "duplicate"  # too similar to an accepted task
    TOO_HARD = "too-hard"  # pass rate below the band
    TOO_EASY = "too-easy"  # pass rate above the band


class Outcome(StrEnum):
    """How an answer was judged."""

    RIGHT = "right"
    WRONG = "wrong"  # well formed, but not what was asked
    MALFORMED = "malformed"  # no answer could be read from the completion


class Finish(StrEnum):
    """Why sampling stopped."""

    STOP = "stop"  # the model ended its turn
    LENGTH = "length"  # max_tokens was reached: the completion is truncated


@dataclass(frozen=True, slots=True)
class PassRate:
    """A pass rate that keeps its counts, so that its uncertainty is always at hand.

    Example::

        PassRate(3, 10).value        # 0.3
        PassRate(3, 10).interval()   # (0.1078, 0.6032), Wilson 95%
    """

    correct: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.total or self.total == 0:
            raise ValueError(f"pass rate {self.correct}/{self.total}: needs 0 <= correct <= total")

    @property
    def value(self) -> float:
        return self.correct / self.total

    def interval(self, z: float = 1.959964) -> tuple[float, float]:
        """Wilson score interval (Wilson 1927), 95% unless another z is given."""
        n, p = self.total, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        return f"{self.correct}/{self.total}"


@dataclass(frozen=True, slots=True)
class Example:
    """One input/output pair as Python literals.

    `input` is the text of the arguments, as it would stand between the parentheses of a call:
    `"[3, 1], 2"` for `f([3, 1], 2)`. `output` is the literal text of what came back.
    """

    input: str
    output: str


def content_key(*parts: object) -> TaskKey:
    """Key of a content: 16 hex digits of a hash over its JSON form."""
    text = _in_one_way(parts)
    return TaskKey(hashlib.blake2b(text.encode(), digest_size=8).hexdigest())


_in_one_way = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode
