"""A real engine behind the sampler: batches within the budget, every ask answered, chat templates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gasp_rl.config import EngineConfig, SandboxConfig
from gasp_rl.errors import ConfigError, DataError
from gasp_rl.evals.models import ModelOptions, ModelPolicy, open_sampler
from gasp_rl.evals.prompts import Message, Style, load_prompter
from gasp_rl.evals.sampler import Ask, EngineSampler, Sampling, chat_encoder
from gasp_rl.sandbox import Sandbox
from gasp_rl.tasks.question import Form, Question
from gasp_rl.types import Example, Tokens

pytest.importorskip("torch", reason="needs the train extra")

from gasp_rl.engines.local import LocalEngine
from gasp_rl.engines.protocol import Completion, SamplingParams
from gasp_rl.engines.random_model import write_random_model

SHORT = Sampling(temperature=1.0, max_tokens=6)


class Watched(LocalEngine):
    """The local engine, noting how many tokens each call may take."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, EngineConfig(threads=1))
        self.calls: list[tuple[int, int]] = []

    def sample(
        self, prompts_P: Sequence[Tokens], n: int, params: SamplingParams
    ) -> list[list[Completion]]:
        tokens = n * sum(len(prompt) + params.max_tokens for prompt in prompts_P)
        self.calls.append((len(prompts_P), tokens))
        return super().sample(prompts_P, n, params)


@pytest.fixture(scope="module")
def engine(chat_model: Path) -> Iterator[Watched]:
    opened = Watched(chat_model)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


def test_every_ask_is_answered_once_within_the_token_budget(engine: Watched) -> None:
    prompts = ["one", "two words", "three words here", "x" * 40]
    asks = [Ask(prompts[i % 4], i) for i in range(12)] + [Ask("one", 99), Ask("two words", 98)]
    sampler = EngineSampler(engine, "tiny", token_budget=100)
    engine.calls.clear()
    replies = dict(sampler.sample(asks, SHORT))
    assert sorted(replies) == list(range(14))
    assert all(0 < (reply.tokens or 0) <= 6 for reply in replies.values())
    assert all(reply.finish == "length" for reply in replies.values() if reply.tokens == 6)
    assert len(engine.calls) > 1
    assert all(tokens <= 100 or count == 1 for count, tokens in engine.calls)
    texts = [replies[i].text for i in range(14) if asks[i].prompt == "one"]
    assert len(set(texts)) > 1


def test_seeds_decide_the_draws_and_greedy_needs_none(engine: Watched) -> None:
    sampler = EngineSampler(engine, "tiny")

    def texts(seed: int, sampling: Sampling) -> list[str]:
        asks = [Ask("one", seed), Ask("two", seed + 1)]
        return [reply.text for _, reply in sorted(sampler.sample(asks, sampling))]

    assert texts(1, SHORT) == texts(1, SHORT)
    assert texts(1, SHORT) != texts(2, SHORT)
    greedy = Sampling(temperature=0.0, max_tokens=6)
    assert texts(1, greedy) == texts(2, greedy)


def test_chat_template_of_the_folder_is_used(
    engine: Watched, chat_model: Path, tmp_path: Path
) -> None:
    encode = chat_encoder(chat_model)
    assert encode is not None
    messages = (Message("system", "Be brief."), Message("user", "Hello {x} %"))
    wanted = "<system>Be brief.\n<user>Hello {x} %\n<assistant>"
    assert engine.tokenizer.decode(encode(messages)) == wanted
    with pytest.raises(ConfigError, match="no chat template: ask with --style completion"):
        list(EngineSampler(engine, "tiny").sample([Ask(messages, 0)], SHORT))
    write_random_model(tmp_path)
    with open_sampler(str(tmp_path), ModelOptions()) as plain:
        assert len(list(plain.sample([Ask("one", 0)], SHORT))) == 1
        with pytest.raises(ConfigError, match="no chat template"):
            list(plain.sample([Ask(messages, 0)], SHORT))


def test_a_model_without_a_folder_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match="no model folder here"),
        open_sampler(str(tmp_path), ModelOptions()),
    ):
        pass


def test_a_policy_to_mine_with_opens_samples_and_judges(chat_model: Path, sandbox: Sandbox) -> None:
    questions = [
        Question(
            id=f"q{i}",
            source="mine",
            form=Form.OUTPUT,
            statement="",
            starter_code="def f(x):\n    return x",
            hidden=(Example(str(i), str(i)),),
        )
        for i in range(3)
    ]
    policy = ModelPolicy(
        name="tiny",
        model=str(chat_model),
        prompter=load_prompter(Style.CHAT),
        sampling=SHORT,
        sandbox=sandbox,
        options=ModelOptions(engine=EngineConfig(threads=1), token_budget=2000),
    )
    assert policy.attempt(questions, 4, 0) == [[False] * 4] * 3
