"""Takes a picture of each page of the explorer on real runs, for the documentation.

python bench/explorer_pictures.py runs docs/img --run latest --node 16.lift.14
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
    "compare": "",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--run", default="latest")
    parser.add_argument("--node", default="", help="shown on the curriculum page")
    parser.add_argument("--dark", action="store_true")
    arguments = parser.parse_args()
    name = find_run(arguments.run, arguments.runs).name
    code = (
        "import pathlib, sys; from gasp_rl.ui.server import serve;"
        "serve(pathlib.Path(sys.argv[1]), port=0)"
    )
    command = [sys.executable, "-c", code, str(arguments.runs)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    try:
        node = f"&node={arguments.node}" if arguments.node else ""
        _take(url, name, node, arguments.out, "dark" if arguments.dark else "light")
    finally:
        server.terminate()
        server.wait(10)


def _take(url: str, run: str, node: str, out: Path, scheme: str) -> None:
    from PIL import Image
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
        for page_name, more in PAGES.items():
            page = context.new_page()
            page.goto(f"{url}#/{page_name}?run={run}{more.format(node=node)}")
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
