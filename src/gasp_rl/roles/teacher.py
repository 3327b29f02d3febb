"""Reading a proposal out of what the teacher wrote. Parsing never raises."""

from dataclasses import dataclass

from gasp_rl.sandbox.canonical import LiteralError, encode, parse_arguments
from gasp_rl.tasks.answers import Block, blocks, final_part

MAX_PROGRAM = 20_000
MAX_MESSAGE = 10_000
"""Longest program and message, in characters."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposal as written: not yet run, so without outputs."""

    program: str
    message: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unparsable:
    """Why no proposal could be read."""

    reason: str


def parse_proposal(completion: str, inputs: int) -> Draft | Unparsable:
    """The last python block, the last message block, and `inputs` different inputs.

    Inputs stand one a line in an `inputs` block, or one to a block in several `input` blocks;
    further ones are dropped.
    """
    found = blocks(final_part(completion))
    programs = [b.body for b in found if b.label in ("python", "py", "python3")]
    messages = [b.body.strip() for b in found if b.label == "message"]
    if not programs or not programs[-1].strip():
        return Unparsable("no python block")
    if not messages or not messages[-1]:
        return Unparsable("no message block")
    program, message = programs[-1], messages[-1]
    if len(program) > MAX_PROGRAM:
        return Unparsable(f"program of {len(program)} characters, at most {MAX_PROGRAM}")
    if len(message) > MAX_MESSAGE:
        return Unparsable(f"message of {len(message)} characters, at most {MAX_MESSAGE}")
    if program.strip() in message:
        return Unparsable("the message gives the program away")
    return _with_inputs(program, message, _input_lines(found), inputs)


def parse_program(completion: str) -> Draft | Unparsable:
    """A program with one input, for deduction and abduction; a message may stand beside it."""
    found = blocks(final_part(completion))
    programs = [b.body for b in found if b.label in ("python", "py", "python3")]
    messages = [b.body.strip() for b in found if b.label == "message"]
    if not programs or not programs[-1].strip():
        return Unparsable("no python block")
    if len(programs[-1]) > MAX_PROGRAM:
        return Unparsable(f"program of {len(programs[-1])} characters, at most {MAX_PROGRAM}")
    message = messages[-1] if messages and len(messages[-1]) <= MAX_MESSAGE else ""
    return _with_inputs(programs[-1], message, _input_lines(found), 1)


def parse_description(completion: str, program: str, inputs: int) -> Draft | Unparsable:
    """A message and `inputs` different inputs for a program that was given, for induction."""
    found = blocks(final_part(completion))
    messages = [b.body.strip() for b in found if b.label == "message"]
    if not messages or not messages[-1]:
        return Unparsable("no message block")
    if len(messages[-1]) > MAX_MESSAGE:
        return Unparsable(f"message of {len(messages[-1])} characters, at most {MAX_MESSAGE}")
    if program.strip() in messages[-1]:
        return Unparsable("the message gives the program away")
    return _with_inputs(program, messages[-1], _input_lines(found), inputs)


def _input_lines(found: list[Block]) -> list[str]:
    lines = [line for b in found if b.label == "inputs" for line in b.body.splitlines()]
    lines += [b.body for b in found if b.label == "input"]
    return [line.strip() for line in lines if line.strip()]


def _with_inputs(program: str, message: str, lines: list[str], inputs: int) -> Draft | Unparsable:
    different: dict[bytes, str] = {}
    for line in lines:
        try:
            different.setdefault(encode(parse_arguments(line)), line)
        except LiteralError as error:
            return Unparsable(f"input {line[:60]!r} is not a list of literals: {error}")
    if len(different) < inputs:
        return Unparsable(f"{len(different)} different inputs, {inputs} needed")
    return Draft(program, message, tuple(different.values())[:inputs])
