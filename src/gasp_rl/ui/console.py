"""The live view of a run in the terminal: a rich screen, or plain lines where there is none."""

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from gasp_rl.store.health import Level, check_health, worst
from gasp_rl.store.progress import Progress
from gasp_rl.store.views import StepSummary
from gasp_rl.types import Metrics, Rejection
from gasp_rl.ui.safe import one_line

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

REFRESH_PER_SECOND = 2
BAR = 30
SMALL_BAR = 12
LEAST_BAR = 4
"""A bar of fewer cells says nothing: it is left out where there is no room for more."""

FRAME = 4
"""Columns that the border and its padding take."""

MARGIN = 2
"""Free columns at the right: a terminal writes `^C` there, and would else move the screen down."""

GAP = 2
"""Columns between blocks."""

WIDE = 1000
"""Columns of what is no terminal: more than any line of the views has."""

COLOURS = {Level.GREEN: "green", Level.AMBER: "yellow", Level.RED: "red"}


def open_console(stream: IO[str] | None = None) -> Progress:
    """A live screen on a terminal, plain lines anywhere else (a file, a pipe, a terminal that
    cannot move its cursor)."""
    stream = stream or sys.stderr
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return LiveView(stream) if stream.isatty() and not dumb else PlainView(stream)


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
    phase_sampled: float = 0.0
    phase_tokens: int = 0
    ended: bool = False
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
        self.phase_sampled = self.now()

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

    def end(self) -> None:
        self.phase, self.phase_total = "done" if self.done == self.total else "stopped", None
        self.ended = True

    @property
    def metrics(self) -> Metrics:
        return self.steps[-1].metrics if self.steps else {}

    def seconds_left(self) -> float | None:
        """From the mean time of the steps run so far; None before the first."""
        run = self.done - self.first
        return (self.now() - self.started) / run * (self.total - self.done) if run else None

    def tokens_per_second(self) -> float | None:
        """Of the phase in progress, up to its last tokens; else of the last step."""
        elapsed = self.phase_sampled - self.phase_started
        if self.phase_tokens and elapsed > 0:
            return self.phase_tokens / elapsed
        sampled = self.metrics.get("tokens/sampled")
        return sampled / self.steps[-1].seconds if sampled and self.steps[-1].seconds else None

    def time_words(self) -> str:
        """How long it will take, and at the end how long it took."""
        if self.ended:
            return f"took {duration(self.now() - self.started)}"
        left = self.seconds_left()
        return f"{duration(left)} left" if left is not None else "time left: after a step"

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
    """A screen of four blocks, as wide as the terminal, redrawn twice a second."""

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
        self._tally.end()
        self._live.stop()

    def render(self) -> "RenderableType":
        """The screen now."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        tally, width = self._tally, self._console.width - FRAME - MARGIN
        column = (width - 2 * GAP) // 3
        blocks = Table.grid(padding=(0, GAP, 0, 0))
        for _ in range(3):
            blocks.add_column(width=column)
        blocks.add_row(*(block(tally, column) for block in (_curriculum, _funnel, _student)))
        level, sentence = tally.health()
        health = Text.assemble((f"{level} ", f"bold {COLOURS[level]}"), sentence)
        return Panel(
            Group(_header(tally, width), Text(), blocks, Text(), health),
            title=one_line(tally.name, 60),
            title_align="left",
            border_style=COLOURS[level],
            width=width + FRAME,
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


def _header(tally: Tally, width: int) -> "Text":
    """Step, a bar in the room that is left, phase, speed, time: one line where it fits."""
    from rich.text import Text

    speed = None if tally.ended else tally.tokens_per_second()
    phase = tally.phase + (f" {tally.phase_done}/{tally.phase_total}" if tally.phase_total else "")
    told = [phase, tally.time_words()]
    rate = [f"{speed:,.0f} tokens/s"] if speed else []
    progress, right = f"step {tally.done}/{tally.total}", "  ".join([told[0], *rate, told[1]])
    if len(progress) + 2 + len(right) > width:
        right = "  ".join(told)
    room = min(BAR, width - len(progress) - len(right) - 4)
    drawn = f"  {bar(tally.done / max(1, tally.total), room)}" if room >= LEAST_BAR else ""
    blank = max(2, width - len(progress) - len(drawn) - len(right))
    return Text.assemble((progress + drawn, "bold"), " " * blank, right)


Row = tuple[str, float | None, str]
"""Label, share that a bar shows, value."""


def _curriculum(tally: Tally, width: int) -> "Group":
    names = (
        ("goalposts solved", "solved", "curriculum/goalposts_reached", "{:.0f}"),
        ("nodes", "nodes", "curriculum/nodes", "{:.0f}"),
        ("lemmas accepted", "lemmas", "lemma/accept_rate", "{:.0%}"),
        ("lifts accepted", "lifts", "lift/accept_rate", "{:.0%}"),
        ("deduction accepted", "deduction", "deduction/accept_rate", "{:.0%}"),
        ("abduction accepted", "abduction", "abduction/accept_rate", "{:.0%}"),
        ("induction accepted", "induction", "induction/accept_rate", "{:.0%}"),
        ("nearest neighbour", "nearest", "novelty/nearest_mean", "{:.2f}"),
        ("entropy", "entropy", "policy/entropy", "{:.3f}"),
        ("log-prob gap", "gap", "policy/logprob_gap", "{:.0e}"),
    )
    here = [
        (long, short, m.format(tally.metrics[n]))
        for long, short, n, m in names
        if n in tally.metrics
    ]
    labels, values = (max((len(row[i]) for row in here), default=0) for i in (0, 2))
    fits = labels + 1 + values <= width
    return _small_table(
        "curriculum", [(long if fits else short, None, value) for long, short, value in here], width
    )


def _funnel(tally: Tally, width: int) -> "Group":
    """Proposals still standing after each check, over all steps seen by this view."""
    rows: list[Row] = []
    standing = tally.written
    if tally.written:
        rows.append(("written", 1.0, f"{standing}"))
        for reason in Rejection:
            if tally.fallen[reason]:
                standing -= tally.fallen[reason]
                rows.append((f"- {reason}", standing / tally.written, f"{standing}"))
        rows.append(("accepted", tally.accepted / tally.written, f"{tally.accepted}"))
    return _small_table("funnel", rows, width)


def _student(tally: Tally, width: int) -> "Group":
    """Share right by label (depth) and kind in the last step."""
    rows: list[Row] = [
        (one_line(name.removeprefix(prefix), 14), value, f"{value:.0%}")
        for prefix in ("student/correct_at/", "student/correct/")
        for name, value in sorted(tally.metrics.items())
        if name.startswith(prefix)
    ]
    title = "student, share right"
    return _small_table(title if len(title) <= width else "share right", rows[:10], width)


def _small_table(title: str, rows: list[Row], width: int) -> "Group":
    """Labels, bars where there is room for them, and values under each other; nothing wraps."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text(title, "bold cyan")
    if not rows:
        return Group(head, Text("after a step", "dim"))
    values = max(len(value) for _, _, value in rows)
    labels = min(max(len(label) for label, _, _ in rows), width - values - 1)
    room = min(SMALL_BAR, width - labels - values - 2)
    bars = room >= LEAST_BAR and any(share is not None for _, share, _ in rows)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=labels, no_wrap=True, style="dim")
    if bars:
        table.add_column(width=room)
    table.add_column(width=values, justify="right", no_wrap=True)
    for label, share, value in rows:
        drawn = [Text(bar(share, room))] if bars and share is not None else []
        table.add_row(Text(label), *drawn, Text(value))
    return Group(head, table)
