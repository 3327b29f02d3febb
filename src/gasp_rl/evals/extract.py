"""From a completion to the answer in it: the rules of LiveCodeBench, AZR and EvalPlus runners.

A completion is text from a model: nothing here runs it, and nothing raises on it.
"""

import re
from enum import StrEnum

from gasp_rl.tasks.question import Form

_FENCED_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
_THINK_ANSWER_END = re.compile(r"</answer>", re.IGNORECASE)


class Extraction(StrEnum):
    """Where in a completion the answer stands."""

    LAST_FENCE = "last-fence"  # LiveCodeBench: between the last two lines that hold ```
    ANSWER_TAG = "answer-tag"  # AZR: the last ```python block after the last <answer>
    WHOLE = "whole"  # base models: everything, stripped
    AS_IS = "as-is"  # the completion is a program already (EvalPlus's `solution`)


def extract(completion: str, how: Extraction) -> str:
    """The code in a completion; "" where the rule finds none (which is graded as wrong)."""
    match how:
        case Extraction.LAST_FENCE:
            return last_fence(completion)
        case Extraction.ANSWER_TAG:
            return answer_tag(completion)
        case Extraction.WHOLE:
            return completion.strip()
        case Extraction.AS_IS:
            return completion


def last_fence(completion: str) -> str:
    """Text between the last two lines that contain ``` (LiveCodeBench's generic rule).

    Example::

        last_fence("Sure:\\n```python\\nprint(1)\\n```\\n")  # "print(1)"
        last_fence("```python\\nprint(1)")                   # "": the fence was never closed
    """
    lines = completion.split("\n")
    fences = [i for i, line in enumerate(lines) if "```" in line]
    if len(fences) < 2:
        return ""
    return "\n".join(lines[fences[-2] + 1 : fences[-1]])


def answer_tag(completion: str) -> str:
    """AZR's rule: what stands in the last <answer>, and of that the last ```python block if any."""
    answer = completion.rsplit("<answer>", 1)[-1]
    answer = _THINK_ANSWER_END.split(answer, maxsplit=1)[0]
    blocks = _FENCED_PYTHON.findall(answer)
    return (blocks[-1] if blocks else answer).strip("\n")


def extract_answer(completion: str, how: Extraction, form: Form) -> str:
    """The answer to a question of some form: a program, or for predictions a literal.

    A predicted literal may stand in a fence, behind <answer>, or alone; of "f(x) == y" written out
    in full only the asked side counts, because the models are told to write that side alone.
    """
    answer = extract(completion, how)
    if form not in (Form.OUTPUT, Form.INPUT):
        return answer
    text = answer.strip() or completion.strip()
    if text.startswith("`") and text.endswith("`"):
        text = text.strip("`")
    return text.strip()
