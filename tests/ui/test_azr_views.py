"""Runs without guidance in the views: stages of AZR, a seed that is no goalpost, hostile text."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_runs import GOALPOSTS, attempt, proposal, step_record

from conftest import HOSTILE, Site, start_server, stop_server
from gasp_rl.config import Config
from gasp_rl.store.export import ExportWhat, export_rows
from gasp_rl.store.reader import RunReader
from gasp_rl.store.records import GUIDE, SEED, EvalRecord, GoalpostRecord, StepRecord
from gasp_rl.store.run import RunStore
from gasp_rl.types import Axis, Rejection, Stage
from gasp_rl.ui.api import plain
from gasp_rl.ui.compare import compare_runs, comparison_text
from gasp_rl.ui.status import status, status_text
from gasp_rl.ui.summary import report_markdown, run_summary
from gasp_rl.ui.tree import run_tree

MARKS = "[\x00\x1b\u202a-\u202e\u2066-\u2069]"
UNGUIDED = (Stage.DEDUCTION, Stage.ABDUCTION)


def azr_run(folder: Path, text: str = "def f(x):\n    return x") -> Path:
    """Two goalposts, a seed and a guide; tasks of three stages; `text` wherever words can stand."""
    config = Config.model_validate({"name": "azr", "method": "azr"})
    with RunStore.create(config, folder / "azr", recipe="") as store:
        roots = [GoalpostRecord("identity", SEED, text), GoalpostRecord("other", GUIDE, text)]
        store.add_goalposts([*GOALPOSTS, *roots])
        made = [
            proposal(1, 0, stage, parent="identity", goalpost="identity", text=text)
            for stage in UNGUIDED
        ]
        made.append(
            proposal(1, 0, Stage.INDUCTION, parent=made[0].id, goalpost="identity", text=text)
        )
        fallen = proposal(
            1, 1, Stage.DEDUCTION, parent="identity", goalpost="identity",
            rejection=Rejection.TOO_HARD, text=text,
        )  # fmt: skip
        for p in (*made, fallen):
            object.__setattr__(p, "axis", Axis.FREE)
        record = step_record(1, [*made, fallen], [attempt(1, 0, made[0].id, text=text)])
        store.commit_step(_with_labels(record, text))
        store.note("stopped", text.replace("\ud800", ""))
        (store.path / "controls.md").write_bytes(text.encode("utf-8", "surrogatepass"))
        return Path(store.path)


def _with_labels(record: StepRecord, text: str) -> StepRecord:
    """Names that come from a data set's file, which is UTF-8 and holds no lone surrogate."""
    text = text.replace("\ud800", "")[:300]
    hostile = EvalRecord(
        benchmark=text, policy=text, step=1, question=text,
        label=text, tags=(text,), correct=1, total=2, temperature=1.0,
    )  # fmt: skip
    other = replace(hostile, question="other", tags=("other",))
    object.__setattr__(record, "evals", [*record.evals, hostile, other])
    return record


def test_a_seed_and_a_guide_are_counted_nowhere(tmp_path: Path) -> None:
    with RunReader.open(azr_run(tmp_path)) as reader:
        assert reader.counts()["goalpost"] == 2
        assert status(reader).goalposts == 2
        assert [g["id"] for g in run_summary(reader)["goalposts"]] == ["g1", "g2"]
        console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(run_tree(reader))
        text = console.export_text()
    assert "0 of 2 goalposts solved" in text
    assert "identity" in text
    assert "seed, no goalpost" in text


def test_exported_tasks_ask_for_what_their_stage_asks(tmp_path: Path) -> None:
    with RunReader.open(azr_run(tmp_path)) as reader:
        rows = {row["task"]: row for row in export_rows(reader, ExportWhat.CURRICULUM)}
    assert rows.keys() == {"deduction", "abduction", "induction"}
    assert rows["deduction"]["answer"] == "6"
    assert "What does f(def f(x):" in rows["deduction"]["prompt"][0]["content"]
    assert "returns 6" in rows["abduction"]["prompt"][0]["content"]
    assert rows["induction"]["answer"].startswith("def f")


def test_hostile_words_are_inert_in_comparisons_and_reports_in_words(tmp_path: Path) -> None:
    with ExitStack() as stack:
        folders = [azr_run(tmp_path / name, HOSTILE) for name in "ab"]
        readers = [stack.enter_context(RunReader.open(folder)) for folder in folders]
        comparison = compare_runs(readers)
        assert any(p.tag.startswith("<script>") for p in comparison.paired)
        summary = {"runs": [run_summary(r) for r in readers], "comparison": plain(comparison)}
        texts = [
            comparison_text(comparison),
            status_text(status(readers[0])),
            report_markdown(summary),
        ]
    for text in texts:
        assert all(c.isprintable() or c in "\n\t" for c in text)
    assert "<script>" not in texts[2].replace("\\<script\\>", "")


@pytest.fixture(scope="module")
def azr_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("azr")
    azr_run(folder, HOSTILE)
    (folder / "azr").rename(folder / "hostile")
    azr_run(folder, HOSTILE)
    site, server, thread = start_server(folder)
    yield site
    stop_server(server, thread)


def _visit(page: Any, site: Site, address: str) -> str:
    page.goto(f"{site.url}/{address}")
    page.wait_for_selector("main[data-ready]")
    page.wait_for_timeout(200)
    text: str = page.locator("main").evaluate("(main) => main.textContent")
    return text


@pytest.mark.parametrize(
    "address",
    [
        "overview",
        "curriculum",
        "curriculum?node=1.deduction.0",
        "funnel?stage=deduction&verdict=too-hard",
        "goalposts?id=identity",
        "evals",
        "rollouts",
        "compare?runs=azr,hostile",
    ],
)
def test_hostile_words_of_every_stage_are_inert(page, azr_site: Site, address: str) -> None:
    text = _visit(page, azr_site, f"#/{address}")
    assert page.title() != "owned"
    assert page.locator("main img, main script").count() == 0
    assert not re.search(MARKS, text)


def test_the_tree_grows_from_the_seed_and_the_board_leaves_it_out(page, azr_site: Site) -> None:
    assert "2 goalposts, 0 solved" in _visit(page, azr_site, "#/curriculum?node=1.induction.0")
    levels = page.locator("[role=treeitem]").evaluate_all(
        "rows => rows.map((r) => [r.dataset.id, r.getAttribute('aria-level')])"
    )
    assert ["identity", "1"] in levels
    assert ["1.induction.0", "3"] in levels
    _visit(page, azr_site, "#/goalposts")
    cells = page.locator(".cell").evaluate_all("cells => cells.map((c) => c.dataset.id)")
    assert cells == ["g1", "g2"]
    assert "Stopped early." in _visit(page, azr_site, "#/overview")
    _visit(page, azr_site, "#/funnel")
    assert page.locator("section.funnel h2").count() == 3
