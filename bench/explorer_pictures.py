"""Takes a picture of each page of the explorer on real runs, for the documentation.

    python bench/explorer_pictures.py runs docs/img --run gasp-s2 --node 20.lift.9 --texts demo

Runs of a study keep no texts of rollouts: --texts names the run of the rollouts and evaluations pages.
Pictures have a palette of 256 colours, so that each stays under 150 KB.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from gasp_rl.store.folder import find_run

PAGES = {
    "overview": "",
    "curriculum": "{node}",
    "funnel": "&stage=lemma&verdict=too-easy",
    "goalposts": "",
    "rollouts": "&purpose=propose&verdict=accepted&colour=advantage",
    "evals": "&benchmark=test&k=20",
    "compare": "{compare}",
}
SIZES = {"wide": (1440, 900), "narrow": (420, 1500)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--run", default="latest")
    parser.add_argument("--node", default="", help="shown on the curriculum page")
    parser.add_argument("--texts", help="run of rollouts and evaluations, if another")
    parser.add_argument("--compare", default="", help="runs that are compared, as a,b")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--size", choices=SIZES, default="wide")
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=list(PAGES))
    arguments = parser.parse_args()
    code = (
        "import pathlib, sys; from gasp_rl.ui.server import serve;"
        "serve(pathlib.Path(sys.argv[1]), port=0)"
    )
    command = [sys.executable, "-c", code, str(arguments.runs)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    try:
        _take(url, arguments)
    finally:
        server.terminate()
        server.wait(10)


def _take(url: str, arguments: argparse.Namespace) -> None:
    from PIL import Image
    from playwright.sync_api import sync_playwright

    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    run = find_run(arguments.run, arguments.runs).name
    chosen = {
        "node": f"&node={arguments.node}" if arguments.node else "",
        "compare": f"&runs={arguments.compare}" if arguments.compare else "",
    }
    width, height = SIZES[arguments.size]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if arguments.dark else "light",
        )
        for page_name in arguments.pages:
            page = context.new_page()
            shown = (arguments.texts or run) if page_name in ("rollouts", "evals") else run
            page.goto(f"{url}#/{page_name}?run={shown}{PAGES[page_name].format(**chosen)}")
            page.wait_for_selector("main[data-ready]", timeout=60_000)
            page.wait_for_timeout(500)
            path = out / f"explorer-{page_name}.png"
            page.screenshot(path=path)
            with Image.open(path) as picture:
                small = picture.convert("RGB").quantize(256, kmeans=2)
            small.save(path, optimize=True)
            print(f"{path} {path.stat().st_size // 1000} KB")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
