"""The novelty filter: nearest accepted task by cosine similarity (GASP: reject above 0.95)."""

import builtins
import hashlib
import io
import keyword
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Embedder(Protocol):
    """Texts to unit vectors. `fingerprint` names what made them: a threshold belongs to it."""

    fingerprint: str

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [len(texts), dimensions], each row of length 1."""
        ...


class HashEmbedder:
    """Signed hashing of 1- to 4-grams of tokens, with the names of a program folded by first use.

    Needs no weights and no network. Catches copies, renamed copies and most copies with other
    constants; blind to paraphrase.
    """

    def __init__(self, dimensions: int = 2048) -> None:
        self.dimensions = dimensions
        self.fingerprint = f"hash-{dimensions}-ngrams4"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            words = folded_tokens(text)
            for n in range(1, 5):
                for i in range(len(words) - n + 1):
                    digest = hashlib.blake2b(
                        "\x1f".join(words[i : i + n]).encode("utf-8", "surrogatepass"),
                        digest_size=8,
                    ).digest()
                    value = int.from_bytes(digest, "little")
                    vectors[row, value % self.dimensions] += 1.0 if value >> 63 else -1.0
        return normalised(vectors)


_KEPT = frozenset(dir(builtins)) | frozenset(keyword.kwlist)
_PROGRAM = re.compile(r"^\s*(def|import|from|class)\s", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*|\d+|[^\s\w]")


def folded_tokens(text: str) -> list[str]:
    """Words of a text; in a Python program layout is dropped and own names become v0, v1, ...

    Names of builtins stay: `min(x)` and `max(x)` are not copies of each other.
    """
    if not _PROGRAM.search(text):
        return _WORD.findall(text)
    try:
        tokens = [
            token
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type not in _LAYOUT
        ]
    except (tokenize.TokenError, SyntaxError, ValueError):
        return _WORD.findall(text)
    names: dict[str, str] = {}
    return [
        names.setdefault(token.string, f"v{len(names)}")
        if token.type == tokenize.NAME and token.string not in _KEPT
        else token.string
        for token in tokens
    ]


_LAYOUT = {
    tokenize.NEWLINE,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.COMMENT,
}


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a zero row stays zero, similar to nothing."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The most similar item and its cosine similarity."""

    id: str
    similarity: float


class NoveltyIndex:
    """Exact nearest neighbours over the accepted tasks of both buffers.

    Question text and code are embedded apart and their similarities averaged, so that neither can
    drown the other.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.ids: list[str] = []
        self._vectors: np.ndarray | None = None

    def vectors(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Unit vectors of (message, program) pairs: both halves side by side, scaled by sqrt(1/2).

        Where there is no message the program stands for it too.
        """
        message = self.embedder.embed([message or program for message, program in pairs])
        program = self.embedder.embed([program for _, program in pairs])
        return np.concatenate([message, program], axis=1) * np.float32(0.5**0.5)

    def nearest(self, vector: np.ndarray, among: Sequence[int] | None = None) -> Neighbour | None:
        """The most similar accepted task, or None while there is none.

        among: positions of the tasks to look at; none means all.
        """
        places = range(len(self.ids)) if among is None else among
        if not places:
            return None
        assert self._vectors is not None
        similarities = self._vectors[places] @ vector
        best = int(similarities.argmax())
        return Neighbour(self.ids[places[best]], float(similarities[best]))

    def mean_dissimilarity(self, vectors: np.ndarray) -> float:
        """Buffer dissimilarity: mean over the batch of the mean of (1 - cosine) to the buffer.

        D(B_t, M_{t-1}) of GASP (arXiv 2603.15957); nan while the buffer is empty.
        """
        if not self.ids or len(vectors) == 0:
            return float("nan")
        assert self._vectors is not None
        return float(1 - (vectors @ self._vectors[: len(self.ids)].T).mean())

    def add(self, id: str, vector: np.ndarray) -> None:
        count = len(self.ids)
        if self._vectors is None:
            self._vectors = np.zeros((64, len(vector)), dtype=np.float32)
        if count == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[count] = vector
        self.ids.append(id)
