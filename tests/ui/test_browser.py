"""The explorer in a real browser: each page, its keyboard, hostile text, live steps, the report."""

import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from small_runs import attempt, proposal, small_run, step_record

from conftest import start_server, stop_server
from gasp_rl.ui.report import write_report

PAGES = ("overview", "curriculum", "funnel", "goalposts", "rollouts", "evals", "compare")


def visit(page: Any, url: str, address: str) -> None:
    page.goto(f"{url}/{address}" if not url.endswith(".html") else url + address)
    name = address.removeprefix("#/").partition("?")[0]
    page.wait_for_selector(f"main[data-page={name}][data-ready]" if name else "main[data-ready]")


def test_goalpost_to_lemma_to_lift_by_clicks_and_by_keys(page, site) -> None:
    visit(page, site.url, "#/curriculum?run=first")
    tree = page.get_by_role("tree")
    goalpost = tree.get_by_role("treeitem", expanded=True).first
    assert goalpost.get_attribute("aria-level") == "1"
    lemma = tree.locator("[aria-level='2'][aria-expanded]").first
    lemma.click()
    page.wait_for_selector(".pane .tag.lemma")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[role=treeitem][aria-level='3']")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".pane .tag.lift")
    assert page.locator(".pane .trail a").count() == 2
    assert page.locator(".pane .line.added").count() >= 1
    assert "R(p; a = 0.1, b = 1)" in page.locator(".pane .sum").inner_text()
    assert re.search(r"node=\d+\.lift\.\d+", page.url)
    shown = page.locator(".pane h2").first.inner_text()
    page.reload()
    page.wait_for_selector(".pane .tag.lift")
    assert page.locator(".pane h2").first.inner_text() == shown
    page.get_by_role("tab", name="Examples").click()
    assert page.locator(".panel .tag.held").count() == 3


def test_rejected_proposals_on_a_key(page, site) -> None:
    visit(page, site.url, "#/curriculum?run=first")
    assert page.locator(".row.fallen").count() == 0
    page.locator("[role=treeitem][aria-selected=true]").focus()
    page.keyboard.press("x")
    page.wait_for_selector(".row.fallen")
    assert "rejected=1" in page.url


def test_search_and_time_narrow_the_tree(page, site) -> None:
    visit(page, site.url, "#/curriculum?run=first")
    page.keyboard.press("/")
    page.keyboard.type("reverse")
    page.wait_for_selector(".sidehead >> text=found")
    titles = page.locator(".row .title").all_inner_texts()
    assert titles
    assert all("reverse" in title.lower() for title in titles)
    visit(page, site.url, "#/curriculum?run=first&t=1&stage=lift")
    page.locator(
        "[data-id='1.lift.0'], [data-id='1.lift.1'], [data-id='1.lift.2']"
    ).first.wait_for()
    ids = page.locator(".row").evaluate_all("rows => rows.map((r) => r.dataset.id)")
    assert ids
    assert all(id.startswith("1.lift.") for id in ids)


def test_a_bar_of_the_funnel_opens_its_examples(page, site) -> None:
    visit(page, site.url, "#/funnel?run=first")
    bar = page.locator("section.funnel").first.locator("[data-verdict='too-easy']")
    count = int(re.search(r"(\d+) too-easy", bar.inner_text())[1])
    bar.click()
    page.get_by_role("heading", name=f"{count} lemma proposals: too-easy").wait_for()
    page.locator("tbody a").first.click()
    page.wait_for_selector(".pane .verdict.bad")
    assert "too-easy" in page.locator(".pane .chips").inner_text()


def test_the_funnel_sums_to_all_proposals(page, site) -> None:
    visit(page, site.url, "#/funnel?run=first&first_step=3&last_step=5")
    for card in page.locator("section.funnel").all():
        lines = card.locator("button.level").all_inner_texts()
        numbers = [int(re.search(r"(\d+)", line)[1]) for line in lines]
        fell = [int(m[1]) for line in lines if (m := re.search("\u2212(\\d+)", line))]
        assert numbers[0] - sum(fell) == numbers[-1]


def test_the_board_filters_and_shows_the_first_solution(page, site) -> None:
    visit(page, site.url, "#/goalposts?run=second")
    assert page.locator(".cell").count() == 12
    page.locator("button.key.solved, button.key.once").filter(
        has_text=re.compile("[1-9]")
    ).first.click()
    page.locator(".cell").first.click()
    page.get_by_role("tab", name="First solution").click()
    assert "def f(x):" in page.locator(".panel .prose").inner_text()
    page.get_by_role("tab", name="Other runs").click()
    page.wait_for_selector(".panel td >> text=first")


