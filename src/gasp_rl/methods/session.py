"""Everything that a run needs, made from its configuration and taken down together."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gasp_rl.config import Config
from gasp_rl.curriculum import alignment
from gasp_rl.curriculum.alignment import Measure
from gasp_rl.curriculum.azr_buffers import IDENTITY
from gasp_rl.curriculum.azr_proposals import Proposer
from gasp_rl.curriculum.lineage import Buffers
from gasp_rl.curriculum.novelty import Embedder, HashEmbedder, NoveltyIndex
from gasp_rl.curriculum.proposals import Teacher
from gasp_rl.curriculum.shaping import Shaping
from gasp_rl.engines.factory import build_engine
from gasp_rl.engines.protocol import Engine
from gasp_rl.engines.two import TwoPolicies
from gasp_rl.errors import ConfigError, DataError
from gasp_rl.evals.alignment_judge import AlignmentJudge
from gasp_rl.evals.endpoint import EndpointSampler
from gasp_rl.methods.azr import Azr
from gasp_rl.methods.fresh import FreshSamples
from gasp_rl.methods.gasp import Gasp
from gasp_rl.methods.held_out import load_held_out
from gasp_rl.methods.journal import Journal
from gasp_rl.methods.rlvr import Rlvr
from gasp_rl.miniature import assets
from gasp_rl.miniature.world import describes
from gasp_rl.rng import rng
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.roles.student import Student
from gasp_rl.sandbox.cluster import open_sandbox
from gasp_rl.stopwatch import Stopwatch
from gasp_rl.store.records import StepRecord
from gasp_rl.tasks import Form, Question, TrainingQuestion
from gasp_rl.tasks.judge import Judge, RunsJobs, TimedJobs


class Method(Protocol):
    """An algorithm: one global iteration at a time."""

    def step(self, step: int, journal: Journal) -> StepRecord: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The parts of one run. `buffers` is what the method remembers between steps; `guides` is what
    lemmas are asked for: the goalposts, except in the control without guidance. `validation` and
    `test` are never trained on.
    """

    config: Config
    engine: Engine
    student: Student
    method: Method
    buffers: Buffers
    goalposts: Sequence[Question]
    guides: Sequence[Question]
    validation: Sequence[Question]
    test: Sequence[Question]


@contextmanager
def open_session(config: Config, engine: Engine | None = None) -> Iterator[Session]:
    """Load the data, start the sandbox and the engine; close both at the end.

    engine: takes the place of the one that `config.engine` names.
    """
    goalposts = load_goalposts(config)
    guides = load_guides(config, goalposts)
    pool = _training_pool(config, goalposts)
    held_out = load_held_out(config, _training_sets(config, goalposts, guides, pool))
    folder = assets.model_folder(config.model.path)
    prompts = load_prompts(folder)
    for question in (*held_out.validation, *held_out.test):
        prompts.question(question)  # refused now rather than after hours, at the first trial
    watch = Stopwatch()
    with open_sandbox(config.sandbox) as opened:
        sandbox = TimedJobs(opened, watch)
        engine = engine or _engines(config, folder)
        try:
            student = Student(engine, prompts, Judge(sandbox), watch)
            buffers = Buffers(NoveltyIndex(build_embedder(config, engine)))
            method: Method
            if config.method.startswith("gasp"):
                method = _gasp(config, guides, student, sandbox, buffers, pool)
            elif config.method == "azr":
                method, guides = _azr(config, student, sandbox, buffers)
            else:
                method = Rlvr(config, pool, student)
            yield Session(
                config=config,
                engine=engine,
                student=student,
                method=method,
                buffers=buffers,
                goalposts=goalposts,
                guides=guides,
                validation=held_out.validation,
                test=held_out.test,
            )
        finally:
            engine.close()


def _gasp(
    config: Config,
    guides: Sequence[Question],
    student: Student,
    sandbox: RunsJobs,
    buffers: Buffers,
    pool: Sequence[TrainingQuestion],
) -> Gasp:
    """The method with its teacher, and with what settings add to the paper's."""
    engine = student.engine
    checked = config.teacher.check_message == "controlled-english"
    describer = describes if checked else None
    other = engine.teacher if isinstance(engine, TwoPolicies) else None
    teacher = Teacher(student, sandbox, buffers, config, describer, other)
    fresh = FreshSamples(config, student, buffers, guides)
    measure = build_measure(config, student, buffers, fresh.solutions)
    shaping = Shaping(config, buffers, sandbox, {q.id: q for q in guides}, measure)
    real = Rlvr(config, pool, student) if pool else None
    return Gasp(config, fresh, student, teacher, shaping, real)


