"""What AZR's public code counts as valid and as right, rebuilt as jobs of the sandbox.

Its texts are pasted together and evaluated, so a gold output can be anything that prints and an
answer can be code. That is kept for comparison; only the trainer's process is spared.
"""

import ast
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from gasp_rl.curriculum.azr_compat import Compat
from gasp_rl.sandbox import Check, Func, Job, Result
from gasp_rl.sandbox.canonical import LiteralError, parse_literal
from gasp_rl.tasks import Abduction, Deduction, Induction
from gasp_rl.tasks.answers import last_block

_words = str.split

BANNED = frozenset(
    _words("""logging random multiprocessing pebble subprocess threading datetime time hashlib hmac
    bcrypt os.sys os.path sys.exit os.environ calendar""")
)
"""AZR's list. It is compared with the parts of a name between dots: four entries never match."""

_CALLED_TWICE = """

def azr_call(*arguments):
    try:
        returns = f(*arguments)
        if returns != f(*arguments):
            raise Exception("Non-deterministic code")
        return "", repr(returns)
    except BaseException as error:
        return type(error).__name__ + ": " + str(error), ""
"""

_EVALUATED = """

def azr_judge(text):
    import contextlib
    import io

    *before, last = text.split("\\n")
    if "print(" in last:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(text, globals())
        return printed.getvalue().strip() == "True"
    exec("\\n".join(before), globals())
    return str(eval(last, globals())) == "True"
"""

_BOTH_EVALUATED = """
def azr_judge(gold, answer):
    return bool(eval(gold) == eval(answer))
"""


def banned_import(program: str) -> str | None:
    """The first import of a module on the list, or why the program is no Python; None if neither."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"no Python: {error!s:.100}"
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if BANNED & set(name.split(".")):
                return f"import {name:.60}"
    return None


def call_twice(program: str, inputs: tuple[str, ...]) -> Func:
    """Call f twice on each input in one process; hands back (status, repr of what came back)."""
    return Func(program + _CALLED_TWICE, inputs, entry="azr_call")


def golds(result: Result, compat: Compat) -> list[str] | str:
    """Gold outputs of a `call_twice`, or why the program is refused."""
    if not result.ok:
        return f"{result.verdict}: {result.detail}".rstrip(": ")
    outputs = []
    for output in result.outputs:
        status, gold = parse_literal(output.decode())
        if "error" in status.lower():
            return str(status)
        if not compat.any_gold and not _is_literal(gold):
            return f"output {gold[:60]!r} is no literal"
        outputs.append(cut(gold, compat.gold_characters))
    return outputs


def cut(gold: str, characters: int | None) -> str:
    """A gold output that is too long loses its middle.

    Example: 1000 characters with a limit of 400 become 200, three dots and 200.
    """
    if characters is None or len(gold) <= characters:
        return gold
    half = characters // 2
    return f"{gold[:half]}...{gold[-half:]}"


@dataclass(frozen=True, slots=True)
class LegacyInduction(Induction):
    """Right if `gold == f(input)` evaluates to what prints as True, on the hidden pairs alone."""

    def job(self, answer: str) -> Job:
        return _evaluated(answer, [f"{e.output} == f({e.input})" for e in self.hidden])


@dataclass(frozen=True, slots=True)
class LegacyAbduction(Abduction):
    """Right if `gold == f(answer)` evaluates to what prints as True."""

    @staticmethod
    def parse(completion: str) -> str | None:
        return last_block(completion, "input")

    def job(self, answer: str) -> Job:
        return _evaluated(self.program, [f"{self.example.output} == f({answer})"])


@dataclass(frozen=True, slots=True)
class LegacyDeduction(Deduction):
    """Right if gold and answer evaluate to equal values."""

    @staticmethod
    def parse(completion: str) -> str | None:
        return last_block(completion, "output")

    def job(self, answer: str) -> Job:
        pair = f"{self.example.output!r}, {answer!r}"
        return Check(_BOTH_EVALUATED, (pair,), (b"True",), entry="azr_judge")


def _evaluated(program: str, lines: Sequence[str]) -> Check:
    inputs = tuple(repr(line) for line in lines)
    return Check(program + _EVALUATED, inputs, (b"True",) * len(inputs), entry="azr_judge")


def _is_literal(text: str) -> bool:
    try:
        parse_literal(text)
    except LiteralError:
        return False
    return True
