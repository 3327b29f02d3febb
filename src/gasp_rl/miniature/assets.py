"""What ships in the package: each world's base model, its questions and its mined goalposts."""

from importlib import resources
from pathlib import Path

from gasp_rl.errors import DataError
from gasp_rl.evals.goalposts import GoalpostFile, read_goalposts
from gasp_rl.problems.schema import load_questions
from gasp_rl.tasks import Question

SPLITS = ("train", "validation", "test", "candidates")

GOALPOSTS = "goalposts.jsonl"


def data_folder() -> Path:
    """Folder that holds one folder for each embedded world."""
    return Path(str(resources.files("gasp_rl.miniature") / "data"))


def is_embedded(name: str) -> bool:
    """Whether a model or data name stands for an embedded world rather than for a path."""
    return (data_folder() / name).is_dir() and Path(name).name == name


def model_folder(name: str) -> Path:
    """The model folder of an embedded world, or `name` itself as a path.

    Raises `DataError` when there is no such folder.
    """
    folder = data_folder() / name / "model" if is_embedded(name) else Path(name)
    if not (folder / "config.json").is_file():
        raise DataError(f"{name}: no model folder here (no config.json)")
    return folder


def questions(name: str, split: str) -> list[Question]:
    """A split of an embedded world, or the questions of a file in our own format."""
    if not is_embedded(name):
        return list(load_questions(Path(name)).questions)
    if split not in SPLITS:
        raise DataError(f"{name} has no split {split!r}; it has {', '.join(SPLITS)}")
    return list(load_questions(data_folder() / name / f"{split}.jsonl.gz").questions)


def goalposts(name: str) -> GoalpostFile:
    """The mined goalposts of an embedded world, or of a file."""
    return read_goalposts(data_folder() / name / GOALPOSTS if is_embedded(name) else Path(name))
