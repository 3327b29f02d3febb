"""What the explorer's answers leave behind in a server, without a browser and without threads.

    python bench/explorer_memory.py [--steps 600]

Commits steps as explorer_live.py does; a second process gives, after each, the answers that an open
curriculum page asks for. Every fifty steps it prints its resident memory, what Python's heap holds
after a collection (tracemalloc), that heap's peak since the line before, and the answers' bytes.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

from explorer_data import Synthesis

from gasp_rl.config import Config
from gasp_rl.store.reader import RunReader
from gasp_rl.store.run import RunStore
from gasp_rl.ui import api


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        _answer(arguments.answer)
        return
    with tempfile.TemporaryDirectory() as folder:
        _commit(Path(folder) / "day", arguments.steps)


def _commit(path: Path, steps: int) -> None:
    config = Config.model_validate({"name": "day", "steps": steps, "engine": {"name": "scripted"}})
    with RunStore.create(config, path, recipe="") as store:
        synthesis = Synthesis(store, 0, steps, 40, fast=True)
        synthesis.run_step(1, 16, 16)
        server = subprocess.Popen(
            [sys.executable, __file__, "--answer", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        print(f"{'step':>6} {'resident':>10} {'heap':>9} {'peak':>9} {'answers':>9}")
        for step in range(2, steps + 1):
            synthesis.run_step(step, 16, 16)
            server.stdin.write(f"{step}\n")
            server.stdin.flush()
            line = server.stdout.readline().rstrip()
            if step % 50 == 0:
                print(line, flush=True)
        server.stdin.close()
        server.wait(10)


def _answer(path: Path) -> None:
    with RunReader.open(path) as reader:
        goalpost = reader.goalpost_ids()[0]
        query = {"parent": goalpost, "verdict": "accepted", "limit": "100"}
        tracemalloc.start()
        for line in sys.stdin:
            step = int(line)
            size = len(json.dumps(api.steps(reader, step - 1)))
            size += len(json.dumps(api.goalposts(reader, {})))
            size += len(json.dumps(api.proposals(reader, query)))
            size += len(json.dumps(api.goalpost(reader, goalpost)))
            heap, peak = 0, 0
            if step % 50 == 0:
                gc.collect()
                heap, peak = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
            print(
                f"{step:6d} {_resident():7.1f} MB {heap / 1e6:6.2f} MB {peak / 1e6:6.2f} MB "
                f"{size / 1000:6.0f} KB",
                flush=True,
            )


def _resident() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    main()