def _azr(
    config: Config, student: Student, sandbox: RunsJobs, buffers: Buffers
) -> tuple[Azr, list[Question]]:
    """The method and what stands at the root of its tree: the identity program."""
    identity = student.prompts.identity
    if identity is None:
        raise DataError(f"prompts {student.prompts.version!r} have no section [identity]")
    checked = config.teacher.check_message == "controlled-english"
    proposer = Proposer(student, sandbox, buffers, config, describes if checked else None)
    root = Question(
        id=IDENTITY,
        source="seed",
        form=Form.FUNCTION,
        statement=identity.message,
        shown=identity.shown,
        hidden=identity.hidden,
    )
    return Azr(config, identity, student, proposer), [root]


def load_goalposts(config: Config) -> list[Question]:
    """The run's goalposts in their file's order, at most `data.limit`."""
    found = [g.question for g in assets.goalposts(config.data.goalposts).goalposts]
    if not found:
        raise DataError(f"{config.data.goalposts}: no goalposts in it")
    return found[: config.data.limit]


def load_guides(config: Config, goalposts: Sequence[Question]) -> list[Question]:
    """The goalposts, or in controls without guidance as many random questions of another set."""
    guide = config.teacher.guide
    if guide == "goalposts":
        return list(goalposts)
    others = _real_questions(config.data.pool if guide == "pool" else guide, without=goalposts)
    order = rng(config.seed, 0, "guides").permutation(len(others))
    return [others[int(i)] for i in order[: len(goalposts)]]


def _training_pool(config: Config, goalposts: Sequence[Question]) -> list[TrainingQuestion]:
    """The real questions that the method trains on; none for methods that take none."""
    match config.method:
        case "rlvr":
            return load_pool(config)
        case "gasp+rlvr":
            return load_pool(config, without=goalposts)
        case _:
            return []


def _training_sets(
    config: Config,
    goalposts: Sequence[Question],
    guides: Sequence[Question],
    pool: Sequence[TrainingQuestion],
) -> dict[str, Sequence[Question]]:
    """What no question that measures may be among, by the setting that names it."""
    sets: dict[str, Sequence[Question]] = {"data.goalposts": goalposts}
    if config.method.startswith("gasp") and config.teacher.guide != "goalposts":
        sets["teacher.guide"] = guides
    if pool:
        sets["data.pool"] = [row.question for row in pool]
    return sets


def load_pool(config: Config, without: Sequence[Question] = ()) -> list[TrainingQuestion]:
    """Real questions to train on, for the methods that do.

    without: goalposts to leave out. In the paper H is a subset of D; GASP with real data must not
    train on what it is measured by, so here its D is without H.
    """
    return [TrainingQuestion(q) for q in _real_questions(config.data.pool, without)]


def _real_questions(name: str, without: Sequence[Question]) -> list[Question]:
    """The questions of a set, of an embedded world those to train on, but for `without`."""
    kept_out = {q.key for q in without}
    everything = assets.questions(name, "train")
    found = [q for q in everything if q.key not in kept_out]
    if everything and not found:
        raise DataError(
            f"data.pool={name}: all of its {len(everything)} questions are goalposts, which are not "
            "trained on; name others"
        )
    if not found:
        raise DataError(f"{name}: no questions in it to train on")
    return found


def _engines(config: Config, folder: Path) -> Engine:
    """The policy's engine, with the teacher's beside it where that has weights of its own."""
    engine = build_engine(config, folder)
    if config.teacher.model is None:
        return engine
    return TwoPolicies(engine, build_engine(config, assets.model_folder(config.teacher.model)))


def build_measure(
    config: Config, student: Student, buffers: Buffers, solutions: Mapping[str, str]
) -> Measure | None:
    """The measure that `alignment.measure` names."""
    match config.alignment.measure:
        case "none":
            return None
        case "words":
            return alignment.words
        case "operators":
            return alignment.operators
        case "embedding":
            return alignment.Similarity(buffers.index.embedder)
        case "likelihood":
            return alignment.LikelihoodGain(
                student.engine, student.prompts, solutions, config.alignment.reference
            )
        case "judge":
            settings = config.alignment
            return AlignmentJudge(EndpointSampler(settings.judge_url, settings.judge_model))


def build_embedder(config: Config, engine: Engine) -> Embedder:
    """The embedder that `novelty.embedder` names."""
    name = config.novelty.embedder
    if name == "hash":
        return HashEmbedder()
    if name == "policy":
        from gasp_rl.engines.embedders import HiddenStates, PolicyEmbedder

        engine = engine.student if isinstance(engine, TwoPolicies) else engine
        if not isinstance(engine, HiddenStates):
            raise ConfigError(
                "novelty.embedder=policy: this engine does not show hidden states; use hash or "
                "encoder:PATH"
            )
        return PolicyEmbedder(engine)
    if name.startswith("encoder:"):
        from gasp_rl.engines.embedders import EncoderEmbedder

        return EncoderEmbedder(name.removeprefix("encoder:"))
    raise ConfigError(f"novelty.embedder={name}: use hash, policy or encoder:PATH")
