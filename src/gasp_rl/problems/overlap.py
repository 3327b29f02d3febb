"""Which questions of one set are in another: by id, by text, by shared n-grams, by embedding."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from gasp_rl.tasks.question import Question

NGRAM = 8
"""Words in one shingle: long enough that phrases of the trade ("print the answer") do not match."""

CONTAINMENT = 0.5
"""Share of the shorter text's shingles that must occur in the other for a near-duplicate."""

COSINE = 0.95
"""Similarity of hash embeddings from which two texts count as one."""

DIMENSIONS = 4096
_WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")
_FURNITURE = re.compile(r"\\[a-z]+|[$`*_{}]")


@dataclass(frozen=True, slots=True)
class Overlap:
    """One pair of questions that are the same, and how that was seen."""

    left: str
    right: str
    how: Literal["id", "text", "n-gram", "embedding"]
    score: float = 1.0

    def __str__(self) -> str:
        return f"{self.left} = {self.right} ({self.how}, {self.score:.2f})"


def find_overlaps(
    left: Sequence[Question], right: Sequence[Question], embedding: bool = False
) -> list[Overlap]:
    """Pairs that are one question, each with the strongest evidence: id, text, n-grams, embedding.

    The shingle test looks at statement and given code (Broder 1997, containment). The embedding is
    a hashed bag of words and word pairs: it sees reordered text, and more false alarms.
    """
    found: dict[tuple[str, str], Overlap] = {}

    def note(overlap: Overlap) -> None:
        found.setdefault((overlap.left, overlap.right), overlap)

    names_right = {(q.source.removesuffix("+"), q.id): q for q in right}
    for question in left:
        if other := names_right.get((question.source.removesuffix("+"), question.id)):
            note(Overlap(_name(question), _name(other), "id"))
    words_left = [words(question) for question in left]
    words_right = [words(question) for question in right]
    for overlap in _equal_texts(left, right, words_left, words_right):
        note(overlap)
    for overlap in _shared_shingles(left, right, words_left, words_right):
        note(overlap)
    if embedding:
        for overlap in _near_embeddings(left, right, words_left, words_right):
            note(overlap)
    return sorted(found.values(), key=lambda o: (o.left, o.right))


def words(question: Question) -> list[str]:
    """What is asked, as lower-case words and marks; layout and LaTeX furniture dropped."""
    text = f"{question.statement}\n{question.starter_code}".lower()
    return _WORD.findall(_FURNITURE.sub(" ", text))


def _name(question: Question) -> str:
    return f"{question.source}/{question.id}"


def _equal_texts(
    left: Sequence[Question],
    right: Sequence[Question],
    words_left: list[list[str]],
    words_right: list[list[str]],
) -> Iterable[Overlap]:
    places: dict[tuple[str, ...], list[int]] = {}
    for j, text in enumerate(words_right):
        places.setdefault(tuple(text), []).append(j)
    for i, text in enumerate(words_left):
        if text:
            for j in places.get(tuple(text), []):
                yield Overlap(_name(left[i]), _name(right[j]), "text")


def _shared_shingles(
    left: Sequence[Question],
    right: Sequence[Question],
    words_left: list[list[str]],
    words_right: list[list[str]],
) -> Iterable[Overlap]:
    """Pairs by an inverted index of shingles, so that only pairs that share one are compared."""
    shingles_right = [_shingles(text) for text in words_right]
    places: dict[int, list[int]] = {}
    for j, shingles in enumerate(shingles_right):
        for shingle in shingles:
            places.setdefault(shingle, []).append(j)
    for i, text in enumerate(words_left):
        shingles = _shingles(text)
        shared = Counter(j for shingle in shingles for j in places.get(shingle, ()))
        for j, count in shared.items():
            score = count / min(len(shingles), len(shingles_right[j]))
            if score >= CONTAINMENT:
                yield Overlap(_name(left[i]), _name(right[j]), "n-gram", score)


def _shingles(text: list[str]) -> set[int]:
    return {_hash(" ".join(text[i : i + NGRAM])) for i in range(len(text) - NGRAM + 1)}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _near_embeddings(
    left: Sequence[Question],
    right: Sequence[Question],
    words_left: list[list[str]],
    words_right: list[list[str]],
) -> Iterable[Overlap]:
    if not left or not right:
        return
    vectors_left = np.stack([embed(text) for text in words_left])
    vectors_right = np.stack([embed(text) for text in words_right])
    for i, row in enumerate(vectors_left @ vectors_right.T):
        for j in np.flatnonzero(row >= COSINE).tolist():
            yield Overlap(_name(left[i]), _name(right[j]), "embedding", float(row[j]))


def embed(text: list[str]) -> np.ndarray:
    """Unit vector of a text: signed hashing (Weinberger et al. 2009) of words and word pairs, each
    counted as the root of its frequency so that frequent marks do not drown the rest."""
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    pairs = [f"{a} {b}" for a, b in pairwise(text)]
    for token, count in Counter(text + pairs).items():
        code = _hash(token)
        vector[code % DIMENSIONS] += (1 if code >> 63 else -1) * count**0.5
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else vector
