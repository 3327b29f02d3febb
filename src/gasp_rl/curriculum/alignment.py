"""Does a proposal help its goalpost? Cheap proxies, each a score from 0 to 1.

GASP's paper (arXiv 2603.15957) leaves open that nothing checks the direction of a lemma or a lift.
A measure takes (goalpost, proposed task) pairs; None means that it cannot tell.
"""

import ast
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gasp_rl.curriculum.novelty import Embedder
from gasp_rl.engines.protocol import Engine
from gasp_rl.roles.prompts import PromptBook
from gasp_rl.tasks import Induction, Question

Pair = tuple[Question, Induction]
Measure = Callable[[Sequence[Pair]], list[float | None]]

_OPERATORS = (
    *(ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.Slice),
    *(ast.comprehension, ast.IfExp, ast.For, ast.While),
)
_WORD = re.compile(r"\w+|\?")


def words(pairs: Sequence[Pair]) -> list[float | None]:
    """Share of the message's words that the goalpost's statement has too, counted with repeats.

    Example: of `Take x; sort; add 3` four words in five are in `Take x; add 4; reverse; sort`.
    """
    return [
        _share(Counter(_WORD.findall(task.message)), Counter(_WORD.findall(goalpost.statement)))
        for goalpost, task in pairs
    ]


def operators(pairs: Sequence[Pair]) -> list[float | None]:
    """Share of the program's operators that the goalpost's reference solution has too.

    It knows the solution, so it is no method to report but the ceiling of one; None where the data
    set ships no reference.
    """
    return [
        None
        if goalpost.reference is None
        else _share(operators_of(task.program), operators_of(goalpost.reference))
        for goalpost, task in pairs
    ]


def operators_of(program: str) -> Counter[str]:
    """Operators, calls, slices and comprehensions of a program with their counts."""
    try:
        nodes = list(ast.walk(ast.parse(program)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Counter()
    found: Counter[str] = Counter()
    for node in nodes:
        if isinstance(node, _OPERATORS):
            found[type(node).__name__] += 1
        elif isinstance(node, ast.Call):
            callee = node.func
            found[callee.attr if isinstance(callee, ast.Attribute) else ast.dump(callee)] += 1
    return found


@dataclass(frozen=True, slots=True)
class Similarity:
    """Cosine of message and statement under an embedder; a negative one counts as 0."""

    embedder: Embedder

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        statements = self.embedder.embed([goalpost.statement for goalpost, _ in pairs])
        messages = self.embedder.embed([task.message for _, task in pairs])
        return [max(0.0, float(a @ b)) for a, b in zip(statements, messages, strict=True)]


@dataclass(frozen=True, slots=True)
class LikelihoodGain:
    """How much likelier the policy finds a right solution of the goalpost after seeing the task.

    The score is the logistic function of the gain in nats per token when the task, solved, stands
    before the goalpost's statement in the same prompt. solutions: those that the policy found itself,
    by goalpost. reference: where it found none, take the reference solution (an oracle). Of a goalpost
    without a solution nothing can be said.
    """

    engine: Engine
    prompts: PromptBook
    solutions: Mapping[str, str]
    reference: bool = False

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        found = [(g, t, self._solution(g)) for g, t in pairs]
        known = [(g, t, solution) for g, t, solution in found if solution is not None]
        if not known:
            return [None] * len(pairs)
        tokenizer = self.engine.tokenizer
        solutions = [tokenizer.encode(solution) for _, _, solution in known]
        questions = [self.prompts.question(g) for g, _, _ in known]
        alone = [tokenizer.encode_prompt(question) for question in questions]
        shown = [
            tokenizer.encode_prompt(f"{self.prompts.student(t)}{_answer(t.program)}\n{question}")
            for (_, t, _), question in zip(known, questions, strict=True)
        ]
        before = self.engine.logprobs(list(zip(alone, solutions, strict=True)))
        after = self.engine.logprobs(list(zip(shown, solutions, strict=True)))
        gains = [float(np.mean(b) - np.mean(a)) for a, b in zip(before, after, strict=True)]
        scores = iter(1 / (1 + math.exp(-max(-50.0, gain))) for gain in gains)
        return [None if solution is None else next(scores) for _, _, solution in found]

    def _solution(self, goalpost: Question) -> str | None:
        own = self.solutions.get(goalpost.id)
        if own is not None or not self.reference or goalpost.reference is None:
            return own
        return _answer(goalpost.reference)


def _answer(program: str) -> str:
    """A program as the student answers with it."""
    return f"```python\n{program}\n```"


def _share(part: Counter[str], whole: Counter[str]) -> float:
    total = sum(part.values())
    return sum((part & whole).values()) / total if total else 0.0
