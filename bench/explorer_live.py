"""A day of a run that is trained while the explorer is open, compressed: does memory stay constant?

    python bench/explorer_live.py [--steps 1440] [--page overview]

Commits steps as a run does (one a minute for 24 hours by default; proposals, attempts, metrics of a
real step), each as soon as the open page has shown the one before; the page's timers run twenty
times as fast. Prints the memory of the server and of the page (after its garbage is collected), its
elements, and the time from commit to sight, over the day. Needs playwright and chromium.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from explorer_data import Synthesis

from gasp_rl.config import Config
from gasp_rl.store.run import RunStore

FASTER = """
const slow = window.setTimeout;
window.setTimeout = (call, delay, ...rest) => slow(call, (delay || 0) / 20, ...rest);
"""
SHOWN = "(step) => document.querySelector('[data-step]')?.textContent === `step ${step}`"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1440)
    parser.add_argument("--page", default="overview")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _watch(Path(folder), arguments.steps, arguments.page)


def _watch(folder: Path, steps: int, name: str) -> None:
    from playwright.sync_api import sync_playwright

    config = Config.model_validate({"name": "day", "steps": steps, "engine": {"name": "scripted"}})
    with RunStore.create(config, folder / "day", recipe="") as store:
        synthesis = Synthesis(store, 0, steps, 40, fast=True)
        synthesis.run_step(1, 16, 16)
        code = (
            "import pathlib, sys; from gasp_rl.ui.server import serve;"
            "serve(pathlib.Path(sys.argv[1]), port=0)"
        )
        server = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
                )
                page = browser.new_page()
                page.set_default_timeout(120_000)
                page.add_init_script(FASTER)
                page.goto(f"{url}#/{name}")
                page.wait_for_selector("main[data-ready]")
                _follow(page, synthesis, steps, server.pid)
                browser.close()
        finally:
            server.terminate()
            server.wait(10)


def _follow(page: Any, synthesis: Synthesis, steps: int, pid: int) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    print(f"{'step':>6} {'server':>8} {'page':>8} {'elements':>9} {'to sight, median':>18}")
    delays: list[float] = []
    for step in range(2, steps + 1):
        synthesis.run_step(step, 16, 16)
        start = time.perf_counter()
        page.wait_for_function(SHOWN, arg=step)
        delays.append(time.perf_counter() - start)
        if step % max(1, steps // 8) == 0:
            session.send("HeapProfiler.collectGarbage")
            found = {
                metric["name"]: metric["value"]
                for metric in session.send("Performance.getMetrics")["metrics"]
            }
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
            print(
                f"{step:6d} {int(line.split()[1]) / 1024:5.0f} MB "
                f"{found['JSHeapUsedSize'] / 2**20:5.1f} MB {found['Nodes']:9.0f} "
                f"{1000 * statistics.median(delays):15.0f} ms",
                flush=True,
            )
            delays = []


if __name__ == "__main__":
    main()
