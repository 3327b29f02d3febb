"""Did a lift stay on its axis? On the I/O axis the program must stay and only its pairs change."""

from collections.abc import Sequence

from gasp_rl.curriculum.novelty import folded_tokens
from gasp_rl.sandbox import Check
from gasp_rl.tasks import Induction
from gasp_rl.tasks.judge import RunsJobs


def on_io_axis(pairs: Sequence[tuple[Induction, Induction]], sandbox: RunsJobs) -> list[bool]:
    """Whether each (before, after) kept its program: the same text up to layout and names, or
    else the same output on every input of the one before.

    Behaviour is compared on those inputs alone, so a program that differs elsewhere passes; one
    that reads another representation of the same inputs does not.
    """
    kept = [folded_tokens(a.program) == folded_tokens(b.program) for a, b in pairs]
    rewritten = [pair for pair, same in zip(pairs, kept, strict=True) if not same]
    jobs = [_replays(before, after.program) for before, after in rewritten]
    alike = iter(result.ok for result in (sandbox.map(jobs) if jobs else []))
    return [same or next(alike) for same in kept]


def _replays(before: Induction, program: str) -> Check:
    """The job that asks a program for every output that the task before has."""
    pairs = before.shown + before.hidden
    inputs, outputs = zip(*((e.input, e.output.encode()) for e in pairs), strict=True)
    return Check(program, inputs, outputs)
