"""Completions made elsewhere: files in EvalPlus's and LiveCodeBench's output formats.

EvalPlus:       JSON Lines of {"task_id", "solution"} (a whole program) or {"task_id",
                "completion"} (what follows the prompt).
LiveCodeBench:  a JSON list of {"question_id", "code_list"} (programs) or {"question_id",
                "output_list"} (raw completions: the last fenced block is taken).
Both may repeat a question; samples are numbered in the file's order.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gasp_rl.errors import DataError, reason_of
from gasp_rl.evals.extract import Extraction, extract, extract_answer
from gasp_rl.evals.judge import Grading
from gasp_rl.evals.runner import Benchmark, Report, grade_stored, report
from gasp_rl.evals.samples import Sample, SampleStore
from gasp_rl.problems.rows import Row, parse_json, read_rows
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks.question import Form, Question


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Samples of questions that the benchmark does not hold: left out, and counted."""

    samples: int
    questions: int


def file_settings(path: Path) -> dict[str, Any]:
    """A file of completions as settings of a samples file: by content, so that a file that was
    written anew is not taken for the one that was graded."""
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None
    return {"samples": path.name, "samples_digest": digest}


def evaluate_samples(
    path: Path,
    benchmark: Benchmark,
    store: SampleStore,
    sandbox: Sandbox,
    *,
    grading: Grading | None = None,
) -> tuple[Report, Unmatched]:
    """Grade the completions in a file. Resumes: what the store holds already is not graded again.

    Raises `DataError` for a file of neither format, or when no sample belongs to the benchmark.
    """
    known = {question.id: question for question in benchmark.gradable()}
    numbers: Counter[str] = Counter()
    strange: Counter[str] = Counter()
    samples: list[Sample] = []
    for row, question_id in _rows(path):
        if question_id not in known:
            strange[question_id] += 1
            continue
        for completion, answer in _answers(row, known[question_id]):
            number = numbers[question_id]
            numbers[question_id] += 1
            samples.append(
                Sample(
                    benchmark=benchmark.name,
                    question=question_id,
                    number=number,
                    completion=completion,
                    answer=answer,
                )
            )
    if not samples:
        raise DataError(
            f"{path}: none of its samples belongs to {benchmark.name}; first id in the file: "
            f"{next(iter(strange), 'none')!r}, first in the benchmark: {next(iter(known), '')!r}"
        )
    store.register(benchmark.name, [known[question_id] for question_id in numbers])
    store.add(samples)
    grade_stored(benchmark, store, sandbox, grading=grading or Grading())
    return report(benchmark, store), Unmatched(strange.total(), len(strange))


def _rows(path: Path) -> Iterator[tuple[Row, str]]:
    rows = _json_list(path) if path.suffix == ".json" else read_rows(path)
    for row in rows:
        name = "task_id" if "task_id" in row.fields else "question_id"
        if name not in row.fields:
            row.fail("no task_id (EvalPlus) and no question_id (LiveCodeBench)")
        question_id = row.fields[name]
        yield row, str(question_id) if isinstance(question_id, int) else row.text(name)


def _json_list(path: Path) -> Iterator[Row]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None
    rows = parse_json(text, str(path))
    if not isinstance(rows, list):
        raise DataError(f"{path}: LiveCodeBench's output is a JSON list, got {rows!r:.100}")
    for number, fields in enumerate(rows, 1):
        if not isinstance(fields, dict):
            raise DataError(f"{path}: item {number} must be an object, got {fields!r:.100}")
        yield Row(f"{path}: item {number}", fields)


def _answers(row: Row, question: Question) -> Iterator[tuple[str, str]]:
    """(completion, answer) pairs of one row."""
    if "solution" in row.fields:
        solution = _foreign(row, row.fields["solution"])
        yield solution, extract_answer(solution, Extraction.AS_IS, question.form)
    elif "completion" in row.fields:
        completion = _foreign(row, row.fields["completion"])
        predicts = question.form in (Form.OUTPUT, Form.INPUT)
        yield completion, completion.strip() if predicts else question.starter_code + completion
    elif "code_list" in row.fields:
        for code in row.array("code_list"):
            yield _foreign(row, code), _foreign(row, code)
    elif "output_list" in row.fields:
        for output in row.array("output_list"):
            text = _foreign(row, output)
            yield text, extract(text, Extraction.LAST_FENCE)
    else:
        row.fail("no solution or completion (EvalPlus), no code_list or output_list (LCB)")


def _foreign(row: Row, value: object) -> str:
    """A model's text. Odd characters are its own fault and are graded, not refused."""
    if not isinstance(value, str):
        row.fail(f"a completion must be a string, got {value!r:.100}")
    return value
