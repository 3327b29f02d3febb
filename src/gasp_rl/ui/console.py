"""The live view of a run in the terminal: a rich screen, or plain lines where there is none."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from gasp_rl.store.health import Level, check_health, worst
from gasp_rl.store.progress import Progress
from gasp_rl.store.views import StepSummary
from gasp_rl.types import Metrics, Rejection
from gasp_rl.ui.safe import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

REFRESH_PER_SECOND = 4
BAR = 24
WIDE = 1000
"""Columns of what is no terminal: more than any line of the views has."""

COLOURS = {Level.GREEN: "green", Level.AMBER: "yellow", Level.RED: "red"}


def open_console(stream: IO[str] | None = None) -> Progress:
    """A live screen on a terminal, plain lines anywhere else (a file, a pipe, a CI log)."""
    stream = stream or sys.stderr
    return LiveView(stream) if stream.isatty() else PlainView(stream)


@dataclass
class Tally:
    """What the calls of `Progress` add up to; both views draw from it."""

    now: Callable[[], float] = time.monotonic
    name: str = ""
    total: int = 0
    done: int = 0
    first: int = 0
    started: float = 0.0
    phase: str = "starting"
    phase_total: int | None = None
    phase_done: int = 0
    phase_started: float = 0.0
    phase_tokens: int = 0
    steps: list[StepSummary] = field(default_factory=list)
    fallen: Counter[str] = field(default_factory=Counter)
    written: int = 0
    accepted: int = 0

    def start_run(self, name: str, steps: int, done: int) -> None:
        self.name, self.total, self.done, self.first = name, steps, done, done
        self.started = self.now()

    def start_phase(self, name: str, total: int | None) -> None:
        self.phase, self.phase_total, self.phase_done, self.phase_tokens = name, total, 0, 0
        self.phase_started = self.now()

    def advance(self, units: int, tokens: int) -> None:
        self.phase_done += units
        self.phase_tokens += tokens

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None:
        self.done = step
        summary = StepSummary(
            step=step, attempt=1, finished=0.0, seconds=seconds, version=step, metrics=metrics
        )
        self.steps.append(summary)
        self.written += int(metrics.get("propose/written", 0))
        self.accepted += int(metrics.get("propose/accepted", 0))
        for reason in Rejection:
            self.fallen[reason] += int(metrics.get(f"propose/reject/{reason}", 0))

    @property
    def metrics(self) -> Metrics:
        return self.steps[-1].metrics if self.steps else {}

    def seconds_left(self) -> float | None:
        """From the mean time of the steps run so far; None before the first."""
        run = self.done - self.first
        return (self.now() - self.started) / run * (self.total - self.done) if run else None

    def tokens_per_second(self) -> float | None:
        """Of the phase in progress, else of the last step."""
        elapsed = self.now() - self.phase_started
        if self.phase_tokens and elapsed > 0:
            return self.phase_tokens / elapsed
        sampled = self.metrics.get("tokens/sampled")
        return sampled / self.steps[-1].seconds if sampled and self.steps[-1].seconds else None

    def finding(self) -> tuple[Level, str] | None:
        """Level and rule of the worst finding."""
        findings = check_health(self.steps)
        return (findings[0].level, findings[0].rule) if findings else None

    def health(self) -> tuple[Level, str]:
        """The worst finding as one sentence."""
        findings = check_health(self.steps)
        level = worst(findings)
        if not findings:
            return level, "too early to tell"
        if level is Level.GREEN:
            return level, f"{len(findings)} checks passed"
        first = findings[0]
        return level, f"{first.rule} {first.value:.3g}: {first.meaning}; {first.advice}"


def print_whole(view: "RenderableType") -> None:
    """Print to the terminal as wide as it is; elsewhere no line is cut, and none ends in blanks."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        console.print(view)
        return
    console.width = WIDE
    with console.capture() as caught:
        console.print(view)
    print("\n".join(line.rstrip() for line in caught.get().splitlines()))


