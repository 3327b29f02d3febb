"""Reading answers out of completions: fenced blocks. Never raises, whatever the text."""

import re
from dataclasses import dataclass

MAX_BLOCKS = 64
"""More fenced blocks than this are not looked at."""

_FENCE = re.compile(r"^[ ]{0,3}```[ \t]*([A-Za-z0-9_+-]*)[^\n]*$", re.MULTILINE)
_THINK_END = "</think>"
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the word after the opening fence in lower case, and what lies inside."""

    label: str
    body: str


def final_part(completion: str) -> str:
    """The part that answers: after the last `</think>`, inside the last `<answer>` if there is one."""
    text = completion.rpartition(_THINK_END)[2]
    answers = _ANSWER.findall(text)
    return answers[-1] if answers else text


def blocks(text: str) -> list[Block]:
    """Closed fenced blocks in their order. A block that is never closed is not an answer."""
    found: list[Block] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        else:
            body = text[opening.end() : fence.start()]
            found.append(Block(opening[1].lower(), body.strip("\n")))
            opening = None
            if len(found) == MAX_BLOCKS:
                break
    return found


def last_block(completion: str, *labels: str) -> str | None:
    """Body of the last block with one of these labels, else of the last block without any label.

    None when there is neither, or when it is blank.

    Example::

        last_block("so:\\n```python\\ndef f(x): return x\\n```", "python", "py")
    """
    found = blocks(final_part(completion))
    named = [block.body for block in found if block.label in labels]
    plain = [block.body for block in found if not block.label]
    body = (named or plain or [""])[-1]
    return body if body.strip() else None
