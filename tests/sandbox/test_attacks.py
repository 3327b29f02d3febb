"""Attacks on this very design, class by class; after each one an honest program is graded right.

A `check` item returns 2x only where its attack worked. A `validate` item must be refused, or its
outputs must not depend on the process it ran in.
"""

import os
from pathlib import Path

import pytest
from sandbox_corpora import read_jsonl

from gasp_rl.sandbox import Abduct, Asserts, Check, Deduct, Stdio, Validate, Verdict

ITEMS = read_jsonl(Path(__file__).with_name("attacks.jsonl"))
INPUTS = ("1", "2", "3")
EXPECTED = (b"2", b"4", b"6")


def job_for(item):
    match item["job"]:
        case "check":
            return Check(item["code"], INPUTS, EXPECTED)
        case "validate":
            return Validate(item["code"], INPUTS)
        case "stdio":
            tests = ((item["stdin"], item["stdout"]),)
            return Stdio(item["code"], tests, item["grader"])
        case "asserts":
            return Asserts(item["code"], item["tests"])
        case "abduct":
            return Abduct(item["code"], item["answer"], item["expected"].encode())
        case "deduct":
            return Deduct(item["answer"], item["expected"].encode())


def test_there_are_enough_of_every_class():
    assert len({item["name"] for item in ITEMS}) == len(ITEMS) >= 60
    assert {item["cat"] for item in ITEMS} >= {"forge", "escape", "dos", "poison", "teacher"}


@pytest.mark.parametrize("category", sorted({item["cat"] for item in ITEMS}))
def test_attacks_of_a_class_fail(sandbox, category):
    items = [item for item in ITEMS if item["cat"] == category]
    jobs = []
    for item in items:
        honest = Check(f"def f(x): return 2 * x  # {item['name']}", INPUTS, EXPECTED)
        jobs += [job_for(item), honest]
    results = sandbox.map(jobs)
    failed = [
        (item["name"], str(result.verdict), result.detail)
        for item, result, honest in zip(items, results[::2], results[1::2], strict=True)
        if str(result.verdict) not in item["want"] or honest.verdict is not Verdict.OK
    ]
    assert failed == []


def test_sent_descriptors_do_not_stay_in_the_worker(sandbox):
    attack = next(item for item in ITEMS if item["name"] == "descriptors_to_worker")
    workers = [worker.process.pid for worker in sandbox._started().workers.values()]

    def descriptors():
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in workers]

    sandbox.map([Check(f"{attack['code']}  # {i}", INPUTS, EXPECTED) for i in range(4)])
    before = descriptors()
    sandbox.map([Check(f"{attack['code']}  # {i}", INPUTS, EXPECTED) for i in range(4, 12)])
    assert descriptors() == before
