"""JSON Lines in, typed rows out: every complaint names the file and the line.

A data file is foreign: lines may be endless, compressed bombs, or valid JSON of the wrong shape.
Nothing here lets a parser's own exception reach the caller.
"""

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from gasp_rl.errors import DataError, reason_of
from gasp_rl.tasks.question import Question
from gasp_rl.types import Example

MAX_LINE_BYTES = 512 << 20
"""Longest line that is read. The Hub's largest LiveCodeBench rows hold about 100 MB of tests."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file (RFC 1952)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file: a JSON object whose fields are read by type.

    Every getter raises `DataError` with `where` (file:line) when the field does not hold that type.
    """

    where: str
    fields: dict[str, Any]

    def fail(self, message: str) -> NoReturn:
        raise DataError(f"{self.where}: {message}")

    def text(self, name: str, default: str | None = None) -> str:
        """A string that can be stored and run: no NUL, no lone surrogate."""
        value = self.fields.get(name, default)
        if not isinstance(value, str):
            self._wrong(name, "a string")
        return self.clean(value, name)

    def clean(self, value: str, name: str) -> str:
        if "\x00" in value:
            self.fail(f"{name} contains a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{name} contains half of a surrogate pair, which is no character")
        return value

    def integer(self, name: str) -> int:
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            self._wrong(name, "an integer")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.fields.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e9:
            self._wrong(name, "a number that is not negative")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.fields.get(name)
        if not isinstance(value, bool):
            self._wrong(name, "true or false")
        return value

    def array(self, name: str, default: list[Any] | None = None) -> list[Any]:
        value = self.fields.get(name, default)
        if not isinstance(value, list):
            self._wrong(name, "a list")
        return value

    def texts(self, name: str, default: list[Any] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        value = self.array(name, default)
        if not all(isinstance(item, str) for item in value):
            self._wrong(name, "a list of strings")
        return tuple(self.clean(item, name) for item in value)

    def json(self, name: str) -> Any:
        """What the JSON text in this field holds (LiveCodeBench nests JSON in strings)."""
        return parse_json(self.text(name), f"{self.where}: {name}")

    def example(self, pair: object, name: str) -> Example:
        """`{"input": text, "output": text}` as an `Example`."""
        if not isinstance(pair, dict):
            self._wrong(name, "a list of objects with input and output")
        texts = pair.get("input"), pair.get("output")
        if not all(isinstance(text, str) for text in texts):
            self.fail(f"{name}: input and output of a test must be strings, got {pair!r:.100}")
        return Example(*(self.clean(cast(str, text), name) for text in texts))

    def _wrong(self, name: str, wanted: str) -> NoReturn:
        if name not in self.fields:
            self.fail(f"no field {name!r}: it must be {wanted}")
        self.fail(f"{name} must be {wanted}, got {self.fields[name]!r:.100}")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out on purpose, and why. Counted, never silent."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gave: its questions in order, and every row that was left out."""

    questions: tuple[Question, ...]
    skipped: tuple[Skipped, ...] = ()

    def skip_counts(self) -> dict[str, int]:
        """How many rows were left out for each reason."""
        return dict(Counter(skip.reason for skip in self.skipped))


def collect(
    path: Path,
    parse: Callable[[Row], Question | Skipped | None],
    skip_broken: bool = False,
) -> Loaded:
    """Parse every row of a file. Two rows with one id are an error.

    parse:       None is a row that is there for another reason than to hold a question.
    skip_broken: leave a row that raises `DataError` out, counted under "broken row", instead of
                 stopping at it. A file that cannot be read at all is an error either way.
    """
    questions: dict[str, Question] = {}
    skipped: list[Skipped] = []
    for row in read_rows(path, skipped if skip_broken else None):
        try:
            parsed = parse(row)
            if isinstance(parsed, Question) and parsed.id in questions:
                row.fail(f"a second question with id {parsed.id!r}")
        except DataError as error:
            if not skip_broken:
                raise
            parsed = Skipped(str(error), "broken row")
        if isinstance(parsed, Skipped):
            skipped.append(parsed)
        elif parsed is not None:
            questions[parsed.id] = parsed
    return Loaded(tuple(questions.values()), tuple(skipped))


def read_rows(path: Path, broken: list[Skipped] | None = None) -> Iterator[Row]:
    """The JSON objects of a .jsonl or .jsonl.gz file, one a line; blank lines are passed over.

    broken: where lines that are not a JSON object are noted; without it they raise `DataError`.
    """
    for number, line in _lines(path):
        where = f"{path}:{number}"
        try:
            fields = parse_json(_decode(line, where), where)
            if not isinstance(fields, dict):
                raise DataError(f"{where}: a row must be a JSON object, got {fields!r:.100}")
        except DataError as error:
            if broken is None:
                raise
            broken.append(Skipped(str(error), "broken row"))
            continue
        yield Row(where, fields)


def parse_json(text: str, where: str) -> Any:
    """`json.loads` whose every failure is a `DataError`: syntax, depth, number size."""
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{where}: not valid JSON: {error}") from None


def _decode(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with _open(path) as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise DataError(f"{path}:{number}: line longer than {MAX_LINE_BYTES} bytes")
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None


def _open(path: Path) -> BinaryIO:
    """Compressed or plain, by what the file begins with, whatever its name ends in."""
    stream = path.open("rb")
    if stream.peek(2)[:2] == GZIP:
        return cast(BinaryIO, io.BufferedReader(cast(Any, gzip.open(stream, "rb"))))
    return stream
