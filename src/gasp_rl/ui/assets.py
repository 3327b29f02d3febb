"""The files of the page: which there are, in which order scripts load, and what is sent."""

from functools import cache
from importlib import resources

SCRIPTS = (
    "dom.js",  # first: its "use strict" then holds for the joined file
    "uplot.iife.min.js",
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
SENT = {
    "explorer.js": ("text/javascript", SCRIPTS),
    "explorer.css": ("text/css", STYLES),
    "icon.svg": ("image/svg+xml", ("icon.svg",)),
    "uplot.LICENSE.txt": ("text/plain", ("uplot.LICENSE.txt",)),
    "index.html": ("text/html", ("index.html",)),
}
"""What a browser may ask for: media type and the files that are joined in this order."""


@cache
def asset(name: str) -> str:
    """Text of one of `SENT`, its files joined: one request for all scripts, one for all styles."""
    folder = resources.files("gasp_rl.ui") / "static"
    return "\n".join((folder / part).read_text(encoding="utf-8") for part in SENT[name][1])