def test_a_rollout_opens_with_its_group_and_tokens(page, site) -> None:
    visit(page, site.url, "#/rollouts?run=first&purpose=probe&verdict=wrong")
    rows = page.locator(".item")
    assert rows.count() > 1
    assert all("wrong" in text for text in rows.all_inner_texts())
    rows.first.click()
    page.wait_for_selector(".pane .banner")
    page.keyboard.press("j")
    assert rows.nth(1).get_attribute("aria-selected") == "true"
    page.keyboard.press("c")
    assert page.locator(".tokens span").count() > 3
    page.get_by_role("tab", name="Group").click()
    page.wait_for_selector(".beside .here")
    assert page.locator(".beside > div").count() == 10


def test_runs_are_compared(page, site) -> None:
    visit(page, site.url, "#/compare?runs=first,second")
    text = page.locator("main").inner_text()
    assert "optim.lr" in text
    assert "second \u2212 first" in text
    page.wait_for_selector(".curves canvas")


def test_evaluations_by_label_and_question(page, site) -> None:
    visit(page, site.url, "#/evals?run=first")
    assert page.locator("thead >> text=depth 8").count() == 3
    page.get_by_label("Measure").select_option("20")
    page.wait_for_selector("h2 >> text=Split by kind of question, pass@20")
    for kind in ("constants given", "a constant open"):
        assert "48 questions" in page.locator("h3").filter(has_text=kind).inner_text()
    page.locator("summary").filter(has_text="Question by question").click()
    assert page.locator("details[open] tbody tr").count() == 96


def test_overview_says_where_the_time_goes(page, site) -> None:
    visit(page, site.url, "#/overview?run=first")
    rows = page.get_by_role("table", name="Seconds of a step by phase").locator("tbody tr")
    assert [name.strip() for name in rows.locator("td:first-child").all_inner_texts()] == [
        "Lemmas", "Lifts", "Solver",
    ]  # fmt: skip
    parts = rows.first.get_by_role("img").get_attribute("aria-label")
    assert re.fullmatch(
        r"sampling [\d.]+ s, judging [\d.]+ s, training .*, the rest 0\.10 s", parts
    )


def test_a_run_of_an_earlier_release_opens(page, runs: Path, tmp_path: Path) -> None:
    old = tmp_path / "runs" / "old"
    shutil.copytree(runs / "first", old)
    with sqlite3.connect(old / "run.db") as db:
        db.execute("alter table step drop column times")
        db.execute("alter table eval drop column tags")
        db.execute("pragma user_version = 1")
    site, server, thread = start_server(old.parent)
    try:
        for name in PAGES:
            visit(page, site.url, f"#/{name}?run=old")
            assert "This cannot be shown" not in page.locator("main").inner_text()
        visit(page, site.url, "#/overview?run=old")
        assert page.locator("h2 >> text=Where the time goes").count() == 0
        visit(page, site.url, "#/evals?run=old")
        assert page.locator("h2 >> text=Split by kind").count() == 0
    finally:
        page.goto("about:blank")
        stop_server(server, thread)


def test_overview_searches_metrics_and_keys_change_pages(page, site) -> None:
    visit(page, site.url, "#/overview?run=first")
    assert page.locator(".tile").count() == 12
    page.get_by_label("Search metrics").fill("reject/dup")
    page.wait_for_selector("figcaption >> text=propose/reject/duplicate")
    page.locator("h1").click()
    for number, name in enumerate(PAGES, 1):
        page.keyboard.press(str(number))
        page.wait_for_selector(f"main[data-page={name}][data-ready]")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_a_live_run_is_followed(page, tmp_path: Path) -> None:
    with small_run(tmp_path, steps=2) as store:
        site, server, thread = start_server(tmp_path)
        try:
            visit(page, site.url, "#/overview")
            assert page.locator(".badge").inner_text() == "live"
            for step in (3, 4):
                lemma = proposal(step, 0)
                store.commit_step(step_record(step, [lemma], [attempt(step, 0, lemma.id)]))
            page.wait_for_selector("[data-step] >> text=step 4")
            visit(page, site.url, "#/curriculum")
            assert page.locator("[aria-level='2']").count() == 4
            store.commit_step(step_record(5, [proposal(5, 0)]))
            page.locator(".pane").click()
            page.locator("[aria-level='2']").nth(4).wait_for()
        finally:
            page.goto("about:blank")
            stop_server(server, thread)


