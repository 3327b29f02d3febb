"""Attacks of every class as data (one TOML file for each), run through the public `Sandbox`.

No attack is credited, nothing leaks from one program to the next, an honest program after each one
is graded right, and no worker dies. A resource verdict counts as one class. To report a hole, add
an item here and the fix.
"""

import os
import socket
import tomllib
from pathlib import Path

import pytest

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import (
    Abduct,
    Asserts,
    Call,
    Check,
    Deduct,
    Func,
    Sandbox,
    Stdio,
    Validate,
    Verdict,
)

FOLDER = Path(__file__).parent
INPUTS = ("1", "2", "3")
EXPECTED = (b"2", b"4", b"6")
TOOLS = """
import os, struct
def write(data):
    for d in range(3, 16):
        try: os.write(d, data)
        except OSError: pass
def frame(tag, payload=b""): return struct.pack("<cI", tag, len(payload)) + payload
"""


def items(name):
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["attack"]


def written(item, key="code"):
    """The text of an item, or what its expression (ours, not an attacker's) builds."""
    expression = item.get(f"{key}_expression") or item.get("expression")
    return item[key] if key in item else eval(expression)


def run(sandbox, jobs):
    """Results of the jobs, each of them followed by an honest program that must be graded right."""
    honest = [Check(f"def f(x): return 2 * x  # {i}", INPUTS, EXPECTED) for i in range(len(jobs))]
    results = sandbox.map([job for pair in zip(jobs, honest, strict=True) for job in pair])
    assert [r.verdict for r in results[1::2]] == [Verdict.OK] * len(jobs)
    assert all(r.attempts == 1 for r in results)
    return results[::2]


def credited(names, results):
    return [
        (n, r.detail, r.outputs) for n, r in zip(names, results, strict=True) if r.ok
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def workers_live(sandbox):
    """The helper processes after a test are those from before it."""
    sandbox.run(Check("def f(x): return 2 * x", INPUTS, EXPECTED))
    before = children()
    yield
    assert children() == before


def children():
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == os.getpid():
            found.add(folder.name)
    return found


def test_there_are_enough():
    names = [item["name"] for path in FOLDER.glob("*.toml") for item in items(path.stem)]
    assert len(names) > 180


@pytest.mark.parametrize("name", ["teacher", "determinism"])
def test_what_a_teacher_may_not_publish(sandbox, name):
    attacks = items(name)
    jobs = [Validate(written(i), INPUTS, cpu_seconds=i.get("cpu_seconds")) for i in attacks]
    assert credited([i["name"] for i in attacks if "ok" not in i], [
        r for i, r in zip(attacks, run(sandbox, jobs), strict=True) if "ok" not in i
    ]) == []  # fmt: skip


def test_abduction_keeps_the_rules_of_the_proposal(sandbox):
    code = """
import os
def f(x):
    try:
        os.getpid()
        return "gold"
    except AttributeError:
        return x
"""
    results = run(sandbox, [Validate(code, ("'gold'",)), Abduct(code, "5", b"'gold'", rules=True)])
    assert [r.verdict for r in results] == [Verdict.OK, Verdict.WRONG_ANSWER]


def test_answers_that_are_no_literals_or_wrong(sandbox):
    attacks = items("answers")
    texts = [written(item, "answer") for item in attacks]
    jobs = [Deduct(text, b"6") for text in texts]
    jobs += [Abduct("def f(x): return x", text, b"6") for text in texts]
    jobs += [Check("def f(x): return x", (text,), (b"6",)) for text in texts]
    names = [item["name"] for item in attacks]
    assert credited(names * 3, run(sandbox, jobs)) == []


def test_forged_results(sandbox):
    attacks = items("forge")
    codes = [TOOLS + item["code"] for item in attacks]
    limits = [item.get("cpu_seconds") for item in attacks]
    names = [item["name"] for item in attacks]
    checks = [Check(c, INPUTS, EXPECTED, cpu_seconds=t) for c, t in zip(codes, limits, strict=True)]
    assert credited(names, run(sandbox, checks)) == []
    tests = tuple(zip(INPUTS, ("2", "4", "6"), strict=True))
    calls = [Call(c, "f", tests, cpu_seconds=t) for c, t in zip(codes, limits, strict=True)]
    assert credited(names, run(sandbox, calls)) == []


def test_a_forged_value_without_canonical_form_ends_no_worker(sandbox):
    code = TOOLS + 'write(frame(b"V", b"(1e999j,)") + frame(b"D"))\ndef f(x): return 0'
    jobs = [Call(code, "f", (("1", "2"),)), Func(code, ("1",)), Check(code, ("1",), (b"2",))]
    assert credited(["call", "func", "check"], run(sandbox, jobs)) == []


def test_the_machine_and_other_jobs_stay_out_of_reach(sandbox):
    attacks = items("machine")
    x86 = os.uname().machine == "x86_64"
    names, jobs = [], []
    for item in attacks:
        bodies = [item["code"]] if "code" in item else map(call, item["calls"] if x86 else [])
        for body in bodies:
            names.append(f"{item['name']} {body[-60:] if 'calls' in item else ''}")
            jobs.append(Check(body, INPUTS, EXPECTED))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as canary:
        canary.bind("\0gasp_attack_canary")
        canary.setblocking(False)
        assert credited(names, run(sandbox, jobs)) == []
        with pytest.raises(BlockingIOError):
            canary.recv(100)
    assert not os.path.exists("/tmp/gasp-attack")


def test_no_message_leaves_where_the_filter_stands_alone():
    code = next(i["code"] for i in items("machine") if i["name"] == "datagram_to_an_abstract_name")
    config = SandboxConfig(workers=1, cpu_seconds=1.0, memory_mb=512)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as canary,
        Sandbox(config, skip=("namespaces", "landlock")) as sandbox,
    ):
        canary.bind("\0gasp_attack_canary")
        canary.setblocking(False)
        assert not sandbox.run(Check(code, INPUTS, EXPECTED)).ok
        with pytest.raises(BlockingIOError):
            canary.recv(100)


