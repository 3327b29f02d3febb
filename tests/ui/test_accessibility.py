"""axe-core on every page, light and dark. Needs `npm install --no-save axe-core` at the root."""

from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
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


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core missing: npm install --no-save axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_reports_nothing_serious(page, site, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{site.url}/{address}")
    page.wait_for_selector("main[data-ready]")
    page.wait_for_timeout(300)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    rules = "" if scheme == "light" else ", runOnly: ['color-contrast']"
    found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{rules}}})")
    serious = [
        f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
