"""Judge every reference solution and every graded answer of the public data sets; list exceptions.

    python bench/sandbox_references.py [humaneval mbpp cruxeval codecontests livecodebench]

Data: GASP_TEST_DATA, by default ../shared/data beside the repository. A reference that is not
judged right is printed with its verdict. For LiveCodeBench the claim is one-sided: an answer whose
stored grade (on hidden tests) is right must pass the public tests under `lcb_compat`.
"""

import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Asserts, Call, Check, Job, Sandbox, Stdio
from gasp_rl.sandbox.canonical import encode, parse_literal

DATA = Path(os.environ.get("GASP_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
Cases = Iterator[tuple[str, Job]]


def rows(name: str) -> Iterator[dict]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def humaneval() -> Cases:
    for row in rows("humaneval/humaneval.jsonl.gz"):
        tests = f"{row['test']}\ncheck({row['entry_point']})\n"
        yield row["task_id"], Asserts(row["prompt"] + row["canonical_solution"], tests)


def mbpp() -> Cases:
    for row in rows("mbpp/mbpp.jsonl.gz"):
        tests = "\n".join([row["test_setup_code"], *row["test_list"]])
        yield str(row["task_id"]), Asserts(row["code"], tests)


def cruxeval() -> Cases:
    for row in rows("cruxeval/cruxeval.jsonl.gz"):
        expected = encode(parse_literal(row["output"]))
        yield row["id"], Check(row["code"], (row["input"],), (expected,))


def codecontests() -> Cases:
    for row in rows("code_contests/codecontests.jsonl.gz"):
        if row["reference_ok"]:
            tests = tuple((test["input"], test["output"]) for test in row["tests"])
            yield row["id"], Stdio(row["reference"], tests, cpu_seconds=15.0)


def lcb_job(question: dict, code: str, grader: str = "lcb_compat") -> Job:
    tests = tuple((t["input"], t["output"]) for t in json.loads(question["public_test_cases"]))
    if question["starter_code"]:
        name = json.loads(question["metadata"])["func_name"]
        return Call(code, name, tests, cpu_seconds=6.0)
    return Stdio(code, tests, grader, cpu_seconds=6.0)


def livecodebench() -> Cases:
    questions = {row["question_id"]: row for row in rows("livecodebench/questions.jsonl.gz")}
    for number, row in enumerate(rows("livecodebench/graded_solutions.jsonl.gz")):
        question = questions[row["question_id"]]
        if json.loads(question["public_test_cases"]) and row["code"]:
            grade = "right" if row["graded"] else "wrong"
            name = f"{number} {row['question_id']} {row['model']} stored {grade}"
            yield name, lcb_job(question, row["code"])


SETS = {
    "humaneval": humaneval,
    "mbpp": mbpp,
    "cruxeval": cruxeval,
    "codecontests": codecontests,
    "livecodebench": livecodebench,
}


def main(names: list[str]) -> int:
    failures = 0
    with Sandbox(SandboxConfig(memory_mb=1024)) as sandbox:
        for name in names or list(SETS):
            cases = list(SETS[name]())
            started = time.perf_counter()
            results = sandbox.map(job for _, job in cases)
            seconds = time.perf_counter() - started
            verdicts = Counter(str(result.verdict) for result in results)
            print(f"{name}: {len(cases)} in {seconds:.1f} s: {dict(verdicts)}")
            for (case, _), result in zip(cases, results, strict=True):
                if not result.ok and not case.endswith("stored wrong"):
                    failures += 1
                    print(f"  {case}: {result.verdict} {result.detail}")
            if name == "livecodebench":
                table = Counter(
                    (case.rpartition(" ")[2], result.ok)
                    for (case, _), result in zip(cases, results, strict=True)
                )
                print(f"  (stored grade, passes public tests): {dict(table)}")
    return failures


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
