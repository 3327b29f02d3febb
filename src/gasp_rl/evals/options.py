"""Options that the verbs of evaluation share: groups of them, and how they become objects."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gasp_rl.errors import ConfigError

if TYPE_CHECKING:
    from gasp_rl.evals.judge import Grading
    from gasp_rl.evals.models import ModelOptions
    from gasp_rl.evals.prompts import OwnPrompter, Prompter
    from gasp_rl.evals.runner import Benchmark
    from gasp_rl.evals.sampler import Sampling
    from gasp_rl.problems.selection import Selection
    from gasp_rl.sandbox import Sandbox

JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with the sets (or GASP_DATA).")
]


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """Let a verb take groups of options: each parameter whose type is one of the dataclasses below
    becomes that group's options, one by one, as typer wants them."""
    groups = inspect.signature(verb).parameters
    options: list[inspect.Parameter] = []
    for parameter in groups.values():
        members = fields(parameter.annotation) if is_dataclass(parameter.annotation) else ()
        options += [
            inspect.Parameter(
                f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type
            )
            for f in members
        ] or [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]

    @functools.wraps(verb)
    def run(**given: Any) -> None:
        arguments = {}
        for name, parameter in groups.items():
            group = parameter.annotation
            arguments[name] = (
                group(**{f.name: given[f.name] for f in fields(group)})
                if isinstance(group, type) and is_dataclass(group)
                else given[name]
            )
        verb(**arguments)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionOptions:
    """Which questions."""

    on: Annotated[
        str, typer.Option(help="Sets with commas between: lcb-v5, humaneval+=FILE, FILE.jsonl.")
    ] = ""
    data: DataOption = None
    since: Annotated[str | None, typer.Option(help="First day of the window.")] = None
    before: Annotated[str | None, typer.Option(help="First day after the window.")] = None
    ids: Annotated[Path | None, typer.Option(help="File with the ids to keep, one a line.")] = None
    platform: Annotated[str, typer.Option(help="Keep these, with commas between.")] = ""
    difficulty: Annotated[str, typer.Option(help="Keep these, with commas between.")] = ""
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Count broken rows instead of stopping at them.")
    ] = False

    def selection(self) -> "Selection":
        """The filter that the window, id, platform and difficulty options ask for."""
        from gasp_rl.problems.selection import Selection, read_ids

        return Selection(
            since=self.since,
            before=self.before,
            ids=read_ids(self.ids) if self.ids else (),
            platforms=_words(self.platform),
            difficulties=_words(self.difficulty),
        )

    def benchmarks(self, sandbox: "Sandbox", say: bool = True) -> "list[Benchmark]":
        """The chosen sets; `say` prints what each is and what it left out."""
        if not self.on:
            raise ConfigError(
                "say on which sets: --on lcb-v5,humaneval+ (see `gasp problems sets`)"
            )
        return self._load(self.on, self.selection(), sandbox, say)

    def evaluation_sets(self, names: str, sandbox: "Sandbox | None") -> "list[Benchmark]":
        """The sets of another list, unfiltered; without a sandbox EvalPlus's have no tests."""
        return self._load(names, None, sandbox, True) if names else []

    def _load(
        self, names: str, narrow: "Selection | None", sandbox: "Sandbox | None", say: bool
    ) -> "list[Benchmark]":
        from gasp_rl.evals.runner import Benchmark
        from gasp_rl.problems.load import Source, default_cache, expand, load_set

        source = Source(self.data, sandbox, default_cache(), self.skip_broken)
        benchmarks = []
        for spec in expand(names):
            found = load_set(spec, source, narrow)
            left_out = found.loaded.skip_counts()
            if say:
                print(f"{found.name}: {found.described}")
                for reason, count in left_out.items():
                    print(f"{found.name}: {count} left out: {reason}")
            questions = found.loaded.questions
            benchmarks.append(Benchmark(found.name, questions, found.described, left_out))
        return benchmarks


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingOptions:
    """How answers are judged."""

    stdin_grader: Annotated[
        str | None, typer.Option(help="Programs on stdin: real (default), or lcb_compat.")
    ] = None
    cpu_seconds: Annotated[
        float | None, typer.Option(min=0.01, help="CPU seconds of one program.")
    ] = None

    def grading(self, stored: dict[str, Any] | None = None) -> "Grading":
        """The grading rule; what no option says is as in the `stored` settings.

        Raises `ConfigError` for an unknown grader.
        """
        from gasp_rl.evals.judge import Grading

        stored = stored or {}
        grader = self.stdin_grader or stored.get("stdin_grader", "real")
        seconds = stored.get("cpu_seconds") if self.cpu_seconds is None else self.cpu_seconds
        match grader:
            case "real" | "lcb_compat":
                return Grading(stdin=grader, cpu_seconds=seconds)
            case _:
                raise ConfigError(f"--stdin-grader {grader}: write real or lcb_compat")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingOptions:
    """How models are asked."""

    temperature: Annotated[
        float, typer.Option(min=0.0, help="Sampling temperature; 0 is greedy.")
    ] = 0.6
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus of the draws.")] = 1.0
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest completion.")] = 2048
    style: Annotated[str, typer.Option(help="chat, completion or think-answer.")] = "chat"
    template: Annotated[Path | None, typer.Option(help="Prompts instead of the shipped ones.")] = (
        None
    )
    served_name: Annotated[str, typer.Option(help="Endpoint: name of the model.")] = "default"
    concurrency: Annotated[int, typer.Option(min=1, help="Endpoint: requests at once.")] = 16
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = 0

    def prompter(self, model: str) -> "Prompter | OwnPrompter":
        """The prompts for a model. Raises `ConfigError` for an unknown style."""
        from gasp_rl.evals.prompts import Style, prompter_for

        if self.style not in tuple(Style):
            raise ConfigError(f"--style {self.style}: write one of {', '.join(Style)}")
        return prompter_for(model, Style(self.style), self.template)

    def sampling(self, prompter: "Prompter | OwnPrompter", n: int) -> "Sampling":
        """How to draw `n` samples. Raises `ConfigError` where they would all be equal."""
        from gasp_rl.evals.sampler import Sampling

        if self.temperature == 0 and n > 1:
            raise ConfigError(
                f"--temperature 0 gives {n} equal samples: use -n 1 for greedy pass@1"
            )
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=prompter.stop,
        )

    def model_options(self) -> "ModelOptions":
        """How models are opened."""
        from gasp_rl.evals.models import ModelOptions

        return ModelOptions(served_name=self.served_name, concurrency=self.concurrency)


def open_sandbox() -> "Sandbox":
    """A sandbox that lets through outputs as long as EvalPlus needs them."""
    from gasp_rl.config import SandboxConfig
    from gasp_rl.evals.judge import OUTPUT_BYTES
    from gasp_rl.sandbox import Sandbox

    return Sandbox(SandboxConfig(output_bytes=OUTPUT_BYTES))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
