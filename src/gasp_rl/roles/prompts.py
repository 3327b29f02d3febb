"""Prompts of both roles from one template file.

A lift is written from a lemma alone: `PromptBook.lift` takes the lemma's task, and no prompt that
it makes can hold a goalpost, which is of another type.
"""

import shutil
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from gasp_rl.errors import DataError
from gasp_rl.sandbox.canonical import encode, parse_literal
from gasp_rl.tasks import Form, Induction, Question, Task
from gasp_rl.types import Axis, Example, Stage

FILE = "prompts.toml"
"""Name of the template file that a model folder may hold."""

_FORMAT = {
    "example": "f($input) == $output",
    "raw_example": "Input:\n$input\nOutput:\n$output",
    "reference": "$program",
}
"""How pairs and reference programs are written where a file does not say it. `raw_example` is for
tests that are no arguments of a call: those of questions on stdin, or with a given class."""

_STUDENT = ("induction", "deduction", "abduction")
_TEACHER = ("lemma_io", "lemma_f", "lift_io", "lift_f")

_OWN = {"form", "program_form", "inputs"}
_REAL = {"statement", "starter"}
_LEMMA = {"message", "examples", *_OWN}
_GIVEN = {"message", "program", "examples", *_OWN}
_FIELDS = {
    "format": {
        "example": {"input", "output"},
        "raw_example": {"input", "output"},
        "reference": {"message", "program", "examples"},
    },
    "student": {
        "induction": {"message", "examples"},
        "deduction": {"program", "input"},
        "abduction": {"program", "output"},
        "program": _REAL,
        "method": _REAL,
    },
    "teacher": {
        "lemma_io": _LEMMA,
        "lemma_f": _LEMMA,
        "lift_io": _GIVEN,
        "lift_f": _GIVEN,
        "propose_deduction": {"references", *_OWN},
        "propose_abduction": {"references", *_OWN},
        "propose_induction": _GIVEN,
        "composite": {"helpers", *_OWN},
        "form": {"inputs"},
        "program_form": set[str](),
    },
}
"""Which fields the templates of each section may hold."""


Fields = Mapping[str, str | Sequence[Example]]
"""What a template's placeholders stand for: texts, and examples that are rendered."""


@dataclass(frozen=True, slots=True)
class PromptBook:
    """Templates with `$fields`; substitution happens once, so model text is never a template."""

    version: str
    student_templates: Mapping[str, str]
    teacher_templates: Mapping[str, str]
    example: str
    raw_example: str = _FORMAT["raw_example"]
    reference: str = _FORMAT["reference"]
    identity: Induction | None = None

    def student(self, task: Task) -> str:
        """What the student is asked about a task of self-play."""
        return self._fill(self.student_templates[task.kind], task.seen())

    def question(self, question: Question) -> str:
        """What the student is asked about a real problem."""
        if question.form is Form.FUNCTION and not question.starter_code:
            fields: Fields = {"message": question.statement, "examples": question.shown}
            return self._fill(self.student_templates["induction"], fields)
        name = "program" if question.form is Form.STDIN else "method"
        if name not in self.student_templates:
            raise DataError(
                f"prompts {self.version!r} have no student template {name!r}, which the "
                f"{question.source} question {question.id} needs"
            )
        fields = {"statement": question.statement, "starter": question.starter_code}
        return self._fill(self.student_templates[name], fields)

    def lemma(self, goalpost: Question, axis: Axis, inputs: int) -> str:
        """Ask the teacher for an easier variant of a goalpost."""
        statement = goalpost.statement
        if goalpost.starter_code:
            statement = f"{statement}\n\n{goalpost.starter_code}"
        raw = goalpost.form in (Form.STDIN, Form.METHOD)
        shown = self._examples(goalpost.shown, self.raw_example if raw else self.example)
        return self._teacher(f"lemma_{axis}", {"message": statement, "examples": shown}, inputs)

    def lift(self, lemma: Induction, axis: Axis, inputs: int) -> str:
        """Ask the teacher for a harder variant of an accepted lemma, of which alone it knows."""
        if not isinstance(lemma, Induction):
            raise TypeError(
                f"a lift is written from a lemma's task, not from {type(lemma).__name__}"
            )
        fields: Fields = {
            "message": lemma.message,
            "program": lemma.program,
            "examples": lemma.shown,
        }
        return self._teacher(f"lift_{axis}", fields, inputs)

    def propose(
        self,
        stage: Stage,
        references: Sequence[Induction],
        inputs: int,
        helpers: Sequence[str] = (),
    ) -> str:
        """Ask for a new program to predict (deduction) or to invert (abduction), unlike those.

        helpers: programs that it must call, as g_0, g_1, ...
        """
        shown = "\n".join(self._reference(task) for task in references)
        prompt = self._teacher(f"propose_{stage}", {"references": shown}, inputs)
        if not helpers:
            return prompt
        named = "\n".join(f"g_{i}, here called f:\n{h}" for i, h in enumerate(helpers))
        return prompt + self._teacher("composite", {"helpers": named}, inputs)

    def describe(self, given: Induction, inputs: int) -> str:
        """Ask for a message and inputs from which a given program can be inferred."""
        fields: Fields = {
            "message": given.message,
            "program": given.program,
            "examples": given.shown,
        }
        return self._teacher(f"propose_{Stage.INDUCTION}", fields, inputs)

    def _reference(self, task: Induction) -> str:
        pairs = (task.shown + task.hidden)[:1]
        fields: Fields = {"message": task.message, "program": task.program, "examples": pairs}
        return self._fill(self.reference, fields).strip("\n")

    def _teacher(self, name: str, fields: Fields, inputs: int) -> str:
        if name not in self.teacher_templates:
            raise DataError(f"prompts {self.version!r} have no teacher template {name!r}")
        form = Template(self.teacher_templates.get("form", "")).safe_substitute(inputs=inputs)
        own = {
            "form": form.strip(),
            "program_form": self.teacher_templates.get("program_form", "").strip(),
            "inputs": str(inputs),
        }
        return self._fill(self.teacher_templates[name], {**own, **fields})

    def _fill(self, template: str, fields: Fields) -> str:
        texts = {
            name: value if isinstance(value, str) else self._examples(value, self.example)
            for name, value in fields.items()
        }
        return Template(template).substitute(texts)

    @staticmethod
    def _examples(examples: Sequence[Example], form: str) -> str:
        template = Template(form)
        pairs = [(e.input.rstrip("\n"), e.output.rstrip("\n")) for e in examples]
        return "\n".join(template.substitute(input=i, output=o) for i, o in pairs)


