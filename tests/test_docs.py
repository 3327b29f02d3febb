"""The pages say what is true of the code: links lead somewhere, commands parse, settings exist."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from gasp_rl.cli import build_app
from gasp_rl.config import Config, known_keys, load_config, recipe_names
from gasp_rl.store.health import RULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FRONT = [ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md")]
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, *FRONT]

KEYS = set(known_keys())
SECTIONS = {key.split(".")[0] for key in KEYS if "." in key}
KEY = re.compile(rf"^(?:{'|'.join(SECTIONS)})(?:\.[a-z0-9_]+)+$")
PLACEHOLDER = re.compile(r"[A-Z]{2,}|\.\.\.")
FENCE = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
SNIPPET = re.compile(r'^--8<-- "([^":]+)(?::\d+)?"$', re.MULTILINE)


def expanded(path: Path) -> str:
    """A page with the files that it includes."""
    text = path.read_text(encoding="utf-8")
    return SNIPPET.sub(lambda m: (ROOT / m[1]).read_text(encoding="utf-8"), text)


def prose(text: str) -> str:
    """Without fenced and indented code."""
    lines = FENCE.sub("", text).splitlines()
    return "\n".join(line for line in lines if not line.startswith("    "))


def anchors(path: Path) -> set[str]:
    """Ids of headings, as MkDocs makes them."""
    found = re.findall(r"^#+ (.+)$", prose(expanded(path)), re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", title).strip().lower() for title in found]
    return {re.sub(r"[-\s]+", "-", title) for title in words}


def links(path: Path) -> list[str]:
    text = INLINE.sub("", prose(path.read_text(encoding="utf-8")))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [t for t in targets if not t.startswith(("http://", "https://"))]


def nav_files(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for target in entry.values():
            if isinstance(target, str):
                yield target
            else:
                yield from nav_files(target)


def test_every_page_stands_once_in_the_nav() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(nav_files(site["nav"])) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_links_and_anchors_lead_somewhere(path: Path) -> None:
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), f"{path.name}: {link}"
        assert path.parent != DOCS or target.is_relative_to(DOCS), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name}: {link}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason='pip install "gasp-rl[docs]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "start.html").is_file()


def commands(path: Path) -> Iterator[tuple[list[str], bool]]:
    """Words of every `gasp ...`, and whether it stands in code to copy rather than in a sentence."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in FENCE.findall(text):
        if not re.match(r"```(python|json|yaml|toml|sql)", block):
            yield from ((words, True) for line in block.splitlines() for words in split(line))
    for line in FENCE.sub("", text).splitlines():
        if line.startswith("    "):
            yield from ((words, True) for words in split(line))
    for code in INLINE.findall(prose(text)):
        yield from ((words, False) for words in split(code))


def split(line: str) -> Iterator[list[str]]:
    """The `gasp` commands of one shell line, also after VARIABLE=..., `;`, `|` and in docker run."""
    if "gasp " not in line:
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    words = list(lexer)
    for i, word in enumerate(words):
        if word == "gasp" and not (i and words[i - 1].startswith("--")):  # the arm of a study
            rest = words[i + 1 :]
            ends = [k for k, end in enumerate(rest) if end in (";", "|", "||", "&&", "&")]
            yield rest[: ends[0]] if ends else rest


ALL = [(path, words, whole) for path in TEXTS for words, whole in commands(path)]


def test_the_pages_name_commands() -> None:
    assert len(ALL) > 100
    assert {words[0] for _, words, _ in ALL if words} >= {"train", "demo", "view", "eval", "study"}


@pytest.fixture(scope="module")
def app() -> Any:
    return typer.main.get_command(build_app())


@pytest.mark.parametrize(
    ("path", "words", "whole"),
    ALL,
    ids=[f"{path.stem}-{i}" for i, (path, _, _) in enumerate(ALL)],
)
def test_commands_parse(path: Path, words: list[str], whole: bool, app: Any) -> None:
    whole = whole and "..." not in words
    words = [word for word in words if word not in ("...", "key=value", "key.path=value")]
    if words[:1] == ["--debug"]:
        words = words[1:]
    command, name = app, "gasp"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{path.name}: {name} has no verb {words[0]}"
        command, name, words = command.commands[words[0]], f"{name} {words[0]}", words[1:]
    known = {option for p in command.params for option in p.opts} | {"--help"}
    for option in (word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)):
        assert option in known, f"{path.name}: {name} has no option {option}"
    if whole and not hasattr(command, "commands"):
        command.make_context(name, list(words))
    if name in ("gasp train", "gasp plan", "gasp demo", "gasp fork"):
        check_settings(path, name, words)


