"""The engine tests' models and contract, for tests that need a GPU."""

import sys
from pathlib import Path

import pytest

ENGINES = Path(__file__).parents[1] / "engines"
sys.path.insert(0, str(ENGINES))
pytest.register_assert_rewrite("contract")


@pytest.fixture(scope="session")
def gpu_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with random weights and a tokenizer for each architecture."""
    from tiny import ARCHITECTURES, save_tiny

    return {name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in ARCHITECTURES}
