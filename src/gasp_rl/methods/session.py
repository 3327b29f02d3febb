"""Everything that a run needs, made from its configuration and taken down together."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from gasp_rl.config import Config
from gasp_rl.curriculum.lineage import Buffers
from gasp_rl.curriculum.novelty import Embedder, HashEmbedder, NoveltyIndex
from gasp_rl.curriculum.proposals import Teacher
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.protocol import Engine
from gasp_rl.errors import ConfigError, DataError
from gasp_rl.methods.gasp import Gasp
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.rlvr import Rlvr
from gasp_rl.miniature import assets
from gasp_rl.miniature.world import describes
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.roles.student import Student
from gasp_rl.sandbox import Sandbox
from gasp_rl.store.records import StepRecord
from gasp_rl.tasks import Question, TrainingQuestion
from gasp_rl.tasks.judge import Judge


class Method(Protocol):
    """An algorithm: one global iteration at a time."""

    def step(self, step: int, journal: Journal) -> StepRecord: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The parts of one run. `buffers` is what the method remembers between steps."""

    config: Config
    engine: Engine
    student: Student
    method: Method
    buffers: Buffers
    goalposts: Sequence[Question]
    validation: Sequence[Question]


@contextmanager
def open_session(config: Config, engine: Engine | None = None) -> Iterator[Session]:
    """Load the data, start the sandbox and the engine; close both at the end.

    engine: takes the place of the one that `config.engine` names.
    """
    goalposts = load_goalposts(config)
    validation = load_validation(config)
    folder = assets.model_folder(config.model.path)
    prompts = load_prompts(folder)
    with Sandbox(config.sandbox) as sandbox:
        engine = engine or build_engine(config, folder)
        try:
            student = Student(engine, prompts, Judge(sandbox))
            buffers = Buffers(NoveltyIndex(build_embedder(config, engine)))
            method: Method
            if config.method == "gasp":
                checked = config.teacher.check_message == "controlled-english"
                describer = describes if checked else None
                teacher = Teacher(student, sandbox, buffers, config, describer)
                method = Gasp(config, goalposts, student, teacher)
            else:
                method = Rlvr(config, load_pool(config), student)
            yield Session(
                config=config,
                engine=engine,
                student=student,
                method=method,
                buffers=buffers,
                goalposts=goalposts,
                validation=validation,
            )
        finally:
            engine.close()


def load_goalposts(config: Config) -> list[Question]:
    """The run's goalposts in their file's order, at most `data.limit`."""
    found = [g.question for g in assets.goalposts(config.data.goalposts).goalposts]
    if not found:
        raise DataError(f"{config.data.goalposts}: no goalposts in it")
    return found[: config.data.limit]


def load_validation(config: Config) -> list[Question]:
    """Validation questions of an embedded world; other pools have none."""
    pool = config.data.pool
    return assets.questions(pool, "validation") if assets.is_embedded(pool) else []


def load_pool(config: Config) -> list[TrainingQuestion]:
    """Real questions to train on, for the methods that do."""
    pool = [TrainingQuestion(q) for q in assets.questions(config.data.pool, "train")]
    if not pool:
        raise DataError(f"{config.data.pool}: no questions in it")
    return pool


def build_embedder(config: Config, engine: Engine) -> Embedder:
    """The embedder that `novelty.embedder` names."""
    name = config.novelty.embedder
    if name == "hash":
        return HashEmbedder()
    if name == "policy":
        from gasp_rl.engines.embedders import PolicyEmbedder

        return PolicyEmbedder(engine)
    if name.startswith("encoder:"):
        from gasp_rl.engines.embedders import EncoderEmbedder

        return EncoderEmbedder(name.removeprefix("encoder:"))
    raise ConfigError(f"novelty.embedder={name}: use hash, policy or encoder:PATH")
