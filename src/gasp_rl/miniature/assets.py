"""Names in a configuration to what they stand for: models, questions, goalposts."""

from pathlib import Path

from gasp_rl.goalposts.file import Goalpost, GoalpostFile, read_goalposts
from gasp_rl.problems.embedded import (
    GOALPOSTS,
    data_folder,
    find_model,
    is_embedded,
    split_file,
)
from gasp_rl.problems.load import Source, default_cache, load_set
from gasp_rl.problems.schema import load_questions
from gasp_rl.tasks import Question

__all__ = ["data_folder", "goalposts", "is_embedded", "model_folder", "questions"]

RANDOM_MODEL = "random-qwen2"
"""Name of the tiny random model that dry runs use; it is made when asked for."""


def model_folder(name: str) -> Path:
    """The model folder of an embedded world, of the random model, or `name` itself as a path.

    Raises `DataError` when there is no such folder.
    """
    if name == RANDOM_MODEL:
        folder = default_cache() / RANDOM_MODEL
        if not (folder / "tokenizer.json").is_file():
            from gasp_rl.engines.random_model import write_random_model

            write_random_model(folder)
        return folder
    return find_model(name)


def questions(name: str, split: str) -> list[Question]:
    """A split of an embedded world, or the questions of a named set (`problems.load`)."""
    if not is_embedded(name):
        return list(load_set(name, Source()).loaded.questions)
    return list(load_questions(split_file(name, split)).questions)


def goalposts(name: str) -> GoalpostFile:
    """The mined goalposts of an embedded world or of a goalposts file.

    Any set of questions (`problems.load`) is taken too; its questions are then unproven goalposts.
    """
    if is_embedded(name):
        return read_goalposts(split_file(name, GOALPOSTS))
    if Path(name).suffix in (".jsonl", ".gz") and "=" not in name:
        return read_goalposts(Path(name))
    found = load_set(name, Source())
    return GoalpostFile(
        tuple(Goalpost(q) for q in found.loaded.questions), {"unproven": found.described}
    )
