"""Where a run is and how it does: for people as text, for programs as JSON."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gasp_rl.store.health import WINDOW, Finding, Level, check_health, worst
from gasp_rl.store.reader import RunReader
from gasp_rl.ui.safe import one_line
from gasp_rl.wording import counted

EXIT_CODES = {Level.GREEN: 0, Level.AMBER: 2, Level.RED: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A run at a glance. `finished` is what the loop noted, empty while it runs; `stopped` says why it
    ended early, `parent` which run and step it was forked from.
    """

    run: str
    method: str
    step: int
    steps: int
    finished: str
    stopped: str
    parent: str
    seconds: float
    goalposts: int
    goalposts_solved: int
    nodes: int
    proposals: int
    rollouts: int
    health: Level
    findings: tuple[Finding, ...]

    def json(self) -> dict[str, Any]:
        return asdict(self)


def status(reader: RunReader) -> Status:
    """Read the state of a run; see `EXIT_CODES` for what the command's exit code says."""
    config, counts = reader.config(), reader.counts()
    steps, seconds = reader.outline(WINDOW)
    info = reader.info()
    forked = info.get("forked_from", "")
    findings = check_health(steps, seconds=seconds, free_bytes=_free_bytes(reader.path))
    return Status(
        run=reader.path.name,
        method=str(config.get("method", "")),
        step=steps[-1].step if steps else 0,
        steps=int(config.get("steps", 0)),
        finished=info.get("finished", ""),
        stopped=info.get("stopped", ""),
        parent=f"{forked} after step {info.get('forked_at')}" if forked else "",
        seconds=sum(seconds),
        goalposts=counts["goalpost"],
        goalposts_solved=len(reader.goalposts_solved()),
        nodes=counts["node"],
        proposals=counts["proposal"],
        rollouts=counts["rollout"],
        health=worst(findings),
        findings=tuple(findings),
    )


def status_text(state: Status) -> str:
    """The status in sentences, one finding on a line."""
    lines = [
        f"{one_line(state.run)}: {_where(state)}",
        f"{state.goalposts_solved} of {counted(state.goalposts, 'goalpost')} solved, "
        f"{counted(state.nodes, 'node')} from {counted(state.proposals, 'proposal')}, "
        f"{counted(state.rollouts, 'rollout')}",
        f"health: {state.health}",
    ]
    if state.stopped:
        lines.insert(1, one_line(state.stopped, 400))
    if state.parent:
        lines.insert(1, f"forked from {one_line(state.parent)}")
    for finding in state.findings:
        mark = {Level.GREEN: "ok   ", Level.AMBER: "AMBER", Level.RED: "RED  "}[finding.level]
        line = f"  {mark} {finding.rule} {finding.value:.3g} (limit {finding.threshold:.3g})"
        if finding.level is not Level.GREEN:
            line += f": {finding.meaning}; {finding.advice}"
        lines.append(line)
    return "\n".join(lines)


def _where(state: Status) -> str:
    if state.finished and state.step < state.steps:
        return f"finished after step {state.step}: its budget is spent"
    return f"step {state.step} of {state.steps}" + (", finished" if state.finished else "")


def _free_bytes(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
