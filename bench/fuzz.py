"""Coverage-guided fuzzing of everything that reads a model's text (atheris, libFuzzer).

    python bench/fuzz.py --inputs 1000000              # every parser, one after the other
    python bench/fuzz.py --target literals --inputs 1000

A target fails on an exception that it should not raise, on a broken promise (an answer that cannot
be read again, a line that is not one line) and on an input that takes ten seconds. Prints one line a
target; libFuzzer leaves the offending input in the working folder.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gasp_rl"]):
    from gasp_rl.curriculum.novelty import folded_tokens
    from gasp_rl.evals.extract import Extraction, extract, extract_answer
    from gasp_rl.roles.teacher import (
        Draft,
        parse_description,
        parse_program,
        parse_proposal,
    )
    from gasp_rl.sandbox.canonical import (
        LiteralError,
        encode,
        literal,
        parse_arguments,
        parse_literal,
        same,
    )
    from gasp_rl.store.codec import label_of, pack_text, unpack_text
    from gasp_rl.tasks import Form
    from gasp_rl.tasks.answers import blocks, final_part
    from gasp_rl.tasks.kinds import Abduction, Deduction, Induction
    from gasp_rl.ui.safe import block, one_line, visible

MAX_BYTES = 4096

SEEDS = (
    "<think>so</think><answer>```python\ndef f(x):\n    return x\n```</answer>",
    "```message\nAdd one.\n```\n```python\ndef f(x, y=2):\n    return x + y\n```\n"
    "```inputs\n1\n2, 3\n[1, 'a']\n{'k': (1.5, None)}, {1, 2}\n-1e3\n```",
    "```output\n{'b': [1, 2], 'a': {3}}\n```",
    "```input\n'it''s', b'\\x00', 1_000, 1e-5, 2j, True\n```",
    "(1, [2, {3: 'x'}], frozenset({4}), float('nan'), -0.0)",
    "def f(a):\n\treturn {k: v for k, v in a.items() if v}  # \u202e \ud7ff",
)


def proposals(text: str) -> None:
    for draft in (parse_proposal(text, 2), parse_program(text), parse_description(text, "x", 2)):
        if isinstance(draft, Draft):
            assert len({encode(parse_arguments(line)) for line in draft.inputs}) == len(
                draft.inputs
            )


def answers(text: str) -> None:
    for found in blocks(final_part(text)):
        assert found.body in text
    for kind in (Induction, Deduction, Abduction):
        answer = kind.parse(text)
        assert answer is None or answer.strip()


def extraction(text: str) -> None:
    for how in Extraction:
        assert extract(text, how) in text
        for form in Form:
            extract_answer(text, how, form)


def literals(text: str) -> None:
    for parse in (parse_literal, parse_arguments):
        try:
            data = encode(parse(text))
        except LiteralError:
            continue
        assert literal(data).encode() == data
        assert same(data, data)


def tokens(text: str) -> None:
    assert all(folded_tokens(text))


def display(text: str) -> None:
    assert unpack_text(pack_text(text)) == text
    assert label_of(text).isprintable()
    assert one_line(text).isprintable()
    assert all(c.isprintable() or c in "\n\t" for c in visible(text) + block(text))


TARGETS: dict[str, Callable[[str], None]] = {
    target.__name__: target
    for target in (proposals, answers, extraction, literals, tokens, display)
}


def fuzz(name: str, inputs: int) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        # Any sequence of characters, lone surrogates too: a tokenizer may decode to anything.
        target(data.decode("utf-8", "surrogateescape"))

    with tempfile.TemporaryDirectory() as corpus:
        for i, seed in enumerate(SEEDS):
            (Path(corpus) / str(i)).write_text(seed, encoding="utf-8")
        options = [f"-runs={inputs}", f"-max_len={MAX_BYTES}", "-timeout=10", "-seed=1"]
        atheris.Setup([sys.argv[0], *options, "-verbosity=0", corpus], one_input)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.target:
        fuzz(options.target, options.inputs)
        return
    failed = False
    for name in TARGETS:
        started = time.monotonic()
        command = [sys.executable, __file__, "--target", name, "--inputs", str(options.inputs)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
        seconds = time.monotonic() - started
        verdict = "FAILED" if done.returncode else "passed"
        print(f"{name}: {options.inputs:,} inputs, {verdict}, {seconds:.0f} s", flush=True)
        if done.returncode:
            failed = True
            print(done.stderr[-4000:])
    sys.exit(failed)


if __name__ == "__main__":
    main()
