"""Where the embedded worlds lie in the package: `NAME` is a model, `NAME:SPLIT` a question set."""

from importlib import resources
from pathlib import Path

from gasp_rl.errors import DataError

SPLITS = ("train", "validation", "test", "candidates", "common")
GOALPOSTS = "goalposts"
RUN_FILE = "run.db"
"""Marks the folder of a run, which has a `config.json` as a model has."""

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


def embedded_worlds() -> list[str]:
    """Names of the worlds that ship."""
    return sorted(folder.name for folder in data_folder().iterdir() if folder.is_dir())


def model_place(name: str) -> Path:
    """The model folder of an embedded world, else `name` as a path, be there a model or not."""
    return embedded_model(name) if is_embedded(name) else Path(name)


def find_model(name: str) -> Path:
    """The model folder of an embedded world, or the folder of that path.

    Raises `DataError` when it is no model folder; of a run it says where its checkpoints lie.
    """
    folder = model_place(name)
    if (folder / RUN_FILE).is_file():
        found = sorted(str(path) for path in folder.glob("checkpoints/step_*"))
        having = f"those are models: {', '.join(found)}" if found else "it has none yet"
        raise DataError(f"{name}: a run, not a model; name one of its checkpoints ({having})")
    if not (folder / "config.json").is_file():
        raise DataError(
            f"{name}: no model folder here (no config.json); a model is read from disk, nothing is "
            "downloaded"
        )
    return folder


def split_file(name: str, split: str) -> Path:
    """The questions of a split; `goalposts` is the mined file."""
    if split == GOALPOSTS:
        return data_folder() / name / "goalposts.jsonl"
    if split not in SPLITS:
        raise DataError(f"{name} has no split {split!r}; it has {', '.join((*SPLITS, GOALPOSTS))}")
    return data_folder() / name / f"{split}.jsonl.gz"
