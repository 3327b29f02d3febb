"""Soak and fuzz: many programs, half of them hostile; nothing lost, nothing grows, nothing forged.

    python bench/sandbox_soak.py [programs]        default 20000; the goal is 1000000

Hostile programs write random bytes and random frames to their job socket, loop, exhaust memory,
crash or exit. No one returns the right answer, so any OK among them is a wrong credit.
"""

import os
import random
import struct
import sys
import time
from collections import Counter
from pathlib import Path

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Check, Sandbox

BATCH = 500
RIGHT = (b"2", b"4", b"6")
WRITE = "import os\nfor fd in range(3, 12):\n try: os.write(fd, {data!r})\n except OSError: pass\n"
CRASHES = (
    "import os\ndef f(x): os.abort()",
    "import os\nos._exit(0)",
    "def f(x): return bytes(10**10)",
    "def f(x): raise SystemExit",
    "def f(x): return open('/etc/passwd').read()",
    "import os\ndef f(x): return os.fork()",
    "def f(x):\n while True: pass",
)


def hostile(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.1:
        return f"{rng.choice(CRASHES[:-1])}  # {rng.random()}"
    if kind < 0.102:
        return f"{CRASHES[-1]}  # {rng.random()}"
    if kind < 0.4:
        data = rng.randbytes(rng.randrange(1, 200))
    else:
        data = b"".join(
            struct.pack("<cI", bytes([rng.choice(b"VBEXMCNUIQD")]), len(p)) + p
            for p in (rng.choice((b"", b"0", b"-2", b"x", b"[2]")) for _ in range(rng.randrange(6)))
        )
    return WRITE.format(data=data) + rng.choice(("def f(x): return 0", "os._exit(0)"))


def sizes(pids: list[int]) -> list[tuple[int, int]]:
    """Open descriptors and resident pages of each worker."""
    return [
        (len(os.listdir(f"/proc/{pid}/fd")), int(Path(f"/proc/{pid}/statm").read_text().split()[1]))
        for pid in pids
    ]


def main(total: int) -> int:
    rng = random.Random(1)
    verdicts: Counter[str] = Counter()
    wrong = attempts = 0
    started = time.monotonic()
    with Sandbox(SandboxConfig(cpu_seconds=0.5, memory_mb=256)) as sandbox:
        pids = [worker.process.pid for worker in sandbox._started().workers.values()]
        first = None
        for start in range(0, total, BATCH):
            jobs = []
            for i in range(start, start + BATCH, 2):
                honest = f"def f(x): return 2 * x  # {i}"
                jobs += [Check(code, ("1", "2", "3"), RIGHT) for code in (honest, hostile(rng))]
            results = sandbox.map(jobs)
            assert len(results) == len(jobs)
            wrong += sum(not r.ok for r in results[::2]) + sum(r.ok for r in results[1::2])
            attempts += sum(r.attempts - 1 for r in results)
            verdicts.update(str(r.verdict) for r in results[1::2])
            first = first or sizes(pids)
        same = [worker.process.pid for worker in sandbox._started().workers.values()] == pids
        last = sizes(pids) if same else []
    print(f"{total} programs in {time.monotonic() - started:.0f} s; wrong verdicts: {wrong}")
    print(f"retries: {attempts}; same workers to the end: {same}")
    print(f"(descriptors, pages) of workers: {first} -> {last}")
    print(f"verdicts of hostile programs: {dict(verdicts)}")
    flat = same and [d for d, _ in first or []] == [d for d, _ in last]
    return 0 if not wrong and flat else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
