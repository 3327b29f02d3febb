"""Sets by name: which file, which loader, which window. `lcb-v5`, `humaneval+`, or a file of ours.

A set is written `NAME`, looked up in the data folder; `NAME=PATH`, from there; `lcb-v5=hub`, from
the Hugging Face Hub; `miniature:test`, of an embedded world; or just `PATH`, for a file in our own
format (goalposts files included).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gasp_rl.errors import DataError
from gasp_rl.problems.embedded import is_embedded, split_file
from gasp_rl.problems.evalplus import Tests, load_evalplus, load_evalplus_statements
from gasp_rl.problems.hub import livecodebench_from_hub
from gasp_rl.problems.livecodebench import load_livecodebench
from gasp_rl.problems.rows import Loaded
from gasp_rl.problems.schema import load_questions
from gasp_rl.problems.selection import Selection
from gasp_rl.problems.sets import (
    load_apps,
    load_code_contests,
    load_cruxeval,
    load_humaneval,
    load_mbpp,
)
from gasp_rl.sandbox import Sandbox
from gasp_rl.wording import counted

_ALL = Selection()

DATA_VARIABLE = "GASP_DATA"
"""Environment variable that names the folder in which sets are looked up by name."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where questions are read from: a folder of sets, a sandbox for EvalPlus's expected outputs,
    and a cache for those. Without a sandbox EvalPlus questions come without tests."""

    folder: Path | None = None
    sandbox: Sandbox | None = None
    cache: Path | None = None
    skip_broken: bool = False


@dataclass(frozen=True, slots=True)
class NamedSet:
    """One name that `load_set` knows. places: tried in order below the data folder."""

    places: tuple[str, ...]
    load: Callable[[Path, Source], Loaded]
    selection: Selection = _ALL


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """What a name gave: its questions and skipped rows, and in words which these are."""

    name: str
    loaded: Loaded
    described: str


_LCB = ("livecodebench", "livecodebench/questions.jsonl.gz", "code_generation_lite")


def _lcb(selection: Selection) -> NamedSet:
    return NamedSet(_LCB, lambda path, s: load_livecodebench(path, s.skip_broken), selection)


def _evalplus(stem: str, tests: Tests) -> NamedSet:
    def load(path: Path, source: Source) -> Loaded:
        if source.sandbox is None:
            return load_evalplus_statements(path, source.skip_broken)
        return load_evalplus(path, source.sandbox, tests, source.cache, source.skip_broken)

    folder = "humaneval_plus" if stem == "HumanEvalPlus" else "mbpp_plus"
    places = (f"{folder}/{folder}.jsonl.gz", f"{stem}.jsonl.gz", f"{stem}.jsonl")
    return NamedSet(places, load)


SETS: dict[str, NamedSet] = {
    "lcb": _lcb(_ALL),
    "lcb-v5": _lcb(Selection(release="release_v5", since="2024-08-01")),
    "lcb-v5-all": _lcb(Selection(release="release_v5")),
    "lcb-v5-train": _lcb(Selection(release="release_v5", before="2024-08-01")),
    "lcb-v6": _lcb(Selection(release="release_v6", since="2024-08-01")),
    "humaneval": NamedSet(
        ("humaneval/humaneval.jsonl.gz", "HumanEval.jsonl.gz"),
        lambda path, s: load_humaneval(path, s.skip_broken),
    ),
    "humaneval+": _evalplus("HumanEvalPlus", "plus"),
    "humaneval+base": _evalplus("HumanEvalPlus", "base"),
    "mbpp": NamedSet(
        ("mbpp/mbpp.jsonl.gz", "mbpp.jsonl"), lambda path, s: load_mbpp(path, s.skip_broken)
    ),
    "mbpp+": _evalplus("MbppPlus", "plus"),
    "mbpp+base": _evalplus("MbppPlus", "base"),
    "cruxeval-o": NamedSet(
        ("cruxeval/cruxeval.jsonl.gz", "cruxeval.jsonl"),
        lambda path, s: load_cruxeval(path, "output", s.skip_broken),
    ),
    "cruxeval-i": NamedSet(
        ("cruxeval/cruxeval.jsonl.gz", "cruxeval.jsonl"),
        lambda path, s: load_cruxeval(path, "input", s.skip_broken),
    ),
    "code-contests": NamedSet(
        ("code_contests/codecontests.jsonl.gz", "codecontests.jsonl"),
        lambda path, s: load_code_contests(path, exact=True, skip_broken=s.skip_broken),
    ),
    "code-contests-all": NamedSet(
        ("code_contests/codecontests.jsonl.gz", "codecontests.jsonl"),
        lambda path, s: load_code_contests(path, skip_broken=s.skip_broken),
    ),
    "apps": NamedSet(
        ("apps/apps128.jsonl.gz", "apps.jsonl"), lambda path, s: load_apps(path, s.skip_broken)
    ),
}

_BOTH = {"cruxeval": ("cruxeval-o", "cruxeval-i")}


def default_cache() -> Path:
    """Where computed expected outputs are kept: below XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "gasp-rl"


