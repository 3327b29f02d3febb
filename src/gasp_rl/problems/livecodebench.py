"""LiveCodeBench `code_generation_lite` rows (arXiv 2403.07974), as the Hub's JSONL files hold them.

Private tests come as base64 of zlib of a pickle of one string of JSON. Unpickling foreign data runs
code, so the pickle is only parsed: whatever is not plain text is refused.
"""

import base64
import binascii
import json
import pickletools
import re
import zlib
from pathlib import Path
from typing import Any

from gasp_rl.errors import DataError
from gasp_rl.problems.rows import Loaded, Row, Skipped, collect, parse_json
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example

MAX_TEST_BYTES = 1 << 30
"""Most bytes that one question's private tests may decompress to: a guard against zip bombs."""

RELEASES = ("v1", "v2", "v3", "v4", "v5", "v6")
"""Each is one file on the Hub: test.jsonl, test2.jsonl ... test6.jsonl."""

# The opcodes that a pickled string consists of, in every protocol (0 to 5).
_TEXT_OPCODES = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_FRAME_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}
_METHOD_NAME = re.compile(r"^\s*def\s+(\w+)\s*\(\s*self\b", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T[0-9:.]+)?$")


def load_livecodebench(path: Path, skip_broken: bool = False) -> Loaded:
    """Questions of one JSONL file, or of every `test*.jsonl[.gz]` in a folder (all releases).

    The release (`v1` ... `v6`) of a question becomes its tag; it is taken from the row's `_release`
    or else from the file's name. A row without `private_test_cases` keeps its public tests only.
    """
    if not path.is_dir():
        return collect(path, lambda row: _question(row, _release_of_file(path)), skip_broken)
    files = sorted(p for p in path.iterdir() if re.fullmatch(r"test\d?\.jsonl(\.gz)?", p.name))
    if not files:
        raise DataError(f"{path}: no test.jsonl ... test6.jsonl in this folder")
    parts = [load_livecodebench(file, skip_broken) for file in files]
    questions = [question for part in parts for question in part.questions]
    if len({q.id for q in questions}) < len(questions):
        raise DataError(f"{path}: one question id occurs in two release files")
    return Loaded(tuple(questions), tuple(skip for part in parts for skip in part.skipped))


def releases(name: str) -> tuple[str, ...]:
    """Releases that a LiveCodeBench version tag covers.

    Example::

        releases("release_v3")  # ("v1", "v2", "v3")
        releases("v3")          # ("v3",)
        releases("v2_v4")       # ("v2", "v3", "v4")
    """
    match = re.fullmatch(r"(?:(release)_)?(v[1-6])(?:_(v[1-6]))?", name)
    if not match or (match[1] and match[3]) or (match[3] and match[3] < match[2]):
        raise DataError(f"{name!r} is no release: write release_v5 (v1 to v5), v5, or v4_v6")
    first = "v1" if match[1] else match[2]
    last = match[3] or match[2]
    return tuple(r for r in RELEASES if first <= r <= last)


def decode_private_tests(text: str, where: str, max_bytes: int | None = None) -> Any:
    """What `private_test_cases` holds: JSON text, or the encoded form. Raises `DataError`."""
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deeply") from None
    except ValueError:
        pass
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{where}: neither JSON nor base64: {error}") from None
    limit = MAX_TEST_BYTES if max_bytes is None else max_bytes
    try:
        inflater = zlib.decompressobj()
        pickled = inflater.decompress(packed, limit)
    except zlib.error as error:
        raise DataError(f"{where}: not zlib data: {error}") from None
    if inflater.unconsumed_tail:
        raise DataError(f"{where}: decompresses to more than {limit} bytes")
    if not inflater.eof:
        raise DataError(f"{where}: zlib data ends early")
    return parse_json(_pickled_text(pickled, where), where)


def encode_private_tests(tests: list[dict[str, str]]) -> str:
    """The inverse of `decode_private_tests`: the very bytes that the Hub has for these tests."""
    import pickle  # writing a pickle is harmless

    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests), protocol=4))).decode()


def _pickled_text(data: bytes, where: str) -> str:
    """The string in a pickle of one string, by reading its opcodes and executing none."""
    text: object = None
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _TEXT_OPCODES and text is None:
                text = argument
            elif opcode.name not in _FRAME_OPCODES:
                raise DataError(
                    f"{where}: the pickle holds more than one text (opcode {opcode.name}); refused"
                )
    except DataError:
        raise
    except (ValueError, IndexError, EOFError, OverflowError) as error:
        raise DataError(f"{where}: not a pickle: {error}") from None
    if not isinstance(text, str):
        raise DataError(f"{where}: the pickle holds no text")
    return text


def _question(row: Row, release: str) -> Question | Skipped:
    starter = row.text("starter_code")
    kind = "functional" if starter.strip() else "stdin"
    shown = _tests(row, "public_test_cases", row.json("public_test_cases"), kind)
    hidden: tuple[Example, ...] = ()
    if "private_test_cases" in row.fields:
        private = decode_private_tests(
            row.text("private_test_cases"), f"{row.where}: private_test_cases"
        )
        hidden = _tests(row, "private_test_cases", private, kind)
    date = row.text("contest_date")
    if not _DATE.match(date):
        row.fail(f"contest_date must look like 2024-08-03T00:00:00, got {date!r:.60}")
    release = row.text("_release", release)
    return Question(
        id=row.text("question_id") or row.fail("question_id is empty"),
        source="livecodebench",
        form=Form.METHOD if kind == "functional" else Form.STDIN,
        statement=row.text("question_content"),
        starter_code=starter,
        entry=_method_name(row, starter) if kind == "functional" else "f",
        shown=shown,
        hidden=hidden,
        date=date[:10],
        platform=row.text("platform"),
        difficulty=row.text("difficulty"),
        tags=(release,) if release else (),
    )


def _tests(row: Row, name: str, value: object, kind: str) -> tuple[Example, ...]:
    if not isinstance(value, list):
        row.fail(f"{name} must hold a list of tests, got {value!r:.100}")
    for test in value:
        if not isinstance(test, dict) or test.get("testtype") != kind:
            row.fail(f"{name}: a {kind} question needs {kind} tests, got {test!r:.100}")
    return tuple(row.example(test, name) for test in value)


def _method_name(row: Row, starter: str) -> str:
    metadata = row.json("metadata") if "metadata" in row.fields else {}
    if not isinstance(metadata, dict):
        row.fail(f"metadata must hold an object, got {metadata!r:.100}")
    named = metadata.get("func_name")
    found = _METHOD_NAME.findall(starter)
    name = named if isinstance(named, str) else found[-1] if found else ""
    if not name.isidentifier():
        row.fail(f"no method name in metadata or starter_code (func_name {named!r:.60})")
    return name


def _release_of_file(path: Path) -> str:
    match = re.match(r"test([2-6]?)\.jsonl", path.name)
    return f"v{match[1] or 1}" if match else ""
