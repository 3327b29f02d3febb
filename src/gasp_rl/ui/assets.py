"""The files of the page: which there are, in which order scripts load, and their types."""

from importlib import resources

SCRIPTS = (
    "uplot.iife.min.js",
    "dom.js",
    "source.js",
    "charts.js",
    "code.js",
    "overview.js",
    "curriculum.js",
    "node.js",
    "funnel.js",
    "goalposts.js",
    "rollouts.js",
    "evals.js",
    "compare.js",
    "app.js",
)
STYLES = ("uplot.min.css", "style.css")
ICON = "icon.svg"
LICENCE = "uplot.LICENSE.txt"


def is_asset(name: str) -> bool:
    """Whether the page may load a file of this name."""
    return name in (*SCRIPTS, *STYLES, ICON, LICENCE)


def asset(name: str) -> str:
    """Text of one file of the page."""
    return (resources.files("gasp_rl.ui") / "static" / name).read_text(encoding="utf-8")


def content_type(name: str) -> str:
    """Media type by the name's ending."""
    endings = {
        "js": "text/javascript",
        "css": "text/css",
        "svg": "image/svg+xml",
        "txt": "text/plain",
    }
    return endings[name.rpartition(".")[2]]
