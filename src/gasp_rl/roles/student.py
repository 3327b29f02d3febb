"""Student attempts: sample completions for prompts and have them judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gasp_rl.engines.protocol import Completion, Engine, SamplingParams
from gasp_rl.roles.prompts import PromptBook
from gasp_rl.stopwatch import Stopwatch
from gasp_rl.tasks import Question, Task
from gasp_rl.tasks.judge import Judge, Judgement
from gasp_rl.types import Outcome, PassRate, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One completion of a prompt with what the judge said of it."""

    prompt: str
    prompt_tokens: Tokens
    completion: Completion
    text: str
    judgement: Judgement

    @property
    def right(self) -> bool:
        return self.judgement.outcome is Outcome.RIGHT


@dataclass(frozen=True, slots=True)
class Student:
    """The policy in the role of the student. `watch` times what the whole run spends on it."""

    engine: Engine
    prompts: PromptBook
    judge: Judge
    watch: Stopwatch = field(default_factory=Stopwatch)

    def attempt(
        self, tasks: Sequence[Task | Question], n: int, params: SamplingParams
    ) -> list[list[Attempt]]:
        """`n` judged attempts at each task or real problem, in order."""
        prompts = [
            self.prompts.question(task)
            if isinstance(task, Question)
            else self.prompts.student(task)
            for task in tasks
        ]
        with self.watch.part("sampling"):
            sampled = sample_texts(self.engine, prompts, n, params)
        flat = [
            (task, text) for task, group in zip(tasks, sampled, strict=True) for _, text in group
        ]
        judgements = iter(self.judge.judge(flat))
        tokens = [self.engine.tokenizer.encode_prompt(prompt) for prompt in prompts]
        return [
            [
                Attempt(
                    prompt=prompt,
                    prompt_tokens=ids,
                    completion=completion,
                    text=text,
                    judgement=next(judgements),
                )
                for completion, text in group
            ]
            for prompt, ids, group in zip(prompts, tokens, sampled, strict=True)
        ]


def sample_texts(
    engine: Engine, prompts: Sequence[str], n: int, params: SamplingParams
) -> list[list[tuple[Completion, str]]]:
    """`n` completions of each prompt with their decoded text."""
    if not prompts:
        return []
    tokens = [engine.tokenizer.encode_prompt(prompt) for prompt in prompts]
    return [
        [(completion, engine.tokenizer.decode(completion.tokens_T)) for completion in group]
        for group in engine.sample(tokens, n, params)
    ]


def pass_rate(attempts: Sequence[Attempt]) -> PassRate:
    """How many of the attempts were right."""
    return PassRate(sum(attempt.right for attempt in attempts), len(attempts))