def expand(names: str) -> list[str]:
    """The sets of a comma-separated list; `cruxeval` stands for both of its sides.

    Example::

        expand("lcb-v5,cruxeval")  # ["lcb-v5", "cruxeval-o", "cruxeval-i"]
    """
    found: list[str] = []
    for part in names.split(","):
        name, equals, path = part.strip().partition("=")
        for inner in _BOTH.get(name, (name,)):
            found.append(inner + equals + path)
    if not all(found):
        raise DataError(f"{names!r}: write set names with commas between them")
    return found


def load_set(spec: str, source: Source, narrow: Selection | None = None) -> QuestionSet:
    """Load the set that `spec` names. `narrow` filters further; an id list must be found whole.

    Raises `DataError` when the set is unknown, its file is missing, or nothing is left of it.
    """
    name, _, place = spec.partition("=")
    selection = _ALL
    world, _, split = name.partition(":")
    if split and is_embedded(world):
        path = split_file(world, split)
        loaded = load_questions(path, source.skip_broken)
    elif name in SETS:
        known = SETS[name]
        path = _path(name, place, known, source)
        loaded, selection = known.load(path, source), known.selection
    elif not place and Path(name).suffix in (".jsonl", ".gz"):
        path = Path(name)
        loaded = load_questions(path, source.skip_broken)
        name = path.name.split(".")[0]
    elif not place and Path(name).exists():
        raise DataError(f"{name}: a file of questions is named .jsonl or .jsonl.gz")
    else:
        raise DataError(
            f"no set named {name!r}; known: {', '.join(SETS)}, sets of an embedded world such as "
            "miniature:test, or a .jsonl file of our own format"
        )
    questions = selection.apply(loaded.questions)
    place_in_words = name if split else str(path)  # where a package lies says nothing
    words = [place_in_words] if selection == _ALL else [place_in_words, str(selection)]
    if narrow is not None and narrow != _ALL:
        questions = narrow.apply(questions)
        words.append(str(narrow))
    if not questions:
        of = f" ({', '.join(words[1:])})" if words[1:] else ""
        raise DataError(f"{path}: no question is left{of}" if of else f"{path}: holds no questions")
    words.append(counted(len(questions), "question"))
    return QuestionSet(name, replace(loaded, questions=questions), ", ".join(words))


def _path(name: str, place: str, known: NamedSet, source: Source) -> Path:
    if place == "hub":
        if known.places is not _LCB:
            raise DataError(f"{name}=hub: only LiveCodeBench sets are read from the Hub")
        return livecodebench_from_hub(known.selection.release or "release_v6")
    if place:
        path = Path(place)
        if not path.exists():
            raise DataError(f"{name}: no such file: {path}")
        return path
    folder = source.folder or _folder_of_environment()
    if folder is None:
        raise DataError(
            f"{name}: say where its file is: {name}=PATH, or a data folder by --data or "
            f"{DATA_VARIABLE}"
        )
    for candidate in known.places:
        path = folder / candidate
        if path.is_file() or (path.is_dir() and any(path.glob("test*.jsonl*"))):
            return path
    raise DataError(f"{name}: none of {', '.join(known.places)} in {folder}")


def _folder_of_environment() -> Path | None:
    value = os.environ.get(DATA_VARIABLE)
    return Path(value) if value else None
