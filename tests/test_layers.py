"""Imports point one way, and importing the package loads no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import gasp_rl

ROOT = Path(gasp_rl.__file__).parent
LAYERS = [
    {"types", "errors", "rng", "config", "stopwatch", "wording"},
    {"sandbox"},
    {"tasks", "engines", "learning"},
    {"problems", "roles"},
    {"curriculum"},
    {"evals"},
    {"goalposts"},
    {"store", "miniature"},
    {"methods", "planning", "studies", "ui"},
    {"cli"},
]
"""Lowest first. A room may import its own layer and those below it."""

HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
TORCH_ROOMS = {"engines", "learning", "miniature/warmstart.py", "evals/sampler.py"}


def modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_room_has_a_layer() -> None:
    assert {room_of(p) for p in modules()} <= set(HEIGHT)


def test_imports_point_downwards() -> None:
    wrong = []
    for path in modules():
        own = HEIGHT[room_of(path)]
        for name in imported(path):
            package, _, rest = name.partition(".")
            if package == "gasp_rl" and HEIGHT.get(rest.partition(".")[0], 0) > own:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_torch_stays_in_its_rooms() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(name.split(".")[0] in ("torch", "transformers") for name in imported(path))
    }
    strangers = [u for u in users if u.split("/")[0] not in TORCH_ROOMS and u not in TORCH_ROOMS]
    assert strangers == []


def test_importing_the_package_and_the_command_line_loads_no_torch() -> None:
    code = (
        "import sys, gasp_rl, gasp_rl.cli; gasp_rl.cli.build_app(); "
        "import gasp_rl.sandbox, gasp_rl.store.reader, gasp_rl.curriculum.proposals, "
        "gasp_rl.methods.gasp; "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_waits_for_no_library_that_verbs_need() -> None:
    code = (
        "import sys, gasp_rl.cli; gasp_rl.cli.build_app(); "
        "print(sorted({'torch', 'pydantic', 'numpy', 'sqlite3', 'asyncio'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
