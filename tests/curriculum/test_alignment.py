"""Measures of alignment by hand-made pairs: what shares the goalpost's parts scores higher."""

import math

import pytest

from gasp_rl.curriculum.alignment import LikelihoodGain, Similarity, operators, operators_of, words
from gasp_rl.curriculum.novelty import HashEmbedder
from gasp_rl.engines.scripted import ScriptedEngine
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
