"""`gasp doctor`: what works on this machine, and a block of facts to paste into an issue.

It names no path, no user and no variable's value, so that its output can be shown to anyone.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from gasp_rl import __version__
from gasp_rl.errors import install_line
from gasp_rl.planning.machine import gpus, host_memory
from gasp_rl.problems.embedded import embedded_model
from gasp_rl.problems.load import DATA_VARIABLE, SETS
from gasp_rl.sandbox.report import check as check_sandbox

OLDEST = (3, 11)
LEAST_DISK = 2 * 2.0**30
"""Free bytes below which a run's checkpoints may not fit."""

TORCH_SECONDS = 120.0
TORCH = (
    "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda or '', "
    "torch.cuda.device_count() if torch.cuda.is_available() else 0]))"
)
DISTRIBUTION = "gasp-rl"

Status = Literal["ok", "note", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `note`: something is missing that only some uses need."""

    name: str
    status: Status
    detail: str


def examine() -> tuple[Finding, ...]:
    """Look at everything; seconds, for torch is imported in a process of its own."""
    found = (
        _python(),
        _torch(),
        _gpu(),
        *_sandbox(),
        *extras(),
        _offline(),
        _data(),
        _memory(),
        disk(Path.cwd()),
    )
    return tuple(Finding(f.name, f.status, scrub(f.detail)) for f in found)


def render(findings: Sequence[Finding]) -> str:
    """A line for each finding, then all of them once more as a block to paste."""
    width = max(len(f.name) for f in findings)
    marks = {"ok": "ok  ", "note": "note", "fail": "FAIL"}
    lines = [f"{marks[f.status]}  {f.name:<{width}}  {f.detail}" for f in findings]
    failed = [f.name for f in findings if f.status == "fail"]
    verdict = f"to mend: {', '.join(failed)}" if failed else "all that a run needs is here"
    block = "; ".join(f"{f.name} {f.detail}" for f in findings if f.status != "ok")
    facts = [f"{f.name}: {f.detail}" for f in findings if f.status == "ok"]
    return "\n".join(
        [
            *lines,
            verdict,
            "",
            "To paste into an issue:",
            "```",
            f"gasp-rl {__version__}, {platform.system()} {platform.machine()}",
            *facts,
            f"not ok: {block or 'nothing'}",
            "```",
        ]
    )


def as_json(findings: Sequence[Finding]) -> str:
    """One object: the version, whether all is well, and the findings by name."""
    return json.dumps(
        {
            "version": __version__,
            "platform": f"{platform.system()} {platform.machine()}",
            "ok": healthy(findings),
            "findings": {f.name: {"status": f.status, "detail": f.detail} for f in findings},
        }
    )


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing fails."""
    return all(f.status != "fail" for f in findings)


def scrub(text: str) -> str:
    """A text without the user's home and without any other absolute path below it."""
    home = str(Path.home())
    clean = text.replace(home, "~") if len(home) > 1 else text
    return re.sub(r"/(?:home|Users)/[^\s/:;,'\"]+", "~", clean)


def extras() -> list[Finding]:
    """The package's optional dependencies, as its own metadata lists them, with what is installed."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [Finding("extras", "note", f"{DISTRIBUTION} is not installed: run from a checkout")]
    wanted: dict[str, list[str]] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if extra:
            wanted.setdefault(extra[1], []).append(requirement.strip())
    return [_extra(name, requirements) for name, requirements in wanted.items()]


def _extra(name: str, requirements: Sequence[str]) -> Finding:
    here, missing = [], []
    for requirement in requirements:
        found = re.match(r"[A-Za-z0-9._-]+", requirement)
        package = found[0] if found else requirement
        if package == DISTRIBUTION:  # another extra of it, which has a line of its own
            continue
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            missing.append(package)
            continue
        here.append(f"{package} {version}")
        if not satisfies(version, requirement):
            missing.append(requirement)
    if not missing:
        return Finding(f"extra {name}", "ok", ", ".join(here))
    remedy = f"missing {', '.join(missing)}: {install_line(name)}"
    return Finding(f"extra {name}", "note", "; ".join([*here, remedy]))


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version is within the bounds (`>=` and `<`) of a requirement such as `x<2,>=1.4`.

    Example: 1.10.2 is, and 1.3 is not.
    """

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)]

    least = re.search(r">=\s*([\d.]+)", requirement)
    below = re.search(r"<\s*([\d.]+)", requirement)
    if least and numbers(version) < numbers(least[1]):
        return False
    return not below or numbers(version) < numbers(below[1])


def disk(folder: Path) -> Finding:
    """Free space where runs would be written."""
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.1f} GiB free in the working folder"
    if free < LEAST_DISK:
        return Finding("disk", "fail", f"{detail}; a run needs {LEAST_DISK / 2**30:.0f} GiB")
    return Finding("disk", "ok", detail)


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST:
        return Finding("python", "fail", f"{version}; 3.11 or later is needed")
    return Finding("python", "ok", f"{version} ({platform.python_implementation()})")


def _torch() -> Finding:
    try:
        installed = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return Finding("torch", "note", f"not installed; to train: {install_line('train')}")
    try:
        done = subprocess.run(
            [sys.executable, "-c", TORCH],
            capture_output=True,
            text=True,
            timeout=TORCH_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Finding("torch", "fail", f"{installed}: import took over {TORCH_SECONDS:.0f} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding("torch", "fail", f"{installed} cannot be imported: {last[:200]}")
    version, cuda, devices = json.loads(done.stdout)
    built = f"built for CUDA {cuda}" if cuda else "built without CUDA"
    return Finding("torch", "ok", f"{version}, {built}, {devices} GPUs visible to it")


def _gpu() -> Finding:
    found = gpus()
    if not found:
        return Finding("gpu", "note", "none: recipes of the miniature run on a CPU")
    return Finding("gpu", "ok", ", ".join(f"{g.name} {g.memory / 2**30:.0f} GiB" for g in found))


def _sandbox() -> list[Finding]:
    report = check_sandbox()
    on = [layer.name for layer in report.layers if layer.on]
    off = [layer.name for layer in report.layers if not layer.on]
    tried = f"{sum(ok for _, ok, _ in report.probes)} of {len(report.probes)} probes as they should"
    if not report.ok:
        leaks = [name for name, ok, _ in report.probes if not ok]
        return [Finding("sandbox", "fail", "; ".join([*leaks, report.lines[-1]]))]
    found = [Finding("sandbox", "ok", f"{tried}; layers: {', '.join(on)}")]
    if off:
        more = f"off: {', '.join(off)}; `gasp sandbox check` says how to have them"
        found.append(Finding("sandbox layers", "note", more))
    return found


def _offline() -> Finding:
    parts = [embedded_model("miniature") / name for name in ("config.json", "tokenizer.json")]
    if not all(part.is_file() for part in parts):
        return Finding("offline", "fail", "the embedded miniature is incomplete: install again")
    return Finding("offline", "ok", "the embedded miniature runs without a network")


def _data() -> Finding:
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        return Finding("data", "note", f"{DATA_VARIABLE} is not set: no real questions by name")
    here = [n for n, s in SETS.items() if any((Path(folder) / p).exists() for p in s.places)]
    if not here:
        return Finding("data", "note", f"no known set in the folder of {DATA_VARIABLE}")
    return Finding("data", "ok", f"sets by name: {', '.join(here)}")


def _memory() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("machine", "ok", f"{cores} cores, {host_memory() / 2**30:.1f} GiB of memory")
