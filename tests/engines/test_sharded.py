"""FSDP2 on two CPU processes: the contract, and the weights of one process."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from tiny import save_tiny

HERE = Path(__file__).parent


@pytest.mark.timeout(900)
def test_two_processes_fulfil_the_contract(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_tiny("qwen2", tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(2):
        group = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "GASP_SHARED_TMP": str(tmp_path),
        }
        options = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--tb=short",
            f"--basetemp={tmp_path}/b{rank}",
        ]
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, str(HERE / "sharded_contract.py")],
                env=os.environ | group,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        outputs = [rank.communicate(timeout=840)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(outputs)
