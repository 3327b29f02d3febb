"""Who completes prompts for an evaluation: the protocol, and an engine behind it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gasp_rl.engines.protocol import Engine, SamplingParams
from gasp_rl.errors import ConfigError, EngineError, MissingExtraError
from gasp_rl.evals.prompts import Message, Prompt
from gasp_rl.types import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How an evaluation samples. Temperature 0 is greedy (and then one sample says it all)."""

    temperature: float = 0.6
    top_p: float = 1.0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """One sample that is wanted: a prompt and the seed of its draw."""

    prompt: Prompt
    seed: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One completion. finish: `stop` or `length`; tokens where known."""

    text: str
    finish: str
    tokens: int | None = None


class Sampler(Protocol):
    """Completes prompts. Replies come in any order, each with the index of its ask."""

    name: str

    def sample(self, asks: Sequence[Ask], sampling: Sampling) -> Iterator[tuple[int, Reply]]: ...


class EngineSampler:
    """Samples from an engine of this package, in batches bounded by a token budget.

    encode_chat: turns messages into tokens (the tokenizer's chat template); none means that the
                 policy has no template and takes plain text only.
    token_budget: largest sum of prompt and completion tokens decoded at once.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        encode_chat: Callable[[Sequence[Message]], Tokens] | None = None,
        token_budget: int = 1 << 17,
    ) -> None:
        self.engine, self.name = engine, name
        self.encode_chat, self.token_budget = encode_chat, token_budget

    def sample(self, asks: Sequence[Ask], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Equal prompts share their computation; the first seed of a batch decides its draws."""
        groups: dict[Prompt, list[int]] = {}
        for index, ask in enumerate(asks):
            groups.setdefault(ask.prompt, []).append(index)
        for batch in self._batches(groups, sampling.max_tokens):
            n = max(len(groups[prompt]) for prompt, _ in batch)
            params = SamplingParams(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=asks[groups[batch[0][0]][0]].seed,
            )
            completions_PG = self.engine.sample([tokens for _, tokens in batch], n, params)
            for (prompt, _), completions_G in zip(batch, completions_PG, strict=True):
                for index, completion in zip(groups[prompt], completions_G, strict=False):
                    text = self.engine.tokenizer.decode(completion.tokens_T)
                    finish = completion.finish.value
                    yield index, Reply(cut(text, sampling.stop), finish, len(completion.tokens_T))

    def _batches(
        self, groups: dict[Prompt, list[int]], max_tokens: int
    ) -> Iterator[list[tuple[Prompt, Tokens]]]:
        """Prompts with equally many samples together, as many as the budget holds."""
        batch: list[tuple[Prompt, Tokens]] = []
        cost, count = 0, 0
        for prompt in sorted(groups, key=lambda p: len(groups[p]), reverse=True):
            tokens = self.encode(prompt)
            more = (len(tokens) + max_tokens) * len(groups[prompt])
            if batch and (cost + more > self.token_budget or len(groups[prompt]) != count):
                yield batch
                batch, cost = [], 0
            batch.append((prompt, tokens))
            cost, count = cost + more, len(groups[prompt])
        if batch:
            yield batch

    def encode(self, prompt: Prompt) -> Tokens:
        """Tokens of a prompt. Raises `ConfigError` for messages without a chat template."""
        if isinstance(prompt, str):
            return self.engine.tokenizer.encode(prompt)
        if self.encode_chat is None:
            raise ConfigError(f"{self.name} has no chat template: ask with --style completion")
        return self.encode_chat(prompt)


def chat_encoder(folder: Path) -> Callable[[Sequence[Message]], Tokens] | None:
    """The chat template of a Hugging Face model folder, or None where it has none."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtraError("train", "reading a chat template") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise EngineError(f"{folder}: no tokenizer can be read here: {error}") from None
    if not tokenizer.chat_template:
        return None

    def encode(messages: Sequence[Message]) -> Tokens:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    return encode


def cut(text: str, stop: Sequence[str]) -> str:
    """Text up to the first of the stop strings."""
    ends = [end for mark in stop if (end := text.find(mark)) >= 0]
    return text[: min(ends)] if ends else text