def call(numbers):
    arguments = ", ".join(f"ctypes.c_long({n})" for n in numbers)
    return (
        f"import ctypes\ndef f(x): return 2*x if ctypes.CDLL(None).syscall({arguments})>=0 else 0"
    )


def test_resources(sandbox):
    attacks = items("resources")
    codes = [TOOLS + written(item) for item in attacks]
    jobs = [
        Check(c, INPUTS, EXPECTED, cpu_seconds=i.get("cpu_seconds"))
        for c, i in zip(codes, attacks, strict=True)
    ]
    results = run(sandbox, jobs)
    assert credited([i["name"] for i in attacks], results) == []
    idle = [r.verdict for i, r in zip(attacks, results, strict=True) if i.get("idle")]
    assert all(verdict.is_resource for verdict in idle)


def test_asserts_are_not_passed_unsolved(sandbox):
    attacks = items("asserts")
    jobs = [
        Asserts(TOOLS + i["code"], i["tests"], cpu_seconds=i.get("cpu_seconds")) for i in attacks
    ]
    assert credited([i["name"] for i in attacks], run(sandbox, jobs)) == []


@pytest.mark.parametrize("grader", ["real", "lcb_compat"])
def test_printed_answers(sandbox, grader):
    attacks = items("stdin")
    jobs = [Stdio(TOOLS + i["code"], (("3\n", "6\n"),), grader) for i in attacks]
    assert credited([i["name"] for i in attacks], run(sandbox, jobs)) == []


def test_nothing_passes_from_one_program_to_the_next(sandbox):
    attacks = items("leaks")
    for item in attacks:
        text = item.get("input", "1")
        # The comment makes jobs differ, so that each is run, on every worker.
        planted = [Func(f"{item['plant']}# {n}", (text,)) for n in range(8)]
        sought = [Check(f"{item['seek']}# {n}", ("1",), (b"False",)) for n in range(8)]
        results = sandbox.map([job for pair in zip(planted, sought, strict=True) for job in pair])
        assert {str(r.verdict) for r in results} == {"OK"}, (item["name"], results[:2])


def test_a_seeker_finds_what_is_there(sandbox):
    """The control of the test above: planted in its own process, the loot is found."""
    for item in items("leaks"):
        if item["name"] in ("names_and_modules", "objects_of_the_collector"):
            both = item["plant"] + item["seek"]
            assert sandbox.run(Check(both, ("1",), (b"True",))).ok, item["name"]
