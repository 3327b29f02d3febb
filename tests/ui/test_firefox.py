"""The report in Firefox, from disk: driven over WebDriver BiDi, which Firefox itself speaks."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gasp_rl.ui.report import write_report

PAGES = ("overview", "curriculum", "funnel", "goalposts", "rollouts", "evals", "compare")
READY = "Boolean(document.querySelector('main[data-page={0}][data-ready]'))"
PATIENCE = 60.0


class Firefox:
    """One headless Firefox with one tab."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._calls = 0
        self.errors: list[str] = []
        self("session.new", capabilities={})
        self("session.subscribe", events=["log.entryAdded"])
        (context, *_) = self("browsingContext.getTree")["contexts"]
        self._tab = context["context"]

    def __call__(self, method: str, **params: Any) -> Any:
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(PATIENCE))
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.errors.append(str(answer["params"]["text"]))
            if answer.get("id") == self._calls:
                assert answer["type"] == "success", answer
                return answer["result"]

    def open(self, address: str) -> None:
        for url in ("about:blank", address):
            self("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def ask(self, script: str) -> Any:
        target = {"context": self._tab}
        result = self("script.evaluate", expression=script, target=target, awaitPromise=True)
        return result["result"].get("value")

    def wait(self, script: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.ask(script):
            assert time.monotonic() < end, script
            time.sleep(0.05)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("no firefox on this machine (apt-get install firefox-esr)")
    client = pytest.importorskip("websockets.sync.client", reason="pip install websockets")
    options = ["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"]
    command = [program, *options, str(tmp_path_factory.mktemp("profile"))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = (re.search(r"ws://127\.0\.0\.1:\d+", line) for line in process.stderr)
    address = next(match[0] for match in found if match)
    with client.connect(f"{address}/session", max_size=None) as socket:
        driven = Firefox(socket)
        yield driven
        driven("browser.close")
    process.wait(PATIENCE)


@pytest.fixture(scope="module")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    return write_report([runs / "first", runs / "second"], folder)[0].as_uri()


def test_every_page_of_the_report_opens_from_disk(firefox: Firefox, report: str) -> None:
    for name in PAGES:
        firefox.open(f"{report}#/{name}?run=first")
        firefox.wait(READY.format(name))
        assert firefox.ask("document.querySelectorAll('.empty').length") == 0
    assert firefox.errors == []


def test_goalpost_to_lemma_to_lift(firefox: Firefox, report: str) -> None:
    firefox.open(f"{report}#/curriculum?run=first")
    firefox.wait(READY.format("curriculum"))
    firefox.ask("document.querySelector(\"[aria-level='2'][aria-expanded]\").click()")
    firefox.wait("Boolean(document.querySelector('.pane .tag.lemma'))")
    firefox.ask("document.querySelector(\"[aria-level='2'][aria-expanded] .twisty\").click()")
    firefox.wait("Boolean(document.querySelector(\"[aria-level='3']\"))")
    firefox.ask("document.querySelector(\"[aria-level='3']\").click()")
    firefox.wait("Boolean(document.querySelector('.pane .tag.lift'))")
    assert firefox.ask("document.querySelectorAll('.pane .line.added').length") >= 1
    assert firefox.errors == []