class PlainView:
    """One line for each step."""

    def __init__(self, stream: IO[str], now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._tally = Tally(now)
        self._told: tuple[Level, str] | None = None

    def start_run(self, name: str, steps: int, done: int = 0) -> None:
        self._tally.start_run(name, steps, done)
        self.say(f"{name}: {steps} steps" + (f", continuing after {done}" if done else ""))

    def start_phase(self, name: str, total: int | None = None) -> None:
        self._tally.start_phase(name, total)

    def advance(self, units: int = 1, tokens: int = 0) -> None:
        self._tally.advance(units, tokens)

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None:
        self._tally.step_committed(step, seconds, metrics)
        left = self._tally.seconds_left()
        words = [f"step {step}/{self._tally.total}", f"{seconds:.1f} s", *_step_words(metrics)]
        if left is not None:
            words.append(f"left {duration(left)}")
        self.say("  ".join(words))
        self._tell_health()

    def _tell_health(self) -> None:
        """A finding is told when it appears, not again with every step that it lasts."""
        level, sentence = self._tally.health()
        finding = self._tally.finding() if level is not Level.GREEN else None
        if finding and finding != self._told:
            self.say(f"{level}: {sentence}")
        self._told = finding

    def say(self, text: str) -> None:
        # A closed pipe or terminal never stops a run.
        with contextlib.suppress(OSError, ValueError):
            print(one_line(text, 1000), file=self._stream, flush=True)

    def close(self) -> None: ...


class LiveView:
    """A screen of four blocks, redrawn four times a second."""

    def __init__(self, stream: IO[str], now: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live

        self._tally = Tally(now)
        self._console = Console(file=stream)
        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=False,
        )

    def start_run(self, name: str, steps: int, done: int = 0) -> None:
        self._tally.start_run(name, steps, done)
        self._live.start()

    def start_phase(self, name: str, total: int | None = None) -> None:
        self._tally.start_phase(name, total)

    def advance(self, units: int = 1, tokens: int = 0) -> None:
        self._tally.advance(units, tokens)

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None:
        self._tally.step_committed(step, seconds, metrics)

    def say(self, text: str) -> None:
        self._console.print(one_line(text, 1000), markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()

    def render(self) -> "RenderableType":
        """The screen now."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        tally = self._tally
        blocks = Table.grid(expand=True, padding=(0, 2))
        for _ in range(3):
            blocks.add_column(ratio=1)
        blocks.add_row(_curriculum(tally), _funnel(tally), _student(tally))
        level, sentence = tally.health()
        health = Text.assemble((f"{level} ", f"bold {COLOURS[level]}"), sentence)
        return Panel(
            Group(_header(tally), Text(), blocks, Text(), health),
            title=one_line(tally.name, 60),
            title_align="left",
            border_style=COLOURS[level],
        )


def duration(seconds: float) -> str:
    """A time span in words, for instance `1 h 05 min`, `2 min 08 s` or `9 s`."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def bar(share: float, width: int = BAR) -> str:
    """A horizontal bar that fills `share` of `width` cells."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return "\u2588" * filled + "\u2591" * (width - filled)


def _step_words(metrics: Metrics) -> list[str]:
    known = (
        ("goalposts", "curriculum/goalposts_reached", "{:.0f}"),
        ("nodes", "curriculum/nodes", "{:.0f}"),
        ("lemma", "lemma/accept_rate", "{:.0%}"),
        ("lift", "lift/accept_rate", "{:.0%}"),
        ("accepted", "propose/accepted", "{:.0f}"),
        ("induction", "student/correct/induction", "{:.0%}"),
        ("entropy", "policy/entropy", "{:.3f}"),
    )
    return [
        f"{label} {form.format(metrics[name])}" for label, name, form in known if name in metrics
    ]


def _header(tally: Tally) -> "Table":
    from rich.table import Table
    from rich.text import Text

    left = tally.seconds_left()
    speed = tally.tokens_per_second()
    phase = tally.phase
    if tally.phase_total:
        phase += f" {tally.phase_done}/{tally.phase_total}"
    table = Table.grid(expand=True)
    table.add_column()
    table.add_column(justify="right")
    progress = f"step {tally.done}/{tally.total}  {bar(tally.done / max(1, tally.total), 30)}"
    right = [phase]
    if speed:
        right.append(f"{speed:,.0f} tokens/s")
    right.append(f"{duration(left)} left" if left is not None else "time left: after one step")
    table.add_row(Text(progress, "bold"), Text("  ".join(right)))
    return table


def _curriculum(tally: Tally) -> "Table":
    names = (
        ("goalposts solved", "curriculum/goalposts_reached", "{:.0f}"),
        ("nodes", "curriculum/nodes", "{:.0f}"),
        ("lemmas accepted", "lemma/accept_rate", "{:.0%}"),
        ("lifts accepted", "lift/accept_rate", "{:.0%}"),
        ("deduction accepted", "deduction/accept_rate", "{:.0%}"),
        ("abduction accepted", "abduction/accept_rate", "{:.0%}"),
        ("induction accepted", "induction/accept_rate", "{:.0%}"),
        ("nearest neighbour", "novelty/nearest_mean", "{:.2f}"),
        ("entropy", "policy/entropy", "{:.3f}"),
        ("log-prob gap", "policy/logprob_gap", "{:.1e}"),
    )
    rows: list[tuple[Any, ...]] = [
        (label, form.format(tally.metrics[name]))
        for label, name, form in names
        if name in tally.metrics
    ]
    return _small_table("curriculum", rows)


def _funnel(tally: Tally) -> "Table":
    """Proposals still standing after each check, over all steps seen by this view."""
    rows: list[tuple[Any, ...]] = []
    standing = tally.written
    if tally.written:
        rows.append(("written", bar(1.0, 12), f"{standing}"))
        for reason in Rejection:
            if tally.fallen[reason]:
                standing -= tally.fallen[reason]
                rows.append((f"- {reason}", bar(standing / tally.written, 12), f"{standing}"))
        rows.append(("accepted", bar(tally.accepted / tally.written, 12), f"{tally.accepted}"))
    return _small_table("funnel", rows)


def _student(tally: Tally) -> "Table":
    """Share right by label (depth) and kind in the last step."""
    rows: list[tuple[Any, ...]] = []
    for prefix in ("student/correct_at/", "student/correct/"):
        for name, value in sorted(tally.metrics.items()):
            if name.startswith(prefix):
                rows.append(
                    (one_line(name.removeprefix(prefix), 14), bar(value, 12), f"{value:.0%}")
                )
    return _small_table("student, share right", rows[:10])


def _small_table(title: str, rows: list[tuple[Any, ...]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_row(Text(title, "bold cyan"))
    for row in rows or [("after the first step",)]:
        table.add_row(*(Text(str(cell), "dim" if i == 0 else "") for i, cell in enumerate(row)))
    return table
