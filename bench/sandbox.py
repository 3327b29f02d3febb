"""CPU per program of the sandbox against the cost of forking a loaded Python, in one run.

    python bench/sandbox.py [rounds]

Contenders take turns in short slices, so that a noisy machine disturbs all of them alike. CPU is
user plus system time of this process, the workers, their zygotes and the programs. Medians over
rounds. The floor forks a Python with the usual modules loaded (`LOADED`: more than the small zygote
has, fewer than the rich one), which exits at once.
"""

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Check, Job, Sandbox, Stdio, Validate, zygote

SLICE = 150
LOADED = [
    *zygote.MODULES,
    *str.split("""base64 binascii csv dataclasses difflib hashlib html inspect ipaddress pprint
    queue shlex timeit traceback urllib.parse uuid zlib encodings.idna"""),
]
WALLS = ("seccomp", "landlock", "namespaces", "uid drop")
TICK = os.sysconf("SC_CLK_TCK")


def tree_cpu(sandbox: Sandbox) -> float:
    """CPU seconds of a sandbox's whole process tree, its finished programs included."""
    total = time.process_time()
    for worker in sandbox._started().workers.values():
        for pid in (worker.process.pid, *children(worker.process.pid)):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            reaped = sum(map(int, fields[13:15])) / TICK
            total += time.clock_gettime((~pid << 3) | 2) + reaped
    return total


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


def sandbox_slice(
    sandbox: Sandbox, make: Callable[[int], Job], programs: int = SLICE, tests: int = 1
) -> Callable[[int], float]:
    """Milliseconds of CPU for one test of one program."""

    def run(number: int) -> float:
        jobs = [make(number * SLICE + i) for i in range(programs)]
        before = tree_cpu(sandbox)
        results = sandbox.map(jobs)
        after = tree_cpu(sandbox)
        assert all(result.ok for result in results), next(r for r in results if not r.ok)
        return (after - before) / programs / tests * 1000

    return run


def child_cpu(sandbox: Sandbox, number: int) -> float:
    """CPU milliseconds of the programs' own processes, from the kernel's accounts at their end."""
    results = sandbox.map([five_inputs(-number * SLICE - i - 1) for i in range(SLICE)])
    return sum(result.cpu_ms for result in results) / SLICE


def forking_python() -> subprocess.Popen[str]:
    """A fresh interpreter that has loaded what a zygote loads: a number in, that many forks, CPU out."""
    code = (
        "import sys, importlib, os, gc, ctypes, resource\n"
        f"for name in {LOADED!r}: importlib.import_module(name)\n"
        "fork = getattr(ctypes.PyDLL(None), '_Fork', os.fork)\n"
        "gc.collect(); gc.freeze()\n"
        "for line in sys.stdin:\n"
        "    def cpu():\n"
        "        a, b = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))\n"
        "        return a.ru_utime + a.ru_stime + b.ru_utime + b.ru_stime\n"
        "    before = cpu()\n"
        "    for _ in range(int(line)):\n"
        "        pid = fork()\n"
        "        if pid == 0: os._exit(0)\n"
        "        os.waitpid(pid, 0)\n"
        "    print(cpu() - before, flush=True)\n"
    )
    command = [sys.executable, "-s", "-S", "-c", code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def forks(pythons: list[subprocess.Popen[str]], count: int) -> float:
    """CPU seconds of `count` forks in each of these interpreters, all at once."""
    for python in pythons:
        python.stdin.write(f"{count}\n")
        python.stdin.flush()
    return sum(float(python.stdout.readline()) for python in pythons)


def five_inputs(i: int) -> Check:
    return Check(f"def f(x): return sorted(x)  # {i}", ("[3, 1, 2]",) * 5, (b"[1, 2, 3]",) * 5)


def one_input(i: int) -> Check:
    return Check(f"def f(x): return sorted(x)  # {i}", ("[3, 1, 2]",), (b"[1, 2, 3]",))


def validate(i: int) -> Validate:
    return Validate(f"def f(x): return sorted(x)  # {i}", ("[3, 1, 2]",) * 5)


def stdin_30(i: int) -> Stdio:
    tests = tuple((f"{n}\n", f"{2 * n}\n") for n in range(30))
    return Stdio(f"print(2 * int(input()))  # {i}", tests)


def stdin_1(i: int) -> Stdio:
    return Stdio(f"print(2 * int(input()))  # {i}", (("7\n", "14\n"),))


def main(rounds: int) -> None:
    gc.freeze()
    pythons = [forking_python() for _ in range(2)]
    with (
        Sandbox(SandboxConfig(workers=1)) as full,
        Sandbox(SandboxConfig(workers=1, unsafe=True), skip=WALLS) as bare,
        Sandbox(SandboxConfig(workers=2)) as two,
    ):
        contenders = {
            "floor: fork of a loaded Python": lambda _: forks(pythons[:1], SLICE) / SLICE * 1000,
            "5 inputs, all layers": sandbox_slice(full, five_inputs),
            "5 inputs, no layer but limits": sandbox_slice(bare, five_inputs),
            "1 input": sandbox_slice(full, one_input),
            "validate, 5 inputs": sandbox_slice(full, validate),
            "30 tests on stdin, each": sandbox_slice(full, stdin_30, programs=5, tests=30),
            "1 test on stdin": sandbox_slice(full, stdin_1, programs=30),
        }
        figures: dict[str, list[float]] = {name: [] for name in contenders}
        speeds: dict[int, list[float]] = {1: [], 2: []}
        cores: dict[int, list[float]] = {1: [], 2: []}
        bare_forks: dict[int, list[float]] = {1: [], 2: []}
        isolation: list[float] = []
        for run in contenders.values():
            run(-1)
        forks(pythons, SLICE)
        for number in range(rounds):
            for name, run in contenders.items():
                figures[name].append(run(number))
            spent = [child_cpu(box, number) for box in (full, bare)]
            isolation.append(spent[0] / spent[1] - 1)
            for count, sandbox in ((1, full), (2, two)):
                jobs = [five_inputs(10**6 + (number * 4 + count) * 1000 + i) for i in range(600)]
                started, cpu = time.perf_counter(), tree_cpu(sandbox)
                sandbox.map(jobs)
                seconds = time.perf_counter() - started
                speeds[count].append(600 / seconds)
                cores[count].append((tree_cpu(sandbox) - cpu) / seconds)
                started = time.perf_counter()
                forks(pythons[:count], 600)
                bare_forks[count].append(600 * count / (time.perf_counter() - started))
        floor = statistics.median(figures["floor: fork of a loaded Python"])
        for name, values in figures.items():
            median, low = statistics.median(values), min(values)
            print(f"{name:36} {median:7.3f} ms CPU (least {low:.3f}), {median / floor:.2f} floors")
        print(f"all layers add {100 * statistics.median(isolation):.1f}% to a program's own CPU")
        one, both = (statistics.median(speeds[n]) for n in (1, 2))
        print(f"programs a second: 1 worker {one:.0f}, 2 workers {both:.0f} (x{both / one:.2f})")
        one, both = (statistics.median(bare_forks[n]) for n in (1, 2))
        print(f"bare forks a second: 1 Python {one:.0f}, 2 Pythons {both:.0f} (x{both / one:.2f})")
        # One worker's trail of processes overlaps, so it takes more than one core where it can.
        used = [statistics.median(cores[n]) for n in (1, 2)]
        print(f"cores used: 1 worker {used[0]:.2f}, 2 workers {used[1]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
