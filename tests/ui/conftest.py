"""Runs, a live server and a real browser for the tests of the views."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from gasp_rl.ui.server import build_app

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "store"))
sys.path.insert(0, str(ROOT / "bench"))

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    " \x1b[2J\x00 \u202eevil\u2066 \ud800 javascript:alert(1) " + "long " * 25_000
)
"""Markup, control characters, bidirectional marks, a lone surrogate; longer than answers show."""


@dataclass(frozen=True)
class Site:
    """A server of the explorer over one folder of runs."""

    url: str
    folder: Path


def start_server(folder: Path) -> tuple[Site, uvicorn.Server, threading.Thread]:
    config = uvicorn.Config(build_app(folder), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    return Site(f"http://127.0.0.1:{port}", folder), server, thread


def stop_server(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.force_exit = server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic runs that differ in one setting, with evaluations."""
    from explorer_data import synthesise

    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("first", "second")):
        synthesise(
            folder / name,
            name=name,
            seed=seed,
            steps=10,
            goalposts=12,
            proposals=32,
            attempts=32,
            lr=1e-4 * (seed + 1),
        )
    return folder


@pytest.fixture(scope="session")
def site(runs: Path) -> Iterator[Site]:
    made, server, thread = start_server(runs)
    yield made
    stop_server(server, thread)


@pytest.fixture(scope="session")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A run whose every text is hostile, with one proposal (`3.lemma.0`) of a 10 MB line."""
    from small_runs import proposal, small_run, step_record

    folder = tmp_path_factory.mktemp("hostile")
    with small_run(folder, steps=2, text=HOSTILE) as store:
        store.commit_step(step_record(3, [proposal(3, 0, text=HOSTILE + "x" * 10_000_000)]))
    made, server, thread = start_server(folder)
    yield made
    stop_server(server, thread)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium through Playwright; skipped where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield instance
        instance.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A new tab that fails the test when a script fails or the policy blocks something."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    tab = context.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(f"error: {error}"))
    tab.on("console", lambda line: line.type == "error" and problems.append(line.text))
    tab.set_default_timeout(30_000)
    tab.problems = problems
    yield tab
    context.close()
    assert problems == []
