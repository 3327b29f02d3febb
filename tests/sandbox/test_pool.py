"""One verdict for each job, whatever happens to the helpers; nothing left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gasp_rl.config import SandboxConfig
from gasp_rl.errors import SandboxError
from gasp_rl.sandbox import Check, Deduct, Func, Sandbox, Stdio, Validate, Verdict

SLOW = "def f(x):\n while True: pass"


def children(pid):
    """All living descendants of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if int(parent) == pid and state != "Z":
            found += [int(entry.name), *children(int(entry.name))]
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_results_come_in_the_order_of_the_jobs(sandbox):
    jobs = [Func(f"def f(x): return x + {i % 50}", ("1",)) for i in range(200)]
    results = sandbox.map(jobs)
    assert [int(r.outputs[0]) for r in results] == [1 + i % 50 for i in range(200)]
    assert sandbox.map([]) == []


def test_several_threads_may_ask_at_once(sandbox):
    answers = {}

    def ask(n):
        answers[n] = sandbox.map([Func(f"def f(x): return {n}", (str(i),)) for i in range(20)])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(r.outputs == (str(n).encode(),) for n, rs in answers.items() for r in rs)


def test_stream_yields_each_job_once(sandbox):
    async def collect():
        jobs = [Func("def f(x): return x", (str(i),)) for i in range(40)]
        return [(i, r.outputs) async for i, r in sandbox.stream(jobs)]

    answers = asyncio.run(collect())
    assert sorted(answers) == [(i, (str(i).encode(),)) for i in range(40)]


def test_leaving_a_stream_kills_what_still_runs():
    async def first_of(sandbox):
        stream = sandbox.stream([Deduct("1", b"1"), *(Func(SLOW, (str(i),)) for i in range(4))])
        _, result = await anext(stream)
        await stream.aclose()
        return result

    with Sandbox(SandboxConfig(workers=2, cpu_seconds=60)) as sandbox:
        started = time.monotonic()
        assert asyncio.run(first_of(sandbox)).ok
        assert sandbox.run(Func("def f(x): return x", ("1",))).ok
        assert time.monotonic() - started < 30


def test_a_dead_worker_or_zygote_loses_no_job():
    with Sandbox(SandboxConfig(workers=2, cpu_seconds=5)) as sandbox:
        jobs = [Func(f"def f(x): return sum(range({10**5 + i}))", ("1",)) for i in range(300)]
        killer = threading.Timer(0.2, lambda: os.kill(workers[0], signal.SIGKILL))
        workers = [w.process.pid for w in sandbox._started().workers.values()]
        zygote = children(workers[1])[0]
        other = threading.Timer(0.1, lambda: os.kill(zygote, signal.SIGKILL))
        killer.start()
        other.start()
        results = sandbox.map(jobs)
        killer.join()
        other.join()
        expected = [str(sum(range(10**5 + i))).encode() for i in range(300)]
        assert [r.outputs[0] for r in results] == expected
        again = sandbox.map(jobs[:4])
        assert all(r.ok for r in again)


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_nothing_survives_the_caller(end):
    script = (
        "import sys, threading, time\n"
        "from gasp_rl.sandbox import Sandbox, Func\n"
        "from gasp_rl.config import SandboxConfig\n"
        "s = Sandbox(SandboxConfig(workers=2, cpu_seconds=60))\n"
        "s.layers()\n"
        "job = Func('def f(x):\\n while True: pass', ('1',))\n"
        "threading.Thread(target=s.run, args=(job,), daemon=True).start()\n"
        "time.sleep(0.5)\nprint('ready', flush=True)\n"
        + ("time.sleep(60)" if end == "kill" else "")
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert caller.stdout.readline() == b"ready\n"
    family = children(caller.pid)
    assert end == "exit" or len(family) >= 5  # two workers, two zygotes, one program
    if end == "kill":
        caller.kill()
    caller.wait()
    caller.stdout.close()
    assert wait_until(lambda: not any(map(is_alive, family)))


def test_closing_leaves_no_process_and_no_descriptor():
    before = len(os.listdir("/proc/self/fd"))
    with Sandbox(SandboxConfig(workers=2)) as sandbox:
        sandbox.map([Func("def f(x): return x", ("1",)), Stdio("print(1)", (("", "1"),))])
        family = [w.process.pid for w in sandbox._started().workers.values()]
        family += [pid for worker in family for pid in children(worker)]
    assert wait_until(lambda: not any(map(is_alive, family)))
    assert len(os.listdir("/proc/self/fd")) == before


def test_large_jobs_and_large_results_do_not_block_each_other(sandbox):
    numbers = str(list(range(80_000)))
    jobs = [Func(f"def f(x): return x  # {i}", (numbers,)) for i in range(24)]
    assert all(r.outputs == (numbers.encode(),) for r in sandbox.map(jobs))


def test_sleeping_programs_are_stopped_early(sandbox):
    started = time.monotonic()
    results = sandbox.map(
        [Func(f"import time\ndef f(x): time.sleep({i + 999})", ("1",)) for i in range(2)]
    )
    assert {r.verdict for r in results} == {Verdict.TIMEOUT_WALL}
    assert time.monotonic() - started < 60


def test_a_starved_program_is_not_blamed():
    """Two programs per core that each need most of their CPU limit."""
    busy = "import time\ndef f(x):\n while time.process_time() < 0.5: pass\n return x"
    config = SandboxConfig(workers=2 * len(os.sched_getaffinity(0)), cpu_seconds=1.5)
    with Sandbox(config) as sandbox:
        results = sandbox.map([Func(busy, (str(i),)) for i in range(config.workers)])
    assert [r.verdict for r in results] == [Verdict.OK] * config.workers


def test_misuse_is_an_error_and_bad_inputs_are_a_verdict(sandbox):
    with pytest.raises(TypeError):
        sandbox.run("print(1)")
    for job in (
        Func("def f(x): return x", ("1; 2",)),
        Validate("def f(x): return x", ("os",)),
        Check("def f(x): return x", ("1",), ()),
    ):
        assert sandbox.run(job).verdict is Verdict.BAD_INPUT


def test_a_closed_sandbox_says_so():
    sandbox = Sandbox(SandboxConfig(workers=1, cpu_seconds=60))
    sandbox.layers()
    errors = []

    def wait():
        try:
            sandbox.run(Func(SLOW, ("1",)))
        except SandboxError as error:
            errors.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    sandbox.close()
    thread.join()
    assert "closed" in errors[0]
