"""The explorer on a real run: the miniature is trained for two steps, then everything is clicked."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Site, start_server, stop_server
from gasp_rl.config import load_config
from gasp_rl.methods.controls import compare_with_base
from gasp_rl.methods.loop import train
from gasp_rl.store.progress import Silent
from gasp_rl.store.reader import RunReader

SMALL = [
    "steps=2",
    "seed=1",
    "data.limit=8",
    "eval.every=1",
    "eval.goalpost_samples=2",
    "eval.validation_samples=1",
    "eval.samples=2",
    "eval.temperatures=[1.0]",
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("real")
    train(load_config("demo-quick", [*SMALL, "steps=1"]), folder / "two")
    compare_with_base(train(load_config("demo-quick", SMALL), folder / "one"), Silent())
    site, server, thread = start_server(folder)
    yield site
    stop_server(server, thread)


def visit(page: Any, site: Site, address: str) -> None:
    page.goto("about:blank")
    page.goto(f"{site.url}/{address}")
    page.wait_for_selector("main[data-ready]")


def a_lift(folder: Path) -> tuple[str, int, int]:
    """An accepted lift, with its probe."""
    with RunReader.open(folder) as reader:
        lifts = [n.summary for n in reader.accepted() if n.summary.stage == "lift"]
        rate = lifts[-1].pass_rate
        assert rate is not None
        return lifts[-1].id, rate.correct, rate.total


def test_a_lift_shows_where_it_came_from_and_what_it_led_to(page, real: Site) -> None:
    id, correct, total = a_lift(real.folder / "one")
    visit(page, real, f"#/curriculum?run=one&node={id}")
    pane = page.locator(".pane")
    pane.locator(".tag.lift").wait_for()
    assert pane.locator(".trail a").count() == 2
    assert f"p = {correct}/{total}" in pane.locator(".sum").inner_text()
    assert "95% interval" in pane.inner_text()
    assert pane.locator(".line.added, .line.removed").count() >= 1
    pane.get_by_role("tab", name="Examples 5").click()
    assert pane.locator(".tag.held").count() == 3
    for tab, words in (("Prompt", "def f(x)"), ("Reasoning", "```python")):
        pane.get_by_role("tab", name=tab).click()
        assert words in pane.locator(".panel").inner_text()
    pane.get_by_role("tab", name="Nearest").click()
    assert re.search(r"Cosine [01]\.\d{3} to ", pane.locator(".panel").inner_text())
    pane.get_by_role("tab", name="Later attempts").click()
    pane.get_by_text("probe attempts").click()
    page.wait_for_selector("main[data-page=rollouts][data-ready]")
    assert f"of {total}" in page.locator(".pager").inner_text()
    assert page.locator(".item .verdict.good").count() == correct


def test_tokens_of_trained_rollouts_are_coloured_and_their_group_is_beside_them(
    page, real: Site
) -> None:
    visit(page, real, "#/rollouts?run=one&purpose=attempt")
    page.locator(".pane .colours").wait_for()
    for colour, kind in (("surprise", ".tokens:not(.up, .down)"), ("advantage", ".tokens")):
        page.get_by_label("Colour tokens by").select_option(colour)
        page.locator(f".pane .prose{kind} span").first.wait_for()
        heats = page.locator(".pane .prose.tokens span").evaluate_all(
            "spans => spans.map((s) => Number(s.style.getPropertyValue('--heat')))"
        )
        assert all(0 <= heat <= 1 for heat in heats)
    text = page.locator(".pane .prose.tokens").inner_text()
    page.get_by_label("Colour tokens by").select_option("")
    assert page.locator(".pane .prose").inner_text() == text
    page.get_by_role("tab", name="Group").click()
    page.wait_for_selector(".beside .here")
    assert page.locator(".beside > div").count() > 1


def test_a_goalpost_knows_its_trials_here_and_in_other_runs(page, real: Site) -> None:
    with RunReader.open(real.folder / "one") as reader:
        goalpost = max(reader.goalposts(), key=lambda g: g.lemmas)
    visit(page, real, f"#/goalposts?run=one&id={goalpost.id}")
    pane = page.locator(".pane")
    pane.get_by_role("tab", name="Evaluations").wait_for()
    policies = pane.locator("tbody td:nth-child(2)").all_inner_texts()
    assert policies == ["base-fresh", "trained", "trained", "trained-fresh"]
    pane.get_by_role("tab", name="Chain").click()
    assert pane.locator(".chain li").count() == goalpost.lemmas + goalpost.lifts
    pane.get_by_role("tab", name="Other runs").click()
    pane.locator("tbody a", has_text="two").wait_for()


def test_every_page_of_a_real_run_has_something_to_show(page, real: Site) -> None:
    for name in ("overview", "funnel", "evals?benchmark=test", "compare?runs=one,two"):
        visit(page, real, f"#/{name}{'&' if '?' in name else '?'}run=one")
        assert page.locator(".empty").count() == 0
    visit(page, real, "#/evals?run=one&benchmark=test")
    assert page.locator("h3", has_text="constants given").count() == 1
