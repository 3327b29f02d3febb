"""A run's data for other tools: JSON lines from the standard library, Parquet with pyarrow."""

import importlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

from gasp_rl.errors import MissingExtraError, StoreError
from gasp_rl.store.reader import RunReader

PAGE = 500


class ExportWhat(StrEnum):
    """What to write."""

    CURRICULUM = "curriculum"  # accepted tasks with lineage: an SFT or RLVR data set
    ROLLOUTS = "rollouts"  # every completion
    PROPOSALS = "proposals"  # every proposal with the reason it fell, without texts
    METRICS = "metrics"  # one row for each step
    EVALS = "evals"  # one row for each evaluated question


def export_rows(reader: RunReader, what: ExportWhat) -> Iterator[dict[str, Any]]:
    """Rows of one kind, each a flat JSON object.

    A curriculum row holds `prompt` (chat form, as the student saw the task), `completion` (the
    program as the answer) and `info` (examples, lineage, pass rate), the columns that TRL's and
    verifiers' loaders expect.
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
            yield {"step": step.step, "seconds": step.seconds, **step.metrics}
    else:
        for row in reader.evals():
            yield {**asdict(row), "pass_at": {str(k): v for k, v in row.pass_at.items()}}


def export(reader: RunReader, what: ExportWhat, path: Path, *, force: bool = False) -> int:
    """Write `.jsonl` or `.parquet` by the path's ending; returns the number of rows."""
    if path.exists() and not force:
        raise StoreError(f"{path}: exists; choose another name or pass --force")
    if path.suffix == ".jsonl":
        count = 0
        with path.open("w", encoding="utf-8") as file:
            for row in export_rows(reader, what):
                file.write(json.dumps(row, ensure_ascii=True) + "\n")
                count += 1
        return count
    if path.suffix == ".parquet":
        return _write_parquet(list(export_rows(reader, what)), path)
    raise StoreError(f"{path}: unknown format {path.suffix!r}; write .jsonl or .parquet")


def _curriculum_row(reader: RunReader, id: str) -> dict[str, Any]:
    node = reader.node(id)
    summary = node.summary
    shown = "\n".join(f"f({e.input}) = {e.output}" for e in node.shown)
    return {
        "id": id,
        "prompt": [{"role": "user", "content": f"{node.message}\n\n{shown}"}],
        "completion": [{"role": "assistant", "content": f"```python\n{node.program}\n```"}],
        "answer": node.program,
        "task": "induction",
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


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> int:
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("export", "writing Parquet")
    pyarrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    # Parquet strings are UTF-8: a lone surrogate, which a model may write, becomes an escape.
    clean = [
        {
            key: json.dumps(value) if isinstance(value, dict) else _utf8(value)
            for key, value in r.items()
        }
        for r in rows
    ]
    parquet.write_table(pyarrow.Table.from_pylist(clean), path)
    return len(rows)


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_utf8(item) for item in value]
    if isinstance(value, dict):
        return {key: _utf8(item) for key, item in value.items()}
    return value
