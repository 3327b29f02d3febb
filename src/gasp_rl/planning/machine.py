"""This machine's memory and GPUs, asked without torch."""

import os
import subprocess
from typing import NamedTuple

SECONDS = 10.0


class Gpu(NamedTuple):
    """memory: bytes."""

    name: str
    memory: float


def gpus() -> list[Gpu]:
    """What nvidia-smi lists; nothing where it is missing or fails."""
    command = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpus(done.stdout) if done.returncode == 0 else []


def parse_gpus(text: str) -> list[Gpu]:
    """nvidia-smi's lines, `NVIDIA H200, 143771`, the number in MiB."""
    found = []
    for line in text.splitlines():
        name, comma, memory = line.rpartition(",")
        if comma and memory.strip().isdigit():
            found.append(Gpu(name.strip(), int(memory) * 2.0**20))
    return found


def host_memory() -> float:
    """Bytes of CPU memory; 0 where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return 0.0
