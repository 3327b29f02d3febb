"""Soak: many programs, half of them hostile; nothing lost, nothing grows, nothing credited wrongly.

    python bench/sandbox_soak.py [programs] [STATE]        default 20000; the goal is 1000000

With a STATE file the counts outlive the process: started again, the soak goes on after the last
20,000 programs in it, with fresh workers.

Hostile programs write random bytes and random frames to their job socket, loop, exhaust memory,
crash or exit. No one returns the right answer, so any OK among them is a wrong credit. One line of
progress for every 20,000 programs, so that a run that is stopped still says what it did.
"""

import json
import os
import random
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Check, Sandbox

BATCH = 500
PROGRESS = 20_000
RIGHT = (b"2", b"4", b"6")
WRITE = "import os\nfor fd in range(3, 12):\n try: os.write(fd, {data!r})\n except OSError: pass\n"
CRASHES = (
    "import os\ndef f(x): os.abort()",
    "import os\nos._exit(0)",
    "def f(x): return bytes(10**10)",
    "def f(x): raise SystemExit",
    "def f(x): return open('/etc/passwd').read()",
    "import os\ndef f(x): return os.fork()",
)
ENDLESS = "def f(x):\n while True: pass"


def hostile(rng: random.Random) -> str:
    """A program that cannot be right: 10% crash, 0.2% never end, the rest write to the socket."""
    kind = rng.random()
    if kind < 0.1:
        return f"{rng.choice(CRASHES)}  # {rng.random()}"
    if kind < 0.102:
        return f"{ENDLESS}  # {rng.random()}"
    if kind < 0.4:
        data = rng.randbytes(rng.randrange(1, 200))
    else:
        data = b"".join(
            struct.pack("<cI", bytes([rng.choice(b"VBEXMCNUIQD")]), len(p)) + p
            for p in (rng.choice((b"", b"0", b"-2", b"x", b"[2]")) for _ in range(rng.randrange(6)))
        )
    return WRITE.format(data=data) + rng.choice(("def f(x): return 0", "os._exit(0)"))


class Sizes(NamedTuple):
    """What must not grow: descriptors and resident pages of workers and their zygotes."""

    pids: tuple[int, ...]
    descriptors: tuple[int, ...]
    pages: tuple[int, ...]


def sizes(sandbox: Sandbox) -> Sizes:
    pids: list[int] = []
    for worker in sandbox._started().workers.values():
        pid = worker.process.pid
        pids += [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return Sizes(
        tuple(pids),
        tuple(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        tuple(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids),
    )


def batch(seed: int, start: int) -> list[Check]:
    """Programs number `start` to `start + BATCH`: an honest one, a hostile one, and so on."""
    rng = random.Random(f"{seed} {start}")
    jobs = []
    for i in range(start, start + BATCH, 2):
        honest = f"def f(x): return 2 * x  # {i}"
        jobs += [Check(code, ("1", "2", "3"), RIGHT) for code in (honest, hostile(rng))]
    return jobs


def soak(total: int, seed: int = 1, state: Path | None = None) -> bool:
    """Whether `total` programs went through with one right verdict each and nothing grew."""
    counts: Counter[str] = Counter()
    if state is not None and state.exists():
        counts.update(json.loads(state.read_text(encoding="utf-8")))
    started = time.monotonic()
    with Sandbox(SandboxConfig(cpu_seconds=0.5, memory_mb=256)) as sandbox:
        first = last = None
        for start in range(counts["programs"], total, BATCH):
            results = sandbox.map(batch(seed, start))
            assert len(results) == BATCH
            counts["programs"] += BATCH
            counts["wrong"] += sum(not r.ok for r in results[::2])
            counts["wrong"] += sum(r.ok for r in results[1::2])
            counts["retries"] += sum(r.attempts - 1 for r in results)
            counts.update(str(r.verdict) for r in results[1::2])
            last = sizes(sandbox)
            first = first or last
            if counts["programs"] % PROGRESS == 0 and state is not None:
                new = state.with_suffix(".new")
                new.write_text(json.dumps(counts), encoding="utf-8")
                new.replace(state)
            if counts["programs"] % PROGRESS == 0:
                print(f"{time.monotonic() - started:.0f} s: {dict(counts)}, {last}", flush=True)
    print(f"programs, their failures and the verdicts of the hostile half: {dict(counts)}")
    flat = first is None or (
        last is not None
        and last.pids == first.pids
        and last.descriptors == first.descriptors
        and sum(last.pages) <= 1.1 * sum(first.pages)
    )
    print(f"processes, descriptors and memory flat since this start: {flat}")
    return not counts["wrong"] and flat


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    sys.exit(not soak(count, state=Path(sys.argv[2]) if len(sys.argv) > 2 else None))
