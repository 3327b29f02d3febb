"""HumanEval+ and MBPP+ in EvalPlus's format (arXiv 2305.01210): inputs now, outputs from a run.

The files hold inputs only. What the canonical solution returns is expected; it is computed in the
sandbox, once, and kept in a cache file of our own format.
Which MBPP inputs are tuples and which tasks have their own oracle are facts of EvalPlus v0.3.1.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from gasp_rl.errors import DataError, reason_of
from gasp_rl.problems.rows import Loaded, Row, Skipped, collect
from gasp_rl.problems.schema import load_questions, write_questions
from gasp_rl.sandbox import Func, Sandbox, Verdict
from gasp_rl.sandbox.canonical import parse_literal
from gasp_rl.tasks.question import Form, Match, Question
from gasp_rl.types import Example

Tests = Literal["base", "plus"]
"""`base` grades on the original benchmark's inputs; `plus` on those and on EvalPlus's own."""

CONVERSION = 2
"""Stands in the name of a cache file. Change it with how inputs, outputs or matches are made, so that
no older outputs are taken for new ones."""

CANONICAL_SECONDS = 120.0
"""CPU limit for a canonical solution over all its inputs."""

SLOW_SECONDS = 1.0
TIME_FACTOR = 4.0
"""Where the canonical solution takes longer than SLOW_SECONDS over all inputs, an answer may take
this many times as long (EvalPlus's factor)."""

_MATCHES = {
    "HumanEval/32": Match.ROOT,
    "Mbpp/164": Match.ANY,
    "Mbpp/295": Match.OR_ZERO,
    "Mbpp/558": Match.EITHER,
    "Mbpp/581": Match.EITHER,
    **dict.fromkeys((f"Mbpp/{n}" for n in (2, 7, 111, 140, 232, 249, 579, 769)), Match.SET),
}
_PRESENCE_ENTRIES = ("check_str", "text_match_three", "text_starta_endb")


def load_evalplus(
    path: Path,
    sandbox: Sandbox,
    tests: Tests = "plus",
    cache: Path | None = None,
    skip_broken: bool = False,
) -> Loaded:
    """HumanEval+ or MBPP+ with expected outputs.

    cache: folder for computed outputs, keyed by the file's content; none computes them each time.
    An input on which the canonical solution gives nothing that can be stored (a literal of at most
    4 MiB, within the sandbox's limits) is left out, counted; so is a task without any other.
    """
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None
    kept = cache / f"evalplus-{CONVERSION}-{digest}-{tests}.jsonl.gz" if cache else None
    if kept and kept.is_file():
        return Loaded(load_questions(kept).questions, _read_skipped(kept))
    pending = collect(path, lambda row: _pending(row, tests), skip_broken)
    questions, skipped = _resolve(pending.questions, sandbox, path)
    loaded = Loaded(tuple(questions), (*pending.skipped, *skipped))
    # A wall timeout tells of a busy machine, not of the input: next time it may have an output.
    if kept and not any(skip.reason.endswith(Verdict.TIMEOUT_WALL) for skip in skipped):
        _keep_file(kept, loaded)
    return loaded


def _keep_file(kept: Path, loaded: Loaded) -> None:
    """Write the cache; the questions come last, so that a cache that exists is whole."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    skipped = [[skip.where, skip.reason] for skip in loaded.skipped]
    _skipped_path(kept).write_text(json.dumps(skipped), encoding="ascii")
    part = kept.with_name(f"part-{kept.name}")
    write_questions(part, loaded.questions)
    part.replace(kept)


def _read_skipped(kept: Path) -> tuple[Skipped, ...]:
    pairs = json.loads(_skipped_path(kept).read_text(encoding="ascii"))
    return tuple(Skipped(where, reason) for where, reason in pairs)


def _skipped_path(kept: Path) -> Path:
    return kept.with_name(kept.name.replace(".jsonl.gz", "-skipped.json"))


def load_evalplus_statements(path: Path, skip_broken: bool = False) -> Loaded:
    """The same questions without tests: for looking at texts, which needs no sandbox."""
    pending = collect(path, lambda row: _pending(row, "base"), skip_broken)
    return replace(pending, questions=tuple(replace(q, hidden=()) for q in pending.questions))


def _pending(row: Row, tests: Tests) -> Question | Skipped:
    """A question whose outputs are still empty."""
    task, entry = row.text("task_id"), row.text("entry_point")
    source = "humaneval+" if task.startswith("HumanEval/") else "mbpp+"
    if not entry.isidentifier():
        row.fail(f"entry_point must be a name, got {entry!r:.60}")
    inputs = row.array("base_input") + (_plus_inputs(row) if tests == "plus" else [])
    prompt = row.text("prompt")
    return Question(
        id=task,
        source=source if tests == "plus" else source.removesuffix("+"),
        form=Form.FUNCTION,
        statement="" if source == "humaneval+" else prompt.strip().strip('"').strip(),
        starter_code=prompt if source == "humaneval+" else "",
        entry=entry,
        hidden=tuple(Example(_arguments(row, task, given), "") for given in inputs),
        match=Match.PRESENCE if entry in _PRESENCE_ENTRIES else _MATCHES.get(task, Match.CLOSE),
        atol=row.number("atol", 0.0),
        reference=prompt + row.text("canonical_solution"),
    )


def _plus_inputs(row: Row) -> list[Any]:
    """EvalPlus writes {} where a task has no inputs of its own."""
    return [] if row.fields.get("plus_input") == {} else row.array("plus_input")


def _arguments(row: Row, task: str, given: object) -> str:
    """The text of one call's arguments, with MBPP's tuples, sets and complex numbers restored."""
    if not isinstance(given, list):
        row.fail(f"an input must be a list of arguments, got {given!r:.100}")
    try:
        converters = _MBPP_ARGUMENTS.get(task, (_keep,))
        values = [convert(value) for convert, value in zip(cycle(converters), given)]
        # Not the canonical form: that sorts dictionaries, and programs may look at their order.
        return ", ".join(map(repr, values))
    except (TypeError, ValueError, AttributeError) as error:
        row.fail(f"input {given!r:.100} does not fit task {task}: {error}")


def _resolve(
    pending: tuple[Question, ...], sandbox: Sandbox, path: Path
) -> tuple[list[Question], list[Skipped]]:
    """Fill in what the canonical solutions return."""
    questions: list[Question] = []
    skipped: list[Skipped] = []
    results = sandbox.map([_canonical_run(q, q.hidden) for q in pending])
    for question, result in zip(pending, results, strict=True):
        pairs, seconds = list(zip(question.hidden, result.outputs, strict=False)), result.cpu_ms
        if not result.ok:  # one input at a time, to lose no more than must be lost
            alone = sandbox.map([_canonical_run(question, (test,)) for test in question.hidden])
            pairs = [(e, r.outputs[0]) for e, r in zip(question.hidden, alone, strict=True) if r.ok]
            seconds = sum(r.cpu_ms for r in alone if r.ok)
            skipped += [
                Skipped(f"{path}: {question.id}: {test.input[:60]}", f"canonical run: {r.verdict}")
                for test, r in zip(question.hidden, alone, strict=True)
                if not r.ok
            ]
        if pairs:
            questions.append(_with_outputs(question, pairs, seconds / 1000))
        else:
            skipped.append(Skipped(f"{path}: {question.id}", "no expected output"))
    return questions, skipped


def _canonical_run(question: Question, tests: tuple[Example, ...]) -> Func:
    return Func(
        question.program(question.reference or ""),
        tuple(test.input for test in tests),
        entry=question.entry,
        cpu_seconds=CANONICAL_SECONDS,
    )


def _with_outputs(
    question: Question, pairs: list[tuple[Example, bytes]], seconds: float
) -> Question:
    outputs = [output.decode() for _, output in pairs]
    slow = TIME_FACTOR * seconds if seconds > SLOW_SECONDS else None
    return replace(
        question,
        hidden=tuple(Example(test.input, output.decode()) for test, output in pairs),
        match=_settled(question, outputs),
        cpu_seconds=slow,
    )


def _settled(question: Question, outputs: list[str]) -> Match:
    """CLOSE only where it can matter: EvalPlus compares exactly unless floats are expected."""
    if question.match is not Match.CLOSE or question.atol > 0:
        return question.match
    return Match.CLOSE if any(holds_floats(parse_literal(o)) for o in outputs) else Match.EXACT


def holds_floats(value: object) -> bool:
    """A float, or a list or tuple of nothing else: what EvalPlus compares with a tolerance."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


# -- MBPP+ arguments: JSON has lists only; these tasks expect other types --------------------

_Converter = Callable[[Any], Any]


def _keep(value: Any) -> Any:
    return value


def _tuples(value: Any) -> list[Any]:
    return [tuple(item) for item in value]


def _tuple_of_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def _deep_tuple(value: Any) -> Any:
    return tuple(_deep_tuple(item) for item in value) if isinstance(value, list) else value


def _sets(value: Any) -> list[Any]:
    return [set(item) if isinstance(item, list) and item else {} for item in value]


def _tuple_values(value: Any) -> dict[Any, Any]:
    return {key: tuple(item) for key, item in value.items()}


def _mbpp_arguments() -> Iterator[tuple[str, tuple[_Converter, ...]]]:
    table: list[tuple[tuple[_Converter, ...], tuple[int, ...]]] = [
        ((tuple,), (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424)),
        ((tuple,), (429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809)),
        ((_tuples,), (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)),
        ((_tuples, _keep), (75, 413, 444, 753)),
        ((_keep, tuple), (106, 750)),
        ((tuple, _keep), (250, 405, 446, 617, 720, 763, 808)),
        ((_tuple_of_tuples,), (259, 278, 401, 445)),
        ((tuple, _keep, _keep), (307,)),
        ((_tuple_values, _keep, _keep), (722,)),
        ((_deep_tuple,), (580, 615, 791)),
        ((_sets,), (115,)),
        ((float, complex), (124,)),
        ((complex,), (252,)),
    ]
    for converters, tasks in table:
        for task in tasks:
            yield f"Mbpp/{task}", converters


_MBPP_ARGUMENTS = dict(_mbpp_arguments())
