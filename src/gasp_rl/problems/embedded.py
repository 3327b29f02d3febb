"""Where the embedded worlds lie in the package: `NAME` is a model, `NAME:SPLIT` a question set."""

from importlib import resources
from pathlib import Path

from gasp_rl.errors import DataError

SPLITS = ("train", "validation", "test", "candidates", "common")
GOALPOSTS = "goalposts"

LONGEST_PROMPT = 100
"""Tokens that no prompt of an embedded world exceeds, the teacher's included."""


def data_folder() -> Path:
    """Folder that holds one folder for each embedded world."""
    return Path(str(resources.files("gasp_rl.miniature") / "data"))


def is_embedded(name: str) -> bool:
    """Whether a name stands for an embedded world rather than for a path."""
    return name != "" and Path(name).name == name and (data_folder() / name).is_dir()


def embedded_model(name: str) -> Path:
    """The model folder of an embedded world."""
    return data_folder() / name / "model"


def split_file(name: str, split: str) -> Path:
    """The questions of a split; `goalposts` is the mined file."""
    if split == GOALPOSTS:
        return data_folder() / name / "goalposts.jsonl"
    if split not in SPLITS:
        raise DataError(f"{name} has no split {split!r}; it has {', '.join((*SPLITS, GOALPOSTS))}")
    return data_folder() / name / f"{split}.jsonl.gz"
