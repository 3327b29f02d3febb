"""Times the explorer on a large synthetic run in headless Chromium, against its budgets.

    python bench/explorer_data.py runs/large --steps 200 --proposals 100 --attempts 400 --fast
    python bench/explorer.py runs/large

Budgets: first paint < 1 s, any click < 200 ms, server memory < 200 MB. Needs playwright and
chromium. Prints one line for each measure: median of the repetitions, and the budget. CPU times of
the page and of the server are told too: on a busy machine they say more than wall times.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SETTLE = """
let pending = 0;
const plain = window.fetch;
window.fetch = async (...args) => {
  pending += 1;
  try { return await plain(...args); } finally { pending -= 1; }
};
window.settle = async () => {
  for (let quiet = 0; quiet < 2; quiet = pending ? 0 : quiet + 1)
    await new Promise(requestAnimationFrame);
};
"""
CLICKS = {
    "open a goalpost's branch": "[role=treeitem][aria-expanded=false]",
    "select a node": "[role=treeitem][aria-level='2'] .title",
    "show examples": "[role=tab][data-tab=examples]",
    "show later attempts": "[role=tab][data-tab=attempts]",
}
PAGES = ("overview", "curriculum", "funnel", "goalposts", "rollouts", "evals")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    code = (
        "import pathlib, sys; from gasp_rl.ui.server import serve;"
        "serve(pathlib.Path(sys.argv[1]), port=0)"
    )
    command = [sys.executable, "-c", code, str(arguments.run)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    try:
        _measure(url, server.pid, arguments.repeat)
    finally:
        server.terminate()
        server.wait(10)


def _measure(url: str, pid: int, repeat: int) -> None:
    from playwright.sync_api import sync_playwright

    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        for name in PAGES:
            _report(
                f"first paint of {name}", 1000, [_open(browser, url, name) for _ in range(repeat)]
            )
        for name in PAGES:
            _print_cpu(browser, url, name, pid)
        page = browser.new_page()
        page.add_init_script(SETTLE)
        page.goto(f"{url}#/curriculum")
        page.wait_for_selector("main[data-ready]")
        for name, selector in CLICKS.items():
            _report(name, 200, [_click(page, selector, i) for i in range(repeat)])
        page.goto(f"{url}#/rollouts")
        page.wait_for_selector("main[data-page=rollouts][data-ready]")
        choices = [("Kind", "deduction"), ("Verdict", "wrong"), ("Kind", ""), ("Verdict", "right")]
        _report("filter the rollouts", 200, [_choose(page, *choice) for choice in choices])
        browser.close()
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    print(f"{'server memory, peak':34s} {peak / 1024:8.0f} MB   budget {200:5d} MB")


def _open(browser: Any, url: str, name: str) -> float:
    """Milliseconds from navigation until the page says that it is drawn."""
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(f"{url}#/{name}", wait_until="commit")
    page.wait_for_selector("main[data-ready]")
    elapsed = time.perf_counter() - start
    page.close()
    return 1000 * elapsed


def _print_cpu(browser: Any, url: str, name: str, pid: int) -> None:
    """CPU of one first paint: the page's main thread as the browser counts it, and the server."""
    page = browser.new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _cpu_ms(pid)
    page.goto(f"{url}#/{name}", wait_until="commit")
    page.wait_for_selector("main[data-ready]")
    metrics = session.send("Performance.getMetrics")["metrics"]
    spent = next(1000 * m["value"] for m in metrics if m["name"] == "TaskDuration")
    print(f"{'CPU of ' + name:34s} {spent:8.0f} ms  server {_cpu_ms(pid) - before:6.0f} ms")
    page.close()


def _cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _click(page: Any, selector: str, index: int) -> float:
    found = page.locator(selector)
    target = found.nth(min(index, found.count() - 1))
    return target.evaluate(
        "async (target) => { const start = performance.now(); target.click();"
        " await settle(); return performance.now() - start; }"
    )


def _choose(page: Any, label: str, value: str) -> float:
    return page.get_by_label(label).evaluate(
        "async (target, value) => { const start = performance.now(); target.value = value;"
        " target.dispatchEvent(new Event('change')); await settle();"
        " return performance.now() - start; }",
        value,
    )


def _report(name: str, budget: int, times: list[float]) -> None:
    median, worst = statistics.median(times), max(times)
    print(f"{name:34s} {median:8.0f} ms  worst {worst:6.0f}  budget {budget:5d} ms")


if __name__ == "__main__":
    main()
