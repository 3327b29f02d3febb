"""False timeouts on a busy machine: right programs that need much of their CPU limit, 5x over.

    python bench/sandbox_fairness.py [programs]        default 100

Five workers for each core run programs that use 60% of their CPU limit; a third of them are asserts
over a conversation of two processes, a third read standard input. Counts verdicts, not time.
"""

import os
import sys
from collections import Counter

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Asserts, Func, Job, Sandbox, Stdio

OVERSUBSCRIPTION = 5
BUSY = "import time\ndef busy(n):\n while time.process_time() < {seconds}: pass\n return n\n"


def job(number: int, seconds: float) -> Job:
    code = BUSY.format(seconds=seconds)
    if number % 3 == 0:
        return Func(code, (str(number),), "busy")
    if number % 3 == 1:
        tests = f"for i in range(20):\n assert busy({number}) == {number}"
        return Asserts(code, tests)
    return Stdio(f"{code}print(busy(int(input())))", ((f"{number}\n", f"{number}\n"),))


def false_timeouts(programs: int, cpu_seconds: float = 1.0) -> Counter[str]:
    """Verdicts of right programs; anything but OK is false."""
    workers = OVERSUBSCRIPTION * len(os.sched_getaffinity(0))
    with Sandbox(SandboxConfig(workers=workers, cpu_seconds=cpu_seconds)) as sandbox:
        results = sandbox.map(job(i, 0.6 * cpu_seconds) for i in range(programs))
    return Counter(str(result.verdict) for result in results)


if __name__ == "__main__":
    verdicts = false_timeouts(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    print(f"right programs at {OVERSUBSCRIPTION}x oversubscription: {dict(verdicts)}")
    sys.exit(set(verdicts) != {"OK"})