def load_prompts(model_folder: Path | None = None) -> PromptBook:
    """The model folder's own `prompts.toml`, else the English templates that ship here."""
    own = model_folder / FILE if model_folder else None
    if own is not None and own.is_file():
        return parse_prompts(own.read_text(encoding="utf-8"), str(own))
    shipped = resources.files("gasp_rl.roles") / "english.toml"
    return parse_prompts(shipped.read_text(encoding="utf-8"), "english.toml")


def copy_own_prompts(model_folder: Path, target: Path) -> None:
    """A checkpoint is asked as its base was: a model folder's own templates go with it."""
    own = model_folder / FILE
    if own.is_file():
        shutil.copyfile(own, target / FILE)


def parse_prompts(text: str, origin: str) -> PromptBook:
    """Read a template file; `DataError` names what is missing."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{origin}: not valid TOML: {error}") from None
    student, teacher = _section(tree, "student", origin), _section(tree, "teacher", origin)
    needed = [("student", student, _STUDENT), ("teacher", teacher, _TEACHER)]
    for section, templates, names in needed:
        for name in names:
            if not isinstance(templates.get(name), str):
                raise DataError(f"{origin}: no template {name!r} in [{section}]")
    form = {**_FORMAT, **_section(tree, "format", origin)}
    for section, templates in (("format", form), ("student", student), ("teacher", teacher)):
        for name, template in templates.items():
            _require_known_fields(
                template, _FIELDS[section].get(name), f"{origin}: [{section}] {name}"
            )
    return PromptBook(
        version=str(tree.get("version", origin)),
        student_templates={k: v.removeprefix("\n") for k, v in student.items()},
        teacher_templates={k: v.removeprefix("\n") for k, v in teacher.items()},
        example=form["example"],
        raw_example=form["raw_example"],
        reference=form["reference"],
        identity=_identity(tree["identity"], origin) if "identity" in tree else None,
    )


def _section(tree: Mapping[str, Any], name: str, origin: str) -> Mapping[str, Any]:
    section = tree.get(name, {})
    if not isinstance(section, dict):
        raise DataError(f"{origin}: {name} is no section; write [{name}]")
    return section


def _require_known_fields(template: Any, fields: Set[str] | None, where: str) -> None:
    """fields: those that it may hold; None for a template that this package does not know."""
    if not isinstance(template, str):
        raise DataError(f"{where} is no text")
    if not Template(template).is_valid():
        raise DataError(f"{where}: holds a $ that names no field; write $$")
    unknown = [
        f"${name}"
        for name in Template(template).get_identifiers()
        if name not in (fields or {name})
    ]
    if unknown:
        known = ", ".join(f"${name}" for name in sorted(fields or ())) or "none"
        raise DataError(
            f"{where}: {', '.join(unknown)} names no field; its fields are {known}; a plain $ is $$"
        )


def _identity(section: Mapping[str, Any], origin: str) -> Induction:
    """The identity program with inputs of this model's kind, which come back unchanged."""
    try:
        pairs = [Example(text, encode(parse_literal(text)).decode()) for text in section["inputs"]]
        half = len(pairs) // 2
        program = section["program"].strip("\n")
        return Induction(program, section["message"], tuple(pairs[:half]), tuple(pairs[half:]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{origin}: [identity] needs message, program, inputs: {error}") from None
