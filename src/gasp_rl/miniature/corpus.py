"""Documents for the warm start of the miniature: a base model that can play each part a little.

Solver documents teach what the real questions of depth 1 to 3 teach; teacher documents show what
an easier or a harder variant looks like. No program is deeper than the world's `corpus_depths`,
though lemma prompts show statements of any depth: what lies beyond must be learnt by self-play.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import Template
from typing import Any, ClassVar

import numpy as np

from gasp_rl.miniature.world import (
    FAMILY,
    MiniQuestion,
    Pipeline,
    State,
    Step,
    World,
    draw_inputs,
    draw_open_constants,
    draw_pipeline,
    draw_question,
    program,
    run,
    statement,
)

DIGIT_WEIGHT = 0.1
"""Loss weight of random digits in teacher documents: they are most of its entropy. Each line's
first one weighs 1, since there the model decides whether another input follows."""


@dataclass(frozen=True, slots=True)
class Document:
    """A prompt and the completion to learn, as (text, loss weight) pieces."""

    kind: str
    prompt: str
    pieces: tuple[tuple[str, float], ...]

    @property
    def completion(self) -> str:
        return "".join(text for text, _ in self.pieces)


class Corpus:
    """Draws documents of a world with the miniature's prompts.

    prompts: the parsed `prompts.toml`, so that training and self-play cannot drift apart.
    """

    SHARES: ClassVar[dict[str, float]] = {
        "solver": 0.36,
        "lemma": 0.14,
        "lift": 0.10,
        "propose": 0.04,
        "deduction": 0.18,
        "abduction": 0.18,
    }

    def __init__(self, world: World, prompts: dict[str, Any], random: np.random.Generator) -> None:
        self.world = world
        self.prompts = prompts
        self.random = random
        self.weights = world.corpus_weights()

    def documents(self, count: int) -> Iterator[Document]:
        """`count` documents; kinds are drawn by their share."""
        makers: dict[str, Callable[[], Document]] = {
            "solver": self.solver,
            "lemma": self.lemma,
            "lift": self.lift,
            "propose": self.propose,
            "deduction": self.deduction,
            "abduction": self.abduction,
        }
        kinds = self.random.choice(len(makers), p=list(self.SHARES.values()), size=count)
        names = list(makers)
        for kind in kinds:
            yield makers[names[kind]]()

    def solver(self) -> Document:
        question = self._question(self._depth())
        prompt = self._student(
            "induction", examples=_examples(question), message=question.statement
        )
        return Document("solver", prompt, ((_code(question.pipeline), 1.0),))

    def lemma(self) -> Document:
        """A goalpost-like statement of any depth -> a task from a subset of its steps.

        Along the f axis a constant that was open stays open; along the I/O axis the message
        gives it.
        """
        question = self._question(int(self.random.integers(2, 10)))
        largest = min(question.depth, max(self.world.corpus_depths))
        axis = "io" if self.random.random() < 0.5 else "f"
        if axis == "f":
            largest = min(largest, question.depth - 1)
        pipeline = self._subset(question.pipeline, int(self.random.integers(1, largest + 1)))
        if axis == "io":
            pipeline = tuple(Step(s.family, s.constant) for s in pipeline)
        prompt = self._teacher(
            f"lemma_{axis}", examples=_examples(question), message=question.statement
        )
        return self._proposal("lemma", prompt, pipeline)

    def lift(self) -> Document:
        """A task -> the same with one more step (f axis) or one more open constant (I/O axis)."""
        depth = self._depth()
        axis = "io" if self.random.random() < 0.5 else "f"
        if axis == "f":
            depth = min(depth, max(self.world.corpus_depths) - 1)
        pipeline = draw_pipeline(depth, self.weights, self._hidden(), self.random)
        harder = self._open_one(pipeline) if axis == "io" else self._one_more(pipeline)
        prompt = self._teacher(
            f"lift_{axis}", message=statement(pipeline), program=program(pipeline)
        )
        return self._proposal("lift", prompt, harder)

    def propose(self) -> Document:
        """Unguided play: up to three earlier messages -> a new task of the same range."""
        references = [
            statement(draw_pipeline(self._depth(), self.weights, self._hidden(), self.random))
            for _ in range(int(self.random.integers(0, 4)))
        ]
        prompt = self._teacher("propose", references="\n".join(references))
        pipeline = draw_pipeline(self._depth(), self.weights, self._hidden(), self.random)
        return self._proposal("propose", prompt, pipeline)

    def deduction(self) -> Document:
        """Program and input -> the states after each step, then the output."""
        question = self._question(self._depth(), hidden=0)
        states = _trace(question)
        prompt = self._student(
            "deduction", program=program(question.pipeline), input=literal(states[0])
        )
        return Document("deduction", prompt, ((_worked(states[1:-1], "output", states[-1]), 1.0),))

    def abduction(self) -> Document:
        """Program and output -> the states before each step, last one first, then the input."""
        question = self._question(self._depth(), hidden=0)
        states = _trace(question)
        prompt = self._student(
            "abduction", program=program(question.pipeline), output=literal(states[-1])
        )
        back = states[-2:0:-1]
        return Document("abduction", prompt, ((_worked(back, "input", states[0]), 1.0),))

    def _depth(self) -> int:
        depths = self.world.corpus_depths
        return depths[int(self.random.random() * len(depths))]

    def _hidden(self) -> int:
        return draw_open_constants(self.random)

    def _question(self, depth: int, hidden: int = 2) -> MiniQuestion:
        return draw_question(depth, self.weights, self.random, max_hidden=hidden)

    def _subset(self, pipeline: Pipeline, size: int) -> Pipeline:
        """`size` steps in their order: a run of neighbours or any steps, half of the time each."""
        if self.random.random() < 0.5:
            start = int(self.random.integers(0, len(pipeline) - size + 1))
            return pipeline[start : start + size]
        chosen = sorted(self.random.permutation(len(pipeline))[:size])
        return tuple(pipeline[i] for i in chosen)

    def _one_more(self, pipeline: Pipeline) -> Pipeline:
        new = draw_pipeline(1, self.weights, int(self.random.random() < 0.5), self.random)
        at = int(self.random.integers(0, len(pipeline) + 1))
        return pipeline[:at] + new + pipeline[at:]

    def _open_one(self, pipeline: Pipeline) -> Pipeline:
        given = [i for i, s in enumerate(pipeline) if FAMILY[s.family].constants and not s.hidden]
        if not given:
            return pipeline
        i = int(self.random.choice(given))
        opened = Step(pipeline[i].family, pipeline[i].constant, hidden=True)
        return (*pipeline[:i], opened, *pipeline[i + 1 :])

    def _proposal(self, kind: str, prompt: str, pipeline: Pipeline) -> Document:
        head = f"```message\n{statement(pipeline)}\n```\n{_code(pipeline)}\n```inputs\n"
        lines = [literal(x) for x in draw_inputs(5, self.random)]
        inputs = [
            piece
            for line in lines
            for piece in ((line[:2], 1.0), (line[2:], DIGIT_WEIGHT), ("\n", 1.0))
        ]
        return Document(kind, prompt, ((head, 1.0), *inputs, ("```", 1.0)))

    def _student(self, name: str, **fields: str) -> str:
        return Template(self.prompts["student"][name]).substitute(fields)

    def _teacher(self, name: str, **fields: str) -> str:
        return Template(self.prompts["teacher"][name]).substitute(fields)


def literal(state: State) -> str:
    """A state as Python writes it: `[3, 1, 4]`."""
    return str(list(state))


def _examples(question: MiniQuestion) -> str:
    pairs = question.pairs()[: question.shown]
    return "\n".join(f"{literal(x)} -> {literal(y)}" for x, y in pairs)


def _code(pipeline: Pipeline) -> str:
    return f"```python\n{program(pipeline)}\n```"


def _trace(question: MiniQuestion) -> list[State]:
    x = question.inputs[0]
    return [x, *(run(question.pipeline[: i + 1], x) for i in range(question.depth))]


def _worked(states: list[State], fence: str, answer: State) -> str:
    """Working as comment lines, then the answer in its fence."""
    working = "".join(f"# {literal(state)}\n" for state in states)
    return f"{working}```{fence}\n{literal(answer)}\n```"
