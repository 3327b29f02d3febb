"""Measures of alignment by hand-made pairs: what shares the goalpost's parts scores higher."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from gasp_rl.curriculum.alignment import LikelihoodGain, Similarity, operators, operators_of, words
from gasp_rl.curriculum.novelty import HashEmbedder
from gasp_rl.engines.scripted import ByteTokenizer, ScriptedEngine
from gasp_rl.miniature import assets
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.tasks import Form, Induction, Question
from gasp_rl.types import Example, Tokens


def goalpost(statement: str, reference: str | None = None, id: str = "h") -> Question:
    return Question(
        id=id,
        source="test",
        form=Form.FUNCTION,
        statement=statement,
        hidden=(Example("1", "1"),),
        reference=reference,
    )


def task(message: str, program: str = "def f(x):\n    return x") -> Induction:
    return Induction(program, message, (), (Example("1", "1"),))


def test_words_are_counted_with_repeats() -> None:
    h = goalpost("Take x; add 4; reverse; sort")
    pairs = [(h, task(m)) for m in ("Take x; sort; add 3", "sort sort", "reverse; ?", "-")]
    assert words(pairs) == [4 / 5, 1 / 2, 1 / 2, 0]


def test_operators_of_the_reference() -> None:
    h = goalpost("any", "def f(x):\n    return sorted(x)[::-1] + [v % 10 for v in x]")
    pairs = [
        (h, task("", "def f(a):\n    return sorted(a)")),
        (h, task("", "def f(x):\n    return sum(x) % 7")),
        (h, task("", "def f(x):\n    return x")),
        (goalpost("no reference"), task("", "def f(x):\n    return sorted(x)")),
    ]
    assert operators(pairs) == [1, 1 / 2, 0, None]
    assert not operators_of("def f(:")
    assert not operators_of("\0")


def test_similarity_is_between_0_and_1() -> None:
    h = goalpost("reverse the list and add one")
    same, near, far = (
        score or 0.0
        for score in Similarity(HashEmbedder())(
            [(h, task(m)) for m in (h.statement, "reverse the list", "count primes")]
        )
    )
    assert same == pytest.approx(1)
    assert same > near > far >= 0


class Reads(ScriptedEngine):
    """Finds every token of a solution likelier when the prompt holds the word `sorted`."""

    def logprobs(
        self, rows: list[tuple[Tokens, Tokens]], of: str = "policy"
    ) -> list[tuple[float, ...]]:
        return [
            ((-1.0 if "sorted" in self.tokenizer.decode(p) else -3.0),) * len(c) for p, c in rows
        ]


def test_likelihood_gain_is_logistic_and_says_nothing_of_unsolved_goalposts() -> None:
    engine = Reads(lambda prompt, sample, random: "")
    measure = LikelihoodGain(engine, load_prompts(), {"h": "the solution"})
    helps, helps_not = task("m", "def f(x):\n    return sorted(x)"), task("m")
    pairs = [
        (goalpost("one"), helps),
        (goalpost("two", id="unsolved"), helps),
        (goalpost("one"), helps_not),
    ]
    assert measure(pairs) == [pytest.approx(1 / (1 + math.exp(-2))), None, 0.5]
    assert measure(pairs[1:2]) == [None]


class Remembers(ScriptedEngine):
    """Keeps the rows that it scored."""

    def __init__(self) -> None:
        super().__init__(lambda prompt, sample, random: "")
        self.rows: list[tuple[Tokens, Tokens]] = []

    def logprobs(
        self, rows: Sequence[tuple[Tokens, Tokens]], of: str = "policy"
    ) -> list[tuple[float, ...]]:
        self.rows += rows
        return [(-1.0,) * len(c) for _, c in rows]


def test_a_reference_stands_in_for_a_solution_only_where_that_is_asked_for() -> None:
    known = goalpost("one", "def f(x):\n    return -x", id="known")
    unsolved = goalpost("two", "def f(x):\n    return x + 1", id="unsolved")
    bare = goalpost("three", id="bare")
    pairs = [(known, task("m")), (unsolved, task("m")), (bare, task("m"))]
    for reference, scores in ((False, [0.5, None, None]), (True, [0.5, 0.5, None])):
        engine = Remembers()
        measure = LikelihoodGain(engine, load_prompts(), {"known": "its own answer"}, reference)
        assert measure(pairs) == scores
        scored = {engine.tokenizer.decode(completion) for _, completion in engine.rows}
        wanted = {"```python\ndef f(x):\n    return x + 1\n```"} if reference else set()
        assert scored == {"its own answer"} | wanted


class Chat(ByteTokenizer):
    """A template around a user's turn."""

    def encode_prompt(self, text: str) -> Tokens:
        return self.encode(f"<user>{text}<assistant>")


def test_the_prompts_are_those_that_the_policy_sees() -> None:
    engine, prompts = Remembers(), load_prompts()
    engine.tokenizer = Chat()
    h, t = goalpost("one"), task("m")
    assert LikelihoodGain(engine, prompts, {"h": "answer"})([(h, t)]) == [0.5]
    alone, shown = (engine.tokenizer.decode(prompt) for prompt, _ in engine.rows)
    question = prompts.question(h)
    assert alone == f"<user>{question}<assistant>"
    assert shown == f"<user>{prompts.student(t)}```python\n{t.program}\n```\n{question}<assistant>"


@pytest.mark.parametrize("world", ["miniature", "miniature-flat"])
def test_without_a_template_a_prompt_has_the_tokens_of_its_two_parts(world: str) -> None:
    """So the miniature's scores do not depend on how the parts are put together."""
    pretrained = pytest.importorskip("gasp_rl.engines.pretrained", reason="needs the train extra")
    folder = assets.model_folder(world)
    tokenizer, prompts = pretrained.FolderTokenizer(Path(folder), 0), load_prompts(folder)
    goalposts = [g.question for g in assets.goalposts(world).goalposts][:60]
    for h, other in zip(goalposts, reversed(goalposts), strict=True):
        t = Induction(other.reference or "", other.statement, other.shown, other.hidden)
        solved = f"{prompts.student(t)}```python\n{t.program}\n```\n"
        question = prompts.question(h)
        parts = tokenizer.encode(solved) + tokenizer.encode(question)
        assert tokenizer.encode_prompt(solved + question) == parts
