"""How real questions are put to a model: three styles, one file of texts, one version."""

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from gasp_rl.errors import DataError
from gasp_rl.evals.extract import Extraction, extract_answer
from gasp_rl.problems.embedded import model_place
from gasp_rl.roles.prompts import FILE, PromptBook, load_prompts
from gasp_rl.tasks import Induction
from gasp_rl.tasks.question import Form, Question


class Style(StrEnum):
    """Which of the three ways a model is asked in."""

    CHAT = "chat"  # messages for the tokenizer's chat template; the last fenced block answers
    COMPLETION = "completion"  # a text that a base model continues up to the closing fence
    THINK_ANSWER = "think-answer"  # messages; the answer stands in <answer> tags (AZR)
    OWN = "own"  # the prompts.toml of the model's folder, as in self-play


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str


_PLACEHOLDER = re.compile(r"\{(entry|given|program|question)\}")

Prompt = str | tuple[Message, ...]
"""Plain text to continue, or messages for a chat template."""


@dataclass(frozen=True, slots=True)
class Prompter:
    """Renders prompts of one style and reads answers back.

    version: stands in every result; two versions are two experiments.

    Example::

        prompter = load_prompter(Style.CHAT)
        answer = prompter.answer(question, completion)
    """

    style: Style
    version: str
    texts: dict[str, str]

    def prompt(self, question: Question) -> Prompt:
        """The prompt for a question: hidden tests and references never enter it."""
        fillings = _fillings(question, self.style)
        text = self.texts[question.form.value].lstrip("\n")
        # One pass: what a question says is never searched for placeholders.
        text = _PLACEHOLDER.sub(lambda match: fillings.get(match[1], match[0]), text)
        if self.style is Style.COMPLETION:
            return text + _opening(question)
        system = self.texts.get("system", "").strip()
        messages = (Message("system", system),) if system else ()
        return (*messages, Message("user", text))

    def answer(self, question: Question, completion: str) -> str:
        """The answer in a completion; "" where there is none."""
        style = self.style
        match style:
            case Style.CHAT:
                return extract_answer(completion, Extraction.LAST_FENCE, question.form)
            case Style.THINK_ANSWER:
                return extract_answer(completion, Extraction.ANSWER_TAG, question.form)
            case Style.COMPLETION:
                return _opening(question) + completion.split("```", 1)[0]
            case Style.OWN:
                raise TypeError(
                    "a model's own prompts are a PromptBook, not a template of this file"
                )

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts at which sampling may stop without losing anything."""
        style = self.style
        match style:
            case Style.CHAT:
                return ()
            case Style.COMPLETION:
                return ("```",)
            case Style.THINK_ANSWER:
                return ("</answer>",)
            case Style.OWN:
                raise TypeError(
                    "a model's own prompts are a PromptBook, not a template of this file"
                )


@dataclass(frozen=True, slots=True)
class OwnPrompter:
    """Asks a model as self-play asks its student, with the prompts of the model's folder."""

    book: PromptBook

    style = Style.OWN
    stop: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return self.book.version

    def prompt(self, question: Question) -> Prompt:
        return self.book.question(question)

    def answer(self, question: Question, completion: str) -> str:
        return Induction.parse(completion) or ""


def prompter_for(model: str, style: Style, template: Path | None = None) -> Prompter | OwnPrompter:
    """The folder's own prompts where it brings any (and no template is given), else `style`'s."""
    folder = model_place(model)
    if template is None and (style is Style.OWN or (folder / FILE).is_file()):
        return OwnPrompter(load_prompts(folder))
    return load_prompter(style, template)


def load_prompter(style: Style, template: Path | None = None) -> Prompter:
    """The shipped prompts, or those of a template file with the same layout.

    A template's version is the file's own plus its name, so that results cannot be confused.
    """
    if template is None:
        source = resources.files("gasp_rl.evals") / "prompts.toml"
        tree, origin = tomllib.loads(source.read_text(encoding="utf-8")), "prompts.toml"
    else:
        origin = str(template)
        try:
            tree = tomllib.loads(template.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{origin}: cannot be read as a prompt template: {error}") from None
    texts = _texts(tree, style, origin)
    version = tree.get("version")
    if not isinstance(version, str) or not version:
        raise DataError(f'{origin}: no version: write version = "..." and change it with any text')
    return Prompter(style, version if template is None else f"{template.name}:{version}", texts)


def _texts(tree: dict[str, Any], style: Style, origin: str) -> dict[str, str]:
    section = tree.get(style.value)
    if not isinstance(section, dict):
        raise DataError(f"{origin}: no section [{style.value}]")
    wanted = [form.value for form in Form]
    for name in wanted:
        if not isinstance(section.get(name), str):
            raise DataError(f"{origin}: [{style.value}] has no text for {name}")
        if not {"question", "program"} & set(_PLACEHOLDER.findall(section[name])):
            raise DataError(
                f"{origin}: [{style.value}] {name} holds neither {{question}} nor {{program}}, so "
                "that a model would not see what it is asked"
            )
    for name, value in section.items():
        if name not in [*wanted, "system"] or not isinstance(value, str):
            raise DataError(f"{origin}: [{style.value}] {name} is no prompt text")
    return dict(section)


def _fillings(question: Question, style: Style) -> dict[str, str]:
    """Values of the placeholders that apply to this form."""
    fillings = {"entry": question.entry, "question": _question_text(question, style)}
    if question.form in (Form.OUTPUT, Form.INPUT):
        pair = question.hidden[0]
        fillings["given"] = pair.input if question.form is Form.OUTPUT else pair.output
        fillings["program"] = question.starter_code.strip()
    return fillings


def _question_text(question: Question, style: Style) -> str:
    parts = [question.statement.strip()]
    if question.starter_code.strip() and not _opening_shows_code(question, style):
        parts.append(f"```python\n{question.starter_code.rstrip()}\n```")
    if question.form is Form.FUNCTION and question.shown:
        lines = [f"{question.entry}({e.input}) == {e.output}" for e in question.shown]
        parts.append("Examples:\n" + "\n".join(lines))
    return "\n\n".join(part for part in parts if part)


def _opening_shows_code(question: Question, style: Style) -> bool:
    return style is Style.COMPLETION and bool(_opening(question))


def _opening(question: Question) -> str:
    """Code that a base model continues: HumanEval's signature and docstring."""
    if question.form in (Form.ASSERTS, Form.FUNCTION) and not question.statement.strip():
        return question.starter_code
    return ""
