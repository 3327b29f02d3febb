"""What a run depended on besides its config: interpreter, packages, hardware, code."""

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import gasp_rl

COMMAND_SECONDS = 10.0


def write_environment(folder: Path) -> None:
    """Write `environment.json`, and `code.diff` where the package runs from a changed checkout."""
    commit, diff = _git_state(Path(gasp_rl.__file__).parent)
    environment = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "command": sys.argv,
        "cpu": {"model": _cpu_model(), "usable_cores": _usable_cores()},
        "gpu": _run("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"),
        "git": {"commit": commit, "changed": bool(diff)},
        "packages": _packages(),
    }
    text = json.dumps(environment, indent=1) + "\n"
    (folder / "environment.json").write_text(text, encoding="utf-8")
    if diff:
        (folder / "code.diff").write_text(diff, encoding="utf-8", errors="surrogateescape")


def read_environment(folder: Path) -> dict[str, Any]:
    """The environment as written; empty when the file is missing or damaged."""
    try:
        value = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _packages() -> dict[str, str]:
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git_state(source: Path) -> tuple[str, str]:
    """Commit and diff of the checkout that tracks the package; empty when there is none."""
    if not _run("git", "-C", str(source), "ls-files", "--error-unmatch", "__init__.py"):
        return "", ""
    commit = _run("git", "-C", str(source), "rev-parse", "HEAD")
    return commit, _run("git", "-C", str(source), "diff", "HEAD", strip=False)


def _run(*command: str, strip: bool = True) -> str:
    """Output of a command; empty when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""
    return text.strip() if strip else text
