"""`gasp report`: one HTML file with the explorer and its data inside, and the same facts as
Markdown and JSON."""

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gasp_rl.errors import StoreError
from gasp_rl.store.reader import RunReader
from gasp_rl.store.views import NodeSummary, ProposalFilter, RolloutFilter
from gasp_rl.types import Rejection, Stage
from gasp_rl.ui import api
from gasp_rl.ui.assets import asset
from gasp_rl.ui.compare import compare_runs
from gasp_rl.ui.summary import report_markdown, run_summary

LIMIT_BYTES = 20_000_000
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """How much of a run goes into the file; what is left out stays in the run's folder.

    attempts: student rollouts of each verdict and step; fallen: rejected proposals of each reason
    and stage; traces: whether tokens can be coloured.
    """

    attempts: int
    fallen: int
    texts: bool = True
    traces: bool = False


SELECTIONS = (
    Selection(attempts=6, fallen=60, traces=True),
    Selection(attempts=6, fallen=60),
    Selection(attempts=2, fallen=20),
    Selection(attempts=1, fallen=5),
    Selection(attempts=0, fallen=0),
    Selection(attempts=0, fallen=0, texts=False),
)
"""Tried from the most generous down until the file is small enough."""


def write_report(runs: Sequence[Path], folder: Path, limit: int = LIMIT_BYTES) -> list[Path]:
    """Write report.html, report.md and report.json for one or more runs; returns their paths."""
    with ExitStack() as stack:
        readers = [stack.enter_context(RunReader.open(path)) for path in runs]
        page = _page_within(readers, limit)
        summary = {"runs": [run_summary(reader) for reader in readers]}
        if len(readers) > 1:
            summary["comparison"] = api.plain(compare_runs(readers))
        markdown = report_markdown(summary)
    files = {
        folder / "report.html": page,
        folder / "report.md": markdown,
        folder / "report.json": json.dumps(summary, indent=1, allow_nan=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder}: report not written: {error.strerror or error}") from error
    return list(files)


def report_page(data: dict[str, Any]) -> str:
    """The HTML file: styles and scripts inline, allowed by their hash; data as gzip in base64."""
    script, styles = asset("explorer.js"), asset("explorer.css")
    assert "</script" not in script.lower()
    packed = gzip.compress(
        json.dumps(data, ensure_ascii=True, allow_nan=False).encode(), 9, mtime=0
    )
    policy = (
        f"default-src 'none'; script-src 'sha256-{_sha256(script)}'; "
        f"style-src 'sha256-{_sha256(styles)}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>gasp report</title>\n'
        f"<style>{styles}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to content</a>\n<div id="app"></div>\n'
        "<noscript>This page needs JavaScript; report.md beside it does not.</noscript>\n"
        '<script type="application/octet-stream" id="report-data">'
        f"{base64.b64encode(packed).decode('ascii')}</script>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _page_within(readers: Sequence[RunReader], limit: int) -> str:
    for selection in SELECTIONS:
        page = report_page(_report_data(readers, selection))
        if len(page) <= limit:
            return page
    raise StoreError(
        f"the report would need {len(page):,} bytes, more than {limit:,}; report fewer runs at once"
    )


def _report_data(readers: Sequence[RunReader], selection: Selection) -> dict[str, Any]:
    metrics = sorted(
        {name for r in readers for step in r.steps() for name in {**step.metrics, **step.times}}
    )
    data: dict[str, Any] = {
        "names": api.names(metrics),
        "runs": {reader.path.name: _run_data(reader, selection) for reader in readers},
    }
    if len(readers) > 1:
        data["compare"] = api.compare(readers)
    return data


def _run_data(reader: RunReader, selection: Selection) -> dict[str, Any]:
    proposals = _all_proposals(reader)
    details = _chosen_rollouts(reader, selection)
    board = [goalpost.id for goalpost in reader.goalposts()]
    overview = api.overview(reader)
    overview["kept"] = {"rollouts": len(details), "of": overview["counts"]["rollout"]}
    return {
        "line": api.run_line(reader),
        "overview": overview,
        "steps": api.steps(reader),
        "goalposts": api.goalposts(reader, {}),
        "trials": api.trials(reader),
        "board": {id: {**api.goalpost(reader, id), "nodes": []} for id in board},
        "proposals": api.plain(proposals),
        "nodes": _chosen_nodes(reader, proposals, selection),
        "drift": api.drift(reader),
        "rollouts": [detail["summary"] for detail in details.values()],
        "details": details,
        "evals": api.evals(reader),
    }


def _all_proposals(reader: RunReader) -> list[NodeSummary]:
    rows: list[NodeSummary] = []
    while page := reader.proposals(limit=PAGE, offset=len(rows)):
        rows += page
    return rows


def _chosen_nodes(
    reader: RunReader, proposals: Sequence[NodeSummary], selection: Selection
) -> dict[str, Any]:
    """Details of accepted nodes and of some rejected ones; the page derives lineage itself."""
    chosen = [p.id for p in proposals if p.verdict == "accepted"] if selection.texts else []
    for reason in Rejection:
        for stage in Stage:
            where = ProposalFilter(stage=stage, verdict=reason)
            chosen += [p.id for p in reader.proposals(where, limit=selection.fallen)]
    nodes = {}
    for id in chosen:
        detail = api.plain(reader.node(id))
        del detail["summary"]
        nodes[id] = {**detail, "uses": api.plain(reader.uses(id))}
    return nodes


def _chosen_rollouts(reader: RunReader, selection: Selection) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if not selection.attempts:
        return details
    for step in reader.steps():
        for purpose in ("propose", "attempt", "rlvr", "probe"):
            for verdict in ("right", "wrong", "malformed", "accepted", *Rejection):
                where = RolloutFilter(
                    purpose=purpose,
                    verdict=verdict,
                    first_step=step.step,
                    last_step=step.step,
                )
                for summary in reader.rollouts(where, limit=selection.attempts):
                    detail = api.rollout(reader, summary.id)
                    if not selection.traces:
                        detail["trace"] = None
                    elif detail["trace"]:
                        detail["trace"]["logprobs"] = [
                            round(value, 2) for value in detail["trace"]["logprobs"]
                        ]
                        detail["trace"]["ids"] = []
                    details[summary.id] = detail
    return details


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
