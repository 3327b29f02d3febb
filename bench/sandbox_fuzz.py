"""Fuzz of what a program can write to its job socket: no frame may earn a credit.

    python bench/sandbox_fuzz.py [programs]        default 100000

Each program writes mutated frames (right tags, wrong lengths, split and repeated, canonical values
that are wrong, noise) before, instead of or after its own answers, under every kind of job. No one
can give the right answer, so any OK is a wrong credit. Uniform verdicts would mean that nothing
arrived, so the spread is printed too.
"""

import random
import struct
import sys
import time
from collections import Counter

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Abduct, Asserts, Call, Check, Job, Sandbox, Stdio, Validate
from gasp_rl.sandbox.frames import _TAGS

BATCH = 400
PROGRESS = 10_000
TAGS = bytes(sorted(_TAGS))
VALUES = (b"", b"0", b"-2", b"[2]", b"(False, 1)", b"(True, [1])", b"{1: 2}", b"nan", b"\xff", b"x")
WRITE = (
    "import os\n"
    "def spit(parts={parts!r}):\n"
    "    for fd in range(3, 12):\n"
    "        try:\n"
    "            for part in parts: os.write(fd, part)\n"
    "        except OSError: pass\n"
)
BODIES = (
    "spit()\ndef f(x): return 0",
    "def f(x):\n    spit()\n    return 0",
    "spit()\nos._exit(0)",
    "def f(x):\n    spit()\n    os._exit(0)",
    "spit()\nspit()\ndef f(x): raise ValueError",
)


def frame(rng: random.Random) -> bytes:
    payload = rng.choice(VALUES)
    length = len(payload) if rng.random() < 0.8 else rng.choice((0, 1, 7, 1 << 16, (1 << 32) - 1))
    return struct.pack("<cI", bytes([rng.choice(TAGS)]), length) + payload


def parts(rng: random.Random) -> tuple[bytes, ...]:
    """What one program writes, in one or several pieces."""
    kind = rng.random()
    if kind < 0.2:
        data = rng.randbytes(rng.randrange(1, 300))
    elif kind < 0.5:  # the shape of three outputs and the end, none of them right
        data = b"".join(struct.pack("<cI", b"V", 1) + b"0" for _ in range(rng.randrange(1, 5)))
        data += struct.pack("<cI", b"D", 0)
    else:
        data = b"".join(frame(rng) for _ in range(rng.randrange(1, 6)))
    if rng.random() < 0.3:
        at = rng.randrange(len(data) + 1)
        return data[:at], data[at:]
    return (data,)


def job(rng: random.Random) -> Job:
    """A job whose right answers (2, 4, 6 and the like) no program of the fuzz gives."""
    code = WRITE.format(parts=parts(rng)) + rng.choice(BODIES)
    match rng.randrange(8):
        case 0:
            return Asserts(code, "assert f(1) == 2\nassert f(2) == 4")
        case 1:
            return Stdio(f"{code}\nprint(f(0))", (("1", "2"), ("2", "4")))
        case 2:
            return Stdio(f"{code}\nprint(f(0))", (("1", "2"), ("2", "4")), "lcb_compat")
        case 3:
            return Call(code, "f", (("1", "2"), ("2", "4")))
        case 4:
            return Abduct(code, "1", b"2")
        case 5:
            return Validate(code, ("1", "2", "3"))
        case _:
            return Check(code, ("1", "2", "3"), (b"2", b"4", b"6"))


def fuzz(programs: int, seed: int = 1) -> tuple[int, Counter[str]]:
    """How many were credited wrongly, and all verdicts."""
    rng = random.Random(seed)
    verdicts: Counter[str] = Counter()
    credited = 0
    started = time.monotonic()
    with Sandbox(SandboxConfig(cpu_seconds=0.5, memory_mb=256)) as sandbox:
        for start in range(0, programs, BATCH):
            results = sandbox.map([job(rng) for _ in range(min(BATCH, programs - start))])
            credited += sum(result.ok for result in results)
            verdicts.update(str(result.verdict) for result in results)
            done = verdicts.total()
            if done % PROGRESS == 0:
                seconds = time.monotonic() - started
                print(f"{done} programs in {seconds:.0f} s: {credited} wrong credits", flush=True)
    return credited, verdicts


if __name__ == "__main__":
    credited, verdicts = fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    print(f"{verdicts.total()} programs: {credited} wrong credits; {dict(verdicts)}")
    sys.exit(min(credited, 1))
