"""`gasp eval` against a real OpenAI-compatible server, killed and resumed.

The server is transformers' own, with a tiny model of random weights: a minute of work.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gasp_rl.problems.schema import write_questions
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example

pytest.importorskip("fastapi", reason="needs transformers[serving]")
pytest.importorskip("openai", reason="needs transformers[serving]")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

QUESTIONS, SAMPLES, PATIENCE_SECONDS = 40, 4, 600


@pytest.fixture
def served(chat_model: Path) -> Iterator[str]:
    """URL of `transformers serve` with the tiny model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["serve", str(chat_model), "--port", str(port), "--device", "cpu"]
    code = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    server = subprocess.Popen(
        [sys.executable, "-c", code, *command], env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.5)
    yield f"http://127.0.0.1:{port}/v1"
    server.terminate()
    server.wait(60)


def rows(path: Path) -> dict[tuple[str, int], tuple[object, ...]]:
    """Every stored sample: its text, verdict and how often it was graded."""
    if not path.exists():
        return {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        try:
            found = db.execute(
                "select question, number, completion, verdict, gradings from sample"
            ).fetchall()
        except sqlite3.OperationalError:  # the tables are not made yet
            return {}
    return {(question, number): tuple(rest) for question, number, *rest in found}


def test_no_sample_is_lost_or_graded_twice_through_kill_9(
    tmp_path: Path, served: str, chat_model: Path
) -> None:
    questions = [
        Question(
            id=f"q{i}",
            source="mine",
            form=Form.FUNCTION,
            statement=f"Add {i} to x.",
            hidden=(Example("1", str(i + 1)),),
        )
        for i in range(QUESTIONS)
    ]
    file, out = tmp_path / "mine.jsonl", tmp_path / "samples.db"
    write_questions(file, questions)
    command = [sys.executable, "-m", "gasp_rl.cli", "eval", served]
    command += ["--on", str(file), "--out", str(out), "--served-name", str(chat_model)]
    command += ["-n", str(SAMPLES), "--temperature", "1", "--max-tokens", "8"]
    command += ["--concurrency", "4", "--style", "completion", "--json"]
    seen: dict[tuple[str, int], tuple[object, ...]] = {}
    for enough in (20, 90):  # before and after the first verdicts
        running = subprocess.Popen(command)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(rows(out)) < enough and time.monotonic() < deadline:
            assert running.poll() is None, "ended before it was killed"
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
        running.wait()
        now = rows(out)
        assert enough <= len(now) < QUESTIONS * SAMPLES
        for key, (completion, verdict, gradings) in seen.items():
            assert now[key][0] == completion
            assert verdict is None or now[key][1:] == (verdict, gradings)
        seen = now
    assert any(gradings for _, _, gradings in seen.values())
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    final = rows(out)
    assert len(final) == QUESTIONS * SAMPLES
    assert all(final[key][0] == completion for key, (completion, _, _) in seen.items())
    assert {gradings for _, _, gradings in final.values()} == {1}
    (report,) = json.loads(finished.stdout)
    assert (report["questions"], report["samples"]) == (QUESTIONS, QUESTIONS * SAMPLES)
    print(f"killed at {len(seen)} of {len(final)} samples; every one graded once")
