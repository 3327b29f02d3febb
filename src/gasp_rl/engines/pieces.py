"""Which characters of a completion each of its tokens wrote, for views that colour tokens."""

from collections.abc import Sequence
from itertools import accumulate

from gasp_rl.engines.protocol import Tokenizer

UNFINISHED = "\ufffd"
LONGEST_CHARACTER = 4
"""A character of UTF-8 has at most four bytes, so at most four byte tokens."""


class Pieces:
    """Cuts decoded texts at their tokens. Each token is decoded once in a run, not once a use."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._decode = tokenizer.decode
        self._known: dict[int, str] = {}
        self._whole: dict[int, str] = {}  # those of them that end with a whole character

    def ends(self, tokens: Sequence[int], text: str) -> tuple[int, ...] | None:
        """For each token, the length of the text up to and including it.

        A character that takes several tokens counts for the last of them. None where the tokens'
        own texts do not join to `text` (a tokenizer that looks at neighbours), rather than a guess.

        Example: tokens of "a" and of the two bytes of an e with an accent give (1, 1, 2).
        """
        try:  # most texts have whole characters alone, all of them known
            pieces = [self._whole[token] for token in tokens]
        except KeyError:
            return self._ends_by_characters(tokens, text)
        return tuple(accumulate(map(len, pieces))) if "".join(pieces) == text else None

    def _ends_by_characters(self, tokens: Sequence[int], text: str) -> tuple[int, ...] | None:
        ends, pending, at = [], [], 0
        for token in tokens:
            pending.append(token)
            piece = self._piece(pending)
            if not piece.endswith(UNFINISHED) or len(pending) == LONGEST_CHARACTER:
                if not text.startswith(piece, at):
                    return None
                at += len(piece)
                pending = []
            ends.append(at)
        return tuple(ends) if at == len(text) and not pending else None

    def _piece(self, tokens: list[int]) -> str:
        if len(tokens) > 1:
            return self._decode(tokens)
        token = tokens[0]
        if token not in self._known:
            self._known[token] = self._decode(tokens)
            if not self._known[token].endswith(UNFINISHED):
                self._whole[token] = self._known[token]
        return self._known[token]
