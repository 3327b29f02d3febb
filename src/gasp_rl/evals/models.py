"""From a model's name to something that samples: a folder, a URL, or an embedded world's base."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gasp_rl.config import EngineConfig
from gasp_rl.errors import MissingExtraError
from gasp_rl.evals.judge import Grading, judge
from gasp_rl.evals.prompts import OwnPrompter, Prompter
from gasp_rl.evals.sampler import Ask, EngineSampler, Reply, Sampler, Sampling, chat_encoder
from gasp_rl.problems.embedded import find_model
from gasp_rl.rng import seed_for
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks.question import Question

_ENGINE = EngineConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How models are opened. The first group is for endpoints, the second for folders."""

    served_name: str = "default"
    concurrency: int = 16
    retries: int = 6
    engine: EngineConfig = _ENGINE
    token_budget: int = 1 << 17


_OPTIONS, _GRADING = ModelOptions(), Grading()


@contextmanager
def open_sampler(model: str, options: ModelOptions) -> Iterator[Sampler]:
    """A sampler for an http(s) URL up to /v1, or for a Hugging Face model folder."""
    if model.startswith(("http://", "https://")):
        from gasp_rl.evals.endpoint import EndpointSampler

        endpoint = EndpointSampler(
            model,
            options.served_name,
            concurrency=options.concurrency,
            retries=options.retries,
        )
        try:
            yield endpoint
        finally:
            endpoint.close()
        return
    folder = find_model(model)
    try:
        from gasp_rl.engines.local import LocalEngine
    except ImportError:
        raise MissingExtraError("train", "a model folder") from None
    engine = LocalEngine(folder, options.engine)
    try:
        encoder = chat_encoder(folder) if (folder / "tokenizer_config.json").is_file() else None
        yield EngineSampler(engine, str(folder), encoder, options.token_budget)
    finally:
        engine.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy:
    """A policy to mine with. The model is opened for each draw and closed after it, so that many
    checkpoints can be mined with on one machine; a large `first` draw means few openings."""

    name: str
    model: str
    prompter: Prompter | OwnPrompter
    sampling: Sampling
    sandbox: Sandbox
    options: ModelOptions = _OPTIONS
    grading: Grading = _GRADING

    def attempt(self, questions: Sequence[Question], n: int, seed: int) -> list[list[bool]]:
        """`n` judged samples of each question."""
        places = [index for index in range(len(questions)) for _ in range(n)]
        asks = [
            Ask(self.prompter.prompt(question), seed_for(seed, number, question.key))
            for question in questions
            for number in range(n)
        ]
        with open_sampler(self.model, self.options) as sampler:
            answers = [
                (questions[places[at]], self.prompter.answer(questions[places[at]], reply.text))
                for at, reply in _in_order(sampler.sample(asks, self.sampling))
            ]
        solved = [judgement.solved for judgement in judge(self.sandbox, answers, self.grading)]
        return [solved[i * n : (i + 1) * n] for i in range(len(questions))]


def _in_order(replies: Iterator[tuple[int, Reply]]) -> list[tuple[int, Reply]]:
    return sorted(replies, key=lambda pair: pair[0])
