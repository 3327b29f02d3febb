"""Tests on what is not installed by default; without it they skip and say what brings it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("contract")

from llama import TOKENIZER  # noqa: E402
from skyrl_server import SkyRL, environment  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lane = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(lane) and "skyrl" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(1800))  # a first run compiles for minutes
            if environment() is None:
                item.add_marker(pytest.mark.skip(reason="needs a SkyRL server: make tinker"))


@pytest.fixture(scope="session")
def tiny_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny import save_tiny

    folder = save_tiny("qwen3", tmp_path_factory.mktemp("qwen3"))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def skyrl(tiny_qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SkyRL]:
    server = SkyRL(tiny_qwen3, tmp_path_factory.mktemp("skyrl"))
    server.start()
    yield server
    server.kill()
