"""axe-core on every page, light and dark, in wide and in narrow windows."""

from importlib import resources

import pytest

ADDRESSES = (
    "#/overview?run=first",
    "#/curriculum?run=first",
    "#/curriculum?run=first&rejected=1&stage=lift",
    "#/funnel?run=first&verdict=duplicate&stage=lemma",
    "#/goalposts?run=second",
    "#/rollouts?run=first&purpose=attempt&colour=surprise",
    "#/evals?run=first",
    "#/compare?runs=first,second",
)


@pytest.fixture(scope="module")
def axe() -> str:
    pytest.importorskip("axe_playwright_python", reason="pip install axe-playwright-python")
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("look", ["light", "dark", "narrow"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_reports_nothing_serious(page, site, axe: str, address: str, look: str) -> None:
    page.emulate_media(color_scheme="dark" if look == "dark" else "light")
    if look == "narrow":
        page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/{address}")
    page.wait_for_selector("main[data-ready]")
    page.wait_for_timeout(300)
    page.evaluate(axe)
    rules = ", runOnly: ['color-contrast']" if look == "dark" else ""
    found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{rules}}})")
    serious = [
        f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
