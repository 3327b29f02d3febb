"""Model folders that the engine tests share."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("contract")


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with random weights and a tokenizer for each architecture."""
    pytest.importorskip("torch", reason="needs the [train] extra")
    from tiny import ARCHITECTURES, save_tiny

    return {name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in ARCHITECTURES}
