"""A real SkyRL server on the CPU for tests: `GASP_SKYRL` names its environment (`make tinker`)."""

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 300.0
JAX = {
    "JAX_PLATFORMS": "cpu",
    # most of the lane is compiling, and its shapes are the same each time
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
}
BACKEND = {
    "max_lora_adapters": 100,  # one for each engine that a test makes
    "max_lora_rank": 8,
    "train_micro_batch_size": 16,
    "sample_max_num_sequences": 16,
}


def environment() -> Path | None:
    """The server's environment, where there is one."""
    named = os.environ.get("GASP_SKYRL")
    return Path(named).resolve() if named else None


@dataclass
class SkyRL:
    """Start, stop and start again; what it has saved lies in `folder` and outlives it."""

    model: Path
    folder: Path
    backend: str = json.dumps(BACKEND)
    port: int = 0
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        where = environment()
        assert where is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or _free_port()
        variables = {
            "PATH": f"{where / 'bin'}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(where),
            "PYTHONPATH": str(Path(__file__).parent / "skyrl"),
            "JAX_COMPILATION_CACHE_DIR": str(where / "jax-cache"),
            "HF_HUB_OFFLINE": "1",
            "UV_OFFLINE": "1",
        }
        # SkyRL starts its engine with the flags that its own `uv run` had
        command = ["uv", "run", "--active", "--no-sync", "--no-project", "-m", "skyrl.tinker.api"]
        options = {
            "base-model": self.model,
            "backend": "jax",
            "backend-config": self.backend,
            "checkpoints-base": self.folder / "checkpoints",
            "database-url": f"sqlite:///{self.folder / 'tinker.db'}",
            "host": "127.0.0.1",
            "port": self.port,
        }
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command,
                env=os.environ | JAX | variables,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that all of it can be ended
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/api/v1/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise RuntimeError(f"SkyRL did not start: {self.folder / 'server.log'}")

    def kill(self) -> None:
        """As a machine that is switched off."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