def test_a_day_of_live_steps_takes_constant_memory(page, site) -> None:
    visit(page, site.url, "#/funnel?run=first")
    sizes, kept = page.evaluate(
        """() => {
          const history = new G.History();
          const sizes = [];
          for (let step = 1; step <= 40000; step++) {
            history.add([{ step, metrics: { loss: step === 137 ? 99 : Math.sin(step) } }]);
            if (step % 10000 === 0) sizes.push(history.get("loss").y.length);
          }
          const { x, y } = history.get("loss");
          return [sizes, [Math.max(...y), x[0], x[x.length - 1]]];
        }"""
    )
    assert max(sizes) <= 2000
    assert kept[0] == 99
    assert kept[2] == 40000
    assert kept[1] < 1000


def test_a_chart_that_is_drawn_again_leaves_nothing_behind(page, site) -> None:
    visit(page, site.url, "#/overview?run=first")
    page.wait_for_selector(".curve .u-over")
    for _ in range(3):
        page.evaluate("G.app.current.onSteps()")
        page.wait_for_timeout(100)
    page.wait_for_function("uPlot.sync('steps').plots.length === 12")


def test_an_empty_folder_says_so(page, tmp_path: Path) -> None:
    site, server, thread = start_server(tmp_path)
    try:
        visit(page, site.url, "")
        assert "No runs here yet" in page.locator("main").inner_text()
    finally:
        stop_server(server, thread)


@pytest.mark.parametrize(
    "address",
    [
        "#/overview",
        "#/curriculum?rejected=1&node=1.lift.0&tab=program",
        "#/curriculum?node=1.lift.0&tab=completion",
        "#/curriculum?node=1.lift.0&tab=prompt",
        "#/curriculum?node=1.lift.0&tab=examples",
        "#/curriculum?node=1.lemma.2&rejected=1",
        "#/curriculum?text=script",
        "#/curriculum?node=3.lemma.0",
        "#/rollouts?id=3.lemma.0",
        "#/funnel?verdict=too-easy&stage=lemma",
        "#/goalposts?id=g1",
        "#/rollouts?id=1.attempt.0&tab=completion",
        "#/rollouts?id=1.attempt.0&tab=task",
        "#/rollouts?id=1.attempt.0&tab=group",
        "#/evals",
    ],
)
def test_hostile_text_is_inert_on_every_page(page, hostile_site, address: str) -> None:
    visit(page, hostile_site.url, address)
    page.wait_for_timeout(200)
    assert page.title() != "owned"
    assert page.locator("main img, main script").count() == 0
    text = page.locator("main").evaluate("(main) => main.textContent")
    assert not re.search("[\x00\x1b\u202a-\u202e\u2066-\u2069]", text)
    assert len(text) < 3_000_000


@pytest.fixture(scope="module")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    html, markdown, data = write_report([runs / "first", runs / "second"], folder)
    assert html.stat().st_size < 20_000_000
    assert "| optim.lr | 0.0001 | 0.0002 |" in markdown.read_text()
    assert len(json.loads(data.read_text())["runs"]) == 2
    return html


@pytest.mark.parametrize("name", PAGES)
def test_each_page_of_the_report_opens_from_disk(page, report: Path, name: str) -> None:
    visit(page, report.as_uri(), f"#/{name}?run=first")
    assert page.locator(".empty").count() == 0
    assert page.locator("main").inner_text().strip()


def test_the_report_walks_the_same_tree_as_the_live_page(page, report: Path, site) -> None:
    shown = []
    for url in (site.url, report.as_uri()):
        visit(page, url, "#/curriculum?run=first")
        page.locator("[aria-level='2'][aria-expanded]").first.click()
        page.wait_for_selector(".pane .tag.lemma")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("[aria-level='3']")
        rows = page.locator(".row").evaluate_all("rows => rows.map((r) => r.dataset.id)")
        page.locator("[aria-level='3']").first.click()
        page.wait_for_selector(".pane .tag.lift")
        shown.append((rows, page.locator(".pane").inner_text()))
    assert shown[0] == shown[1]


def test_a_small_limit_keeps_less_and_says_so(page, runs: Path, tmp_path: Path) -> None:
    full = write_report([runs / "first"], tmp_path / "full")[0].stat().st_size
    path = write_report([runs / "first"], tmp_path / "small", limit=full // 2)[0]
    assert path.stat().st_size <= full // 2
    visit(page, path.as_uri(), "#/overview")
    assert re.search(
        r"keeps the text of [\d,]+ of [\d,]+ rollouts", page.locator("main").inner_text()
    )
