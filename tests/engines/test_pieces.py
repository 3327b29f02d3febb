"""Texts cut at their tokens: exact, or not at all."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_rl.engines.pieces import Pieces
from gasp_rl.engines.pretrained import FolderTokenizer
from gasp_rl.miniature import assets


class Bytes:
    """One token for each byte, as byte-level tokenizers fall back to."""

    eos_id = 0

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    encode_prompt = encode

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")


class Stripping(Bytes):
    """Drops the blank of its first token, as tokenizers that look at neighbours do."""

    def decode(self, tokens: Sequence[int]) -> str:
        return super().decode(tokens).lstrip(" ")


@pytest.fixture(scope="module")
def miniature() -> FolderTokenizer:
    return FolderTokenizer(assets.model_folder("miniature"), eos_id=0)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd")))
def test_a_character_counts_for_the_token_that_ends_it(text: str) -> None:
    ends = Pieces(Bytes()).ends(Bytes().encode(text), text)
    assert ends is not None
    assert [end for i, end in enumerate(ends) if end != (ends[i - 1] if i else 0)] == list(
        range(1, len(text) + 1)
    )


def test_an_accent_of_two_bytes() -> None:
    assert Pieces(Bytes()).ends(tuple("a\u00e9".encode()), "a\u00e9") == (1, 1, 2)


def test_what_does_not_join_to_the_text_is_not_cut() -> None:
    tokens = Bytes().encode("a b")
    assert Pieces(Stripping()).ends(tokens, "a b") is None
    assert Pieces(Bytes()).ends(tokens, "a bc") is None
    unfinished = (0x61, 0xC3)  # the completion ends inside a character
    assert Pieces(Bytes()).ends(unfinished, Bytes().decode(unfinished)) is None


def test_a_byte_that_is_no_character_goes_with_what_follows() -> None:
    broken = (0xC3, 0x28)
    assert Pieces(Bytes()).ends(broken, Bytes().decode(broken)) == (0, 2)


def test_programs_of_the_miniature_are_cut_at_every_token(miniature: FolderTokenizer) -> None:
    text = "```python\ndef f(x):\n    x = [(v + 9 * i) % 10 for i, v in enumerate(x)]\n```"
    tokens = miniature.encode(text)
    pieces = Pieces(miniature)
    ends = pieces.ends(tokens, text)
    assert ends is not None
    assert ends[-1] == len(text)
    cut = [text[a:b] for a, b in zip((0, *ends), ends, strict=False)]
    assert [pieces.ends([t], c) for t, c in zip(tokens, cut, strict=True)] == [
        (len(c),) for c in cut
    ]
