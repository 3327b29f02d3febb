"""AZR's intrinsic rewards: what may be added to learnability for a program's own sake.

All are off in the paper's runs. The scales are those of its code (azr.intrinsic names each); how a
complexity is counted is ours, since AZR takes it from packages.
"""

import ast
import difflib
import math
from collections import Counter
from collections.abc import Sequence

from gasp_rl.config import IntrinsicConfig
from gasp_rl.curriculum.program_text import parsed
from gasp_rl.sandbox.canonical import LiteralError, parse_literal
from gasp_rl.tasks import Induction
from gasp_rl.types import Example

_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.comprehension, ast.And)
_OPERATORS = (ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.stmt, ast.Call, ast.Subscript)


def terms(
    task: Induction, references: Sequence[str], seen: Sequence[Induction], config: IntrinsicConfig
) -> list[float]:
    """The terms that are switched on: coefficient times the measure, at most `config.largest` each.

    references: programs that the proposer was shown. seen: tasks that were accepted before.
    """
    measures = {
        "complexity": lambda: branches(task.program) / 15,
        "distance": lambda: mean_distance(task.program, references),
        "halstead": lambda: halstead_mix(task.program),
        "output_surprise": lambda: surprise([p.output for p in _pairs(task)], _outputs(seen)),
        "input_surprise": lambda: surprise([f"({p.input},)" for p in _pairs(task)], _inputs(seen)),
        "diversity": lambda: diversity(task),
    }
    coefficients = {name: getattr(config, name) for name in measures}
    return [
        coefficient * min(measures[name](), config.largest)
        for name, coefficient in coefficients.items()
        if coefficient > 0
    ]


def combined(reward: float, extra: Sequence[float], how: str) -> float:
    """Learnability r and terms t: `sum` r + sum t, `multiply` r * prod t, `sum-multiply` r * sum t,
    `multiply-sum` r + prod t; r alone without terms.

    Example: r = .5 and terms .2, .4 give 1.1, .04, .3 and .58.
    """
    if not extra:
        return reward
    match how:
        case "sum":
            return reward + sum(extra)
        case "multiply":
            return reward * math.prod(extra)
        case "sum-multiply":
            return reward * sum(extra)
        case "multiply-sum":
            return reward + math.prod(extra)
        case _:
            raise ValueError(f"no such combination: {how}")


def branches(program: str) -> int:
    """Cyclomatic complexity (McCabe 1976): 1 and one for each branch; 0 for what is no Python."""
    tree = parsed(program)
    return 0 if tree is None else 1 + sum(isinstance(n, _BRANCHES) for n in ast.walk(tree))


def mean_distance(program: str, references: Sequence[str]) -> float:
    """Mean over references of 1 - the similarity of the two syntax trees' node sequences."""
    own = _shape(program)
    distances = [
        1 - difflib.SequenceMatcher(None, own, _shape(other), autojunk=False).ratio()
        for other in references
    ]
    return sum(distances) / len(distances) if distances else 0.0


def halstead_mix(program: str) -> float:
    """AZR's mix: .5 effort / 10000 + .3 cyclomatic / 10 + .2 volume / 500 (Halstead 1977).

    With n1, n2 different and N1, N2 all operators and operands: volume = (N1 + N2) log2(n1 + n2),
    effort = volume * n1 / 2 * N2 / n2.
    """
    tree = parsed(program)
    if tree is None:
        return 0.0
    operators: Counter[str] = Counter()
    operands: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, _OPERATORS):
            operators[type(node).__name__] += 1
        elif isinstance(node, ast.Name):
            operands[node.id] += 1
        elif isinstance(node, ast.Constant):
            operands[repr(node.value)] += 1
    if not operators or not operands:
        return 0.0
    total = operators.total() + operands.total()
    volume = total * math.log2(len(operators) + len(operands))
    effort = volume * len(operators) / 2 * operands.total() / len(operands)
    return 0.5 * effort / 10_000 + 0.3 * branches(program) / 10 + 0.2 * volume / 500


def surprise(values: Sequence[str], seen: Sequence[str]) -> float:
    """Mean over values of 1 - the share of their type among those seen; 1 when none was.

    Example: an int after three lists and an int: 1 - 1/4 = .75.
    """
    counts = Counter(type_of(value) for value in seen)
    shares = [counts[type_of(v)] / counts.total() if counts else 0.0 for v in values]
    return 1 - sum(shares) / len(shares) if shares else 0.0


def type_of(literal: str) -> str:
    """The type of a literal with those of its first level: `list[int]`, `dict[str]`, `none`."""
    try:
        value = parse_literal(literal)
    except LiteralError:
        return "other"
    name = type(value).__name__
    if isinstance(value, list | tuple | set | frozenset | dict):
        return f"{name}[{','.join(sorted({type(item).__name__ for item in value}))}]"
    return name


def diversity(task: Induction) -> float:
    """Share of different outputs among a task's pairs; 0 for a constant function."""
    outputs = [p.output for p in _pairs(task)]
    return (len(set(outputs)) - 1) / (len(outputs) - 1) if len(outputs) > 1 else 0.0


def _shape(program: str) -> list[str]:
    tree = parsed(program)
    return [] if tree is None else [type(node).__name__ for node in ast.walk(tree)]


def _pairs(task: Induction) -> Sequence[Example]:
    return task.shown + task.hidden


def _outputs(tasks: Sequence[Induction]) -> list[str]:
    return [p.output for task in tasks for p in _pairs(task)]


def _inputs(tasks: Sequence[Induction]) -> list[str]:
    return [f"({p.input},)" for task in tasks for p in _pairs(task)]