def check_settings(path: Path, name: str, words: list[str]) -> None:
    """Recipe names exist, and so do keys; whole commands give a configuration."""
    plain = [w for w in words if not w.startswith("--")]
    overrides = [w for w in plain if "=" in w]
    for override in overrides:
        assert override.partition("=")[0] in KEYS, f"{path.name}: {override}"
    if name in ("gasp train", "gasp plan") and plain and "=" not in plain[0]:
        recipe = plain[0]
        if not PLACEHOLDER.search(recipe) and not recipe.endswith(".toml"):
            assert recipe in recipe_names(), f"{path.name}: no recipe {recipe}"
            load_config(recipe, [o for o in overrides if not PLACEHOLDER.search(o)])


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_settings_that_are_named_exist(path: Path) -> None:
    for code in INLINE.findall(prose(path.read_text(encoding="utf-8"))):
        key = code.partition("=")[0].strip().removesuffix(".*")
        if KEY.match(key) and not key.endswith((".md", ".py", ".toml", ".jsonl", ".db")):
            known = key in KEYS or any(other.startswith(f"{key}.") for other in KEYS)
            assert known, f"{path.name}: no setting {key}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.name)
def test_make_targets_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"(?:^ {4}|`)make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert set(named) <= targets


def test_paths_of_the_repository_exist() -> None:
    pattern = re.compile(r"^(?:src|tests|bench|examples|docs)/[\w./-]+$")
    for path in TEXTS:
        for code in INLINE.findall(prose(path.read_text(encoding="utf-8"))):
            if pattern.match(code) and "*" not in code:
                assert (ROOT / code).exists(), f"{path.name}: {code}"


def test_the_annotated_trees_are_true() -> None:
    repository, package, _ = re.findall(r"```text\n(.*?)```", (DOCS / "files.md").read_text(), re.S)
    for line in repository.splitlines():
        assert (ROOT / line.split()[0]).exists(), line
    room, named = ROOT, set()
    for line in package.splitlines():
        word = line.split()[0]
        if not line.startswith("    "):
            room = (ROOT if not line.startswith(" ") else ROOT / "src/gasp_rl") / word
            named.add(room.name)
            assert room.exists(), line
        else:
            assert (room / word).exists(), line
    assert {p.parent.name for p in (ROOT / "src/gasp_rl").glob("*/__init__.py")} <= named


def test_every_recipe_has_a_row() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    first = set(re.findall(r"^\| `([^`]+)` ", text, re.MULTILINE))
    told = {cell.removeprefix("gasp train ").split()[0] for cell in first}
    told |= {"demo"} if "gasp demo" in first else set()
    told |= {"demo-quick"} if "gasp demo --quick" in first else set()
    assert set(recipe_names()) <= told


def test_every_health_rule_has_its_row() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    cells = {row[0]: row for row in rows if len(row) == 6}
    for rule in RULES:
        side = "above" if rule.above else "below"
        told = [f"{side} {rule.amber:g}", f"{side} {rule.red:g}", rule.meaning, rule.advice]
        assert cells[rule.name][2:] == told
    assert {"entropy", "step time", "disk"} <= set(cells)


def test_the_defaults_that_the_method_page_gives() -> None:
    teacher, loss = Config().teacher, Config().loss
    assert (teacher.goalposts_per_round, teacher.proposals_per_prompt) == (8, 8)
    assert (teacher.min_accepted, teacher.max_attempts) == (4, 3)
    assert (loss.clip_low, loss.clip_high, loss.dual_clip, loss.kl_coef) == (0.2, 0.28, 3.0, 0.0)
    assert Config().optim.betas == (0.9, 0.999)
    assert Config().advantage.weighting == "token"
