"""The miniature's tokens: whole phrases of its English and whole pieces of its Python.

A token is a piece of text, so a model of one million parameters needs few of them for a program;
it can still write programs that do not parse, do not run or do the wrong thing.
"""

import re
from typing import TYPE_CHECKING

from gasp_rl.miniature.world import FAMILIES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"

HEADINGS = (
    "Write f.\n",
    "Give the output.\n",
    "Give an input.\n",
    "Easier mapping.\n",
    "Easier examples.\n",
    "Harder mapping.\n",
    "Harder examples.\n",
    "New task.\n",
)
"""First line of each prompt: it tells the role and what is asked."""


def words() -> list[str]:
    """Every token that is text, without repeats."""
    digits = [str(d) for d in range(10)]
    phrases = [piece for f in FAMILIES for piece in f"; {f.phrase}".split("{c}") if piece]
    lines = [piece for f in FAMILIES for piece in f"    x = {f.code}\n".split("{c}")]
    fences = [f"```{name}\n" for name in ("python", "message", "inputs", "input", "output", "")]
    lists = [
        f"{left}{d}{right}" for left, right in (("[", ""), (", ", ""), (", ", "]")) for d in digits
    ]
    rest = ["Take x", "?", " -> ", "\n", "# ", "def f(x):\n", "    return x\n", "```"]
    return list(dict.fromkeys([*HEADINGS, *digits, *phrases, *lines, *fences, *lists, *rest]))


def build_tokenizer() -> "Tokenizer":
    """A `tokenizers.Tokenizer`: split the text into the longest known pieces, one id each."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    pieces = [PAD, EOS, UNKNOWN, *words()]
    tokenizer = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, UNKNOWN))
    longest_first = sorted(words(), key=len, reverse=True)
    pattern = "|".join(re.escape(piece) for piece in longest_first)
    tokenizer.pre_tokenizer = Split(Regex(pattern), "isolated")
    tokenizer.decoder = Fuse()
    tokenizer.add_special_tokens([PAD, EOS, UNKNOWN])
    return tokenizer
