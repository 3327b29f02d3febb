"""Programs on standard input: compiled once for many tests, in the process that they need."""

import pytest

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Sandbox, Stdio, Verdict

TWICE = tuple((f"{n}\n", f"{2 * n}\n") for n in range(4))
LARGE = f"table = {'x' * 600_000!r}\n"


@pytest.mark.parametrize("grader", ["real", "lcb_compat"])
@pytest.mark.parametrize(
    "code",
    [
        "print(2 * int(input()))",
        "import sys\nif __name__ == '__main__':\n    print(2 * int(sys.stdin.readline()))",
        "import numpy\nprint(int(2 * numpy.array(int(input()))))",
        LARGE + "print(2 * int(input()))",  # more than is handed on: compiled again each time
    ],
    ids=["plain", "guarded", "numpy", "large"],
)
def test_each_of_many_tests_is_judged(sandbox, code, grader):
    right = sandbox.run(Stdio(code, TWICE, grader))
    assert (right.verdict, len(right.tests)) == (Verdict.OK, 4)
    wrong = sandbox.run(Stdio(code, (*TWICE[:2], ("5", "11"), *TWICE), grader))
    assert [test.verdict for test in wrong.tests] == ["OK", "OK", "WRONG_ANSWER"]


def test_source_is_compiled_by_the_first_test_only():
    """A source that takes long to compile and no time to run."""
    deep = "x = 0\n" + "if x:\n x = (x + 1) * (x - 1)\n" * 3_000 + "print(input())"
    with Sandbox(SandboxConfig(workers=1, cpu_seconds=30)) as sandbox:
        once = sandbox.run(Stdio(f"{deep} # a", (("7", "7"),)))
        many = sandbox.run(Stdio(f"{deep} # b", (("7", "7"),) * 8))
    assert once.ok
    assert many.ok
    assert many.cpu_ms < 4 * once.cpu_ms


@pytest.mark.parametrize("output_bytes", [64, 2000])
def test_sharing_compiled_code_does_not_count_as_output(output_bytes):
    with Sandbox(SandboxConfig(workers=1, output_bytes=output_bytes)) as sandbox:
        for grader in ("real", "lcb_compat"):
            assert sandbox.run(Stdio("print(2 * int(input()))", TWICE, grader)).ok


def test_a_first_test_cannot_choose_the_program_of_the_others(sandbox):
    """It forges the frame that carries compiled code; the one sent before it ran counts."""
    forged = (
        "import marshal, os, struct\n"
        "data = marshal.dumps(compile('print(6)', 'x', 'exec'))\n"
        "for fd in range(3, 12):\n"
        "    try: os.write(fd, struct.pack('<cI', b'V', len(data)) + data)\n"
        "    except OSError: pass\n"
        "print(1)\n"
    )
    result = sandbox.run(Stdio(forged, (("", "1"), ("", "6"))))
    assert [test.verdict for test in result.tests] == ["OK", "WRONG_ANSWER"]


def test_threads_and_events_are_there_for_programs_that_want_them(sandbox):
    threads = "import threading\nt = threading.Thread(target=lambda: print(1))\nt.start()\nt.join()"
    events = "import asyncio\nasync def main(): print(1)\nasyncio.run(main())"
    hidden = "name = 'asy' 'ncio'\nmodule = __import__(name)\nprint(1 if module.run else 0)"
    for code in (threads, events, hidden):
        assert sandbox.run(Stdio(code, (("", "1"), ("", "1")))).ok, code
