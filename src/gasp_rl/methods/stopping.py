"""Ending a run early but whole: Ctrl-C, SIGTERM, `gasp stop`, and a run that learns nothing."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gasp_rl.errors import RunDead, RunStopped
from gasp_rl.store.folder import STOP
from gasp_rl.store.health import is_dead
from gasp_rl.store.reader import RunReader


class Stopping:
    """Who asked a run to end after its step. `listening` makes one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._signal = ""

    def asked(self, step: int, steps: int) -> RunStopped | None:
        """What to raise after this step, None to go on."""
        file = self._folder / STOP
        by = "`gasp stop`" if file.exists() else self._signal
        if not by or step >= steps:
            return None
        file.unlink(missing_ok=True)
        return RunStopped(
            f"{self._folder}: stopped by {by} after step {step} of {steps}; "
            f"continue with: gasp resume {self._folder}"
        )

    def receive(self, number: int, frame: FrameType | None) -> None:
        """A signal: the first one is remembered, the second one stops now."""
        if self._signal:
            raise KeyboardInterrupt(
                f"{self._folder}: stopped at once; continue from its last checkpoint with: "
                f"gasp resume {self._folder}"
            )
        self._signal = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        word = "gasp: finishing this step and saving it; once more stops now"
        try:
            print(word, file=sys.stderr, flush=True)  # above the live view, which takes the stream
        except (RuntimeError, OSError, ValueError):  # in the middle of a line, or nobody reads it
            with contextlib.suppress(OSError):
                os.write(2, f"\n{word}\n".encode())


@contextmanager
def listening(folder: Path) -> Iterator[Stopping]:
    """Take SIGINT and SIGTERM as wishes to end after the step, in the main thread alone."""
    (folder / STOP).unlink(missing_ok=True)  # a wish that an earlier process did not live to hear
    stopping = Stopping(folder)
    signals = [signal.SIGINT, signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        signals = []
    before = [signal.signal(number, stopping.receive) for number in signals]
    try:
        yield stopping
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
        (folder / STOP).unlink(missing_ok=True)  # it came during the last step


def dead(reader: RunReader, step: int, steps: int, window: int) -> RunDead | None:
    """What to raise when the last `window` steps show that nothing is learnt; 0 never looks."""
    reason = is_dead(reader.steps(), window) if window and step < steps else None
    if reason is None:
        return None
    return RunDead(
        f"{reader.path}: stopped after step {step} of {steps}, {reason} "
        f"(over {window} steps; stop_when_dead=0 goes on)"
    )
