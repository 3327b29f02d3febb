"""One sandbox for all tests of this folder."""

import pytest

from gasp_rl.config import SandboxConfig
from gasp_rl.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox(SandboxConfig(workers=2, cpu_seconds=1.0, memory_mb=512)) as box:
        yield box
