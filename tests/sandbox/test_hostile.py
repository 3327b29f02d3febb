"""The hostile corpus: every attack contained, and an honest program graded right after each."""

import os
import socket

import pytest
from sandbox_corpora import HOSTILE, hostile_items, read_jsonl

from gasp_rl.sandbox import Check, Func, Stdio, Validate, Verdict

INPUTS = ("1", "2", "3")
EXPECTED = (b"2", b"4", b"6")
HONEST = Check("def f(x): return 2 * x", INPUTS, EXPECTED)
RESOURCE = {"TIMEOUT_CPU", "TIMEOUT_WALL", "MEMORY", "OUTPUT_LIMIT"}

pytestmark = pytest.mark.skipif(not hostile_items(), reason=f"no corpus at {HOSTILE}")


def job_for(item):
    if item["cat"] in ("nondet", "det"):
        return Validate(item["code"], INPUTS)
    return Check(item["code"], INPUTS, EXPECTED)


def accepted(item):
    wanted = set(item["want"])
    if wanted & RESOURCE:
        wanted |= RESOURCE
    if item["cat"] == "nondet":  # refused before it ran counts as refused
        wanted |= {"UNSAFE", "IMPURE"}
    return wanted


@pytest.fixture
def canary(tmp_path_factory):
    """Listeners that an escape would reach."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0gasp_canary")
        server.listen()
        server.setblocking(False)
        yield server


@pytest.mark.parametrize("item", hostile_items(), ids=lambda item: item["name"])
def test_contained(sandbox, item, canary):
    result, honest = sandbox.map([job_for(item), HONEST])
    assert str(result.verdict) in accepted(item), (result.verdict, result.detail)
    assert honest.verdict is Verdict.OK
    with pytest.raises(BlockingIOError):
        canary.accept()
    assert not os.path.exists("/tmp/mk/link")
    assert not os.path.exists("/tmp/mk/daemon")
    assert not os.path.exists("/dev/shm/write_shm")


@pytest.mark.parametrize(
    "item", read_jsonl(HOSTILE / "honest_functions.jsonl") if HOSTILE.exists() else [],
    ids=lambda item: item["name"],
)  # fmt: skip
def test_honest_function(sandbox, item):
    result = sandbox.run(Func(item["code"], (item["input"],)))
    assert result.verdict is Verdict.OK, result
    again = sandbox.run(Check(item["code"], (item["input"],), result.outputs))
    assert again.verdict is Verdict.OK


@pytest.mark.parametrize(
    "item", read_jsonl(HOSTILE / "honest_stdin.jsonl") if HOSTILE.exists() else [],
    ids=lambda item: item["name"],
)  # fmt: skip
def test_honest_stdin(sandbox, item):
    result = sandbox.run(Stdio(item["code"], ((item["stdin"], item["stdout"]),)))
    assert result.verdict is Verdict.OK, result
    wrong = sandbox.run(Stdio(item["code"], ((item["stdin"], item["stdout"] + "1"),)))
    assert wrong.verdict is Verdict.WRONG_ANSWER
