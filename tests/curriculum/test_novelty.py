"""The hashing embedder and the index: copies are caught, other operations are not copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.curriculum.novelty import HashEmbedder, NoveltyIndex

ADD = "def f(x):\n    total = 0\n    for v in x:\n        total += v\n    return total"
RENAMED = "def f(items):\n    acc = 0\n    for it in items:\n        acc += it\n    return acc"
SMALLEST = "def f(x):\n    return min(x) + len(x)"
LARGEST = "def f(x):\n    return max(x) + len(x)"


def cosine(a: str, b: str) -> float:
    first, second = HashEmbedder().embed([a, b])
    return float(first @ second)


def test_renamed_copy_is_the_same() -> None:
    assert cosine(ADD, RENAMED) == pytest.approx(1)


def test_another_builtin_is_another_program() -> None:
    assert cosine(SMALLEST, LARGEST) < 0.95


@given(st.text(max_size=200))
def test_any_text_gets_a_unit_vector(text: str) -> None:
    (vector,) = HashEmbedder().embed([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5) or not vector.any()


def test_nearest_is_the_most_similar_of_all_added() -> None:
    index = NoveltyIndex(HashEmbedder())
    assert index.nearest(index.vectors([("m", ADD)])[0]) is None
    programs = [f"def f(x):\n    return x[{i}:] + x[:{i}]" for i in range(100)]
    vectors = index.vectors([("rotate", p) for p in programs])
    for i, vector in enumerate(vectors):
        index.add(str(i), vector)
    for i, vector in enumerate(vectors):
        near = index.nearest(vector)
        assert near is not None
        assert near.id == str(i)
        assert near.similarity == pytest.approx(1, abs=1e-5)


def test_message_and_program_weigh_the_same() -> None:
    index = NoveltyIndex(HashEmbedder())
    a, b, c = index.vectors([("one two", ADD), ("one two", SMALLEST), ("three four", ADD)])
    assert float(a @ a) == pytest.approx(1, abs=1e-5)
    assert float(a @ b) == pytest.approx(0.5 + 0.5 * cosine(ADD, SMALLEST), abs=1e-5)
    assert float(a @ c) == pytest.approx(0.5 + 0.5 * cosine("one two", "three four"), abs=1e-5)


def test_dissimilarity_is_one_minus_the_mean_cosine() -> None:
    index = NoveltyIndex(HashEmbedder())
    vectors = index.vectors([("a", ADD), ("b", SMALLEST)])
    assert np.isnan(index.mean_dissimilarity(vectors))
    index.add("0", vectors[0])
    expected = 1 - float((vectors @ vectors[0]).mean())
    assert index.mean_dissimilarity(vectors) == pytest.approx(expected, abs=1e-6)
