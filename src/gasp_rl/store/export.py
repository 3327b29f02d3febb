"""A run's data for other tools: JSON lines from the standard library, Parquet with pyarrow."""

import importlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gasp_rl.errors import MissingExtraError, StoreError
from gasp_rl.types import Stage, TaskKind

if TYPE_CHECKING:  # the command line needs the names of what can be exported, not the readers
    from gasp_rl.store.reader import RunReader
    from gasp_rl.store.views import NodeDetail

PAGE = 500
PARQUET_PAGE = 5000
NUMBERS = {"reward", "advantage", "similarity"}
"""Columns of numbers that may be empty."""


class ExportWhat(StrEnum):
    """What to write."""

    CURRICULUM = "curriculum"  # accepted tasks with lineage: an SFT or RLVR data set
    ROLLOUTS = "rollouts"  # every completion
    PROPOSALS = "proposals"  # every proposal with the reason it fell, without texts
    METRICS = "metrics"  # one row for each step
    EVALS = "evals"  # one row for each evaluated question


def export_rows(reader: "RunReader", what: ExportWhat) -> Iterator[dict[str, Any]]:
    """Rows of one kind, each a flat JSON object.

    A curriculum row holds `prompt` (the task in chat form), `completion` (an answer), `answer` (the
    same without its frame) and `info` (examples to judge by, lineage, pass rate), the columns that
    TRL's and verifiers' loaders expect.
    """
    if what is ExportWhat.CURRICULUM:
        for node in reader.accepted():
            yield _curriculum_row(reader, node.summary.id)
    elif what is ExportWhat.ROLLOUTS:
        offset = 0
        while page := reader.rollouts(limit=PAGE, offset=offset):
            offset += len(page)
            for summary in page:
                detail = reader.rollout(summary.id)
                texts = {"prompt": detail.prompt, "completion": detail.completion}
                yield {**asdict(summary), **texts, "detail": detail.detail}
    elif what is ExportWhat.PROPOSALS:
        offset = 0
        while nodes := reader.proposals(limit=PAGE, offset=offset):
            offset += len(nodes)
            yield from (asdict(node) for node in nodes)
    elif what is ExportWhat.METRICS:
        for step in reader.steps():
            yield {"step": step.step, "seconds": step.seconds, **step.times, **step.metrics}
    else:
        for row in reader.evals():
            pass_at = {str(k): v for k, v in row.pass_at.items()}
            yield {**asdict(row), "tags": ", ".join(row.tags), "pass_at": pass_at}


def export(reader: "RunReader", what: ExportWhat, path: Path, *, force: bool = False) -> int:
    """Write `.jsonl` or `.parquet` by the path's ending; returns the number of rows."""
    if path.exists() and not force:
        raise StoreError(f"{path}: exists; choose another name or pass --force")
    if path.suffix == ".jsonl":
        count = 0
        with path.open("w", encoding="utf-8") as file:
            for row in export_rows(reader, what):
                file.write(json.dumps(_utf8(row), ensure_ascii=True) + "\n")
                count += 1
        return count
    if path.suffix == ".parquet":
        return _write_parquet(export_rows(reader, what), what, path)
    raise StoreError(f"{path}: unknown format {path.suffix!r}; write .jsonl or .parquet")


def _curriculum_row(reader: "RunReader", id: str) -> dict[str, Any]:
    node = reader.node(id)
    summary = node.summary
    kind = Stage(summary.stage).kind
    question, answer = _question(node, kind)
    frame = "python" if kind is TaskKind.INDUCTION else "text"
    return {
        "id": id,
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": f"```{frame}\n{answer}\n```"}],
        "answer": answer,
        "task": str(kind),
        "info": json.dumps(
            {
                "goalpost": summary.goalpost,
                "parent": summary.parent,
                "lineage": reader.lineage(id),
                "stage": summary.stage,
                "axis": summary.axis,
                "step": summary.step,
                "correct": summary.pass_rate and summary.pass_rate.correct,
                "total": summary.pass_rate and summary.pass_rate.total,
                "shown": [asdict(e) for e in node.shown],
                "hidden": [asdict(e) for e in node.hidden],
            }
        ),
    }


def _question(node: "NodeDetail", kind: TaskKind) -> tuple[str, str]:
    """A task in words and its answer. Unguided proposals of AZR also ask for outputs and inputs."""
    if kind is TaskKind.INDUCTION:
        shown = "\n".join(f"f({e.input}) = {e.output}" for e in node.shown)
        return f"{node.message}\n\n{shown}", node.program
    pair, program = (node.shown + node.hidden)[0], f"```python\n{node.program}\n```"
    if kind is TaskKind.DEDUCTION:
        return f"{program}\n\nWhat does f({pair.input}) return?", pair.output
    return f"{program}\n\nFind an input for which f returns {pair.output}", pair.input


def _write_parquet(rows: Iterator[dict[str, Any]], what: ExportWhat, path: Path) -> int:
    """Rows of one kind have equal columns and go out page by page; steps need not, and are few."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("export", "writing Parquet")
    pyarrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    size = None if what is ExportWhat.METRICS else PARQUET_PAGE
    count = 0
    writer: Any = None
    schema: Any = None
    partial = path.with_name(path.name + ".part")
    try:
        while page := [_columns(row) for row in islice(rows, size)]:
            names = dict.fromkeys(name for row in page for name in row)
            if schema is None:
                full = [{name: row.get(name) for name in names} for row in page]
                schema = _filled(pyarrow, pyarrow.Table.from_pylist(full).schema)
                writer = parquet.ParquetWriter(partial, schema)
            writer.write_table(pyarrow.Table.from_pylist(page, schema=schema))
            count += len(page)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise StoreError(f"{path}: not written, the run holds no {what} yet")
    partial.replace(path)
    return count


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: json.dumps(value) if isinstance(value, dict) else _utf8(value)
        for key, value in row.items()
    }


def _filled(pyarrow: Any, schema: Any) -> Any:
    """A column without a value on the first page gets the type that later pages bring."""
    for place, field in enumerate(schema):
        if pyarrow.types.is_null(field.type):
            kind = pyarrow.float64() if field.name in NUMBERS else pyarrow.string()
            schema = schema.set(place, field.with_type(kind))
    return schema


def _utf8(value: Any) -> Any:
    """A lone surrogate, which a model may write and no reader of UTF-8 takes, becomes an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_utf8(item) for item in value]
    if isinstance(value, dict):
        return {key: _utf8(item) for key, item in value.items()}
    return value
