"""Options that the verbs of evaluation share, and how they become objects."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gasp_rl.evals.judge import Grading
    from gasp_rl.evals.prompts import Style
    from gasp_rl.evals.runner import Benchmark
    from gasp_rl.problems.load import Source
    from gasp_rl.problems.selection import Selection
    from gasp_rl.sandbox import Sandbox

OnOption = Annotated[
    str, typer.Option("--on", help="Sets with commas between: lcb-v5, humaneval+=FILE, FILE.jsonl.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with the sets (or GASP_DATA).")
]
SinceOption = Annotated[str | None, typer.Option(help="First day of the window.")]
BeforeOption = Annotated[str | None, typer.Option(help="First day after the window.")]
IdsOption = Annotated[Path | None, typer.Option(help="File with the ids to keep, one a line.")]
SkipOption = Annotated[bool, typer.Option(help="Count broken rows instead of stopping at them.")]
NameOption = Annotated[str, typer.Option("--served-name", help="Endpoint: name of the model.")]
ConcurrencyOption = Annotated[int, typer.Option(min=1, help="Endpoint: requests at once.")]
StyleOption = Annotated[str, typer.Option(help="chat, completion or think-answer.")]
TemplateOption = Annotated[Path | None, typer.Option(help="Prompts instead of the shipped ones.")]
TemperatureOption = Annotated[float, typer.Option(min=0.0, help="Sampling temperature.")]
TopPOption = Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus of the distribution.")]
MaxTokensOption = Annotated[int, typer.Option(min=1, help="Longest completion.")]
SeedOption = Annotated[int, typer.Option(help="Decides every draw.")]
GraderOption = Annotated[str, typer.Option(help="Programs on stdin: real, or lcb_compat.")]
CpuOption = Annotated[float | None, typer.Option(min=0.01, help="CPU seconds of one program.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def open_sandbox() -> "Sandbox":
    """A sandbox that lets through outputs as long as EvalPlus needs them."""
    from gasp_rl.config import SandboxConfig
    from gasp_rl.evals.judge import OUTPUT_BYTES
    from gasp_rl.sandbox import Sandbox

    return Sandbox(SandboxConfig(output_bytes=OUTPUT_BYTES))


def source_of(data: Path | None, sandbox: "Sandbox | None", skip_broken: bool) -> "Source":
    """Where sets are looked up."""
    from gasp_rl.problems.load import Source, default_cache

    return Source(data, sandbox, default_cache(), skip_broken)


def window_of(since: str | None, before: str | None, ids: Path | None) -> "Selection":
    """The filter that the window and id options ask for."""
    from gasp_rl.problems.selection import Selection, read_ids

    return Selection(since=since, before=before, ids=read_ids(ids) if ids else ())


def load_benchmarks(
    names: str, source: "Source", narrow: "Selection | None", say: bool
) -> "list[Benchmark]":
    """The sets of a comma-separated list; `say` prints what each is and what it left out."""
    from gasp_rl.evals.runner import Benchmark
    from gasp_rl.problems.load import expand, load_set

    benchmarks = []
    for spec in expand(names):
        found = load_set(spec, source, narrow)
        if say:
            print(f"{found.name}: {found.described}")
            for reason, count in found.loaded.skip_counts().items():
                print(f"{found.name}: {count} left out: {reason}")
        benchmarks.append(Benchmark(found.name, found.loaded.questions, found.described))
    return benchmarks


def grading_of(stdin_grader: str, cpu_seconds: float | None) -> "Grading":
    """The grading rule. Raises `ConfigError` for an unknown grader."""
    from gasp_rl.errors import ConfigError
    from gasp_rl.evals.judge import Grading

    match stdin_grader:
        case "real" | "lcb_compat":
            return Grading(stdin=stdin_grader, cpu_seconds=cpu_seconds)
        case _:
            raise ConfigError(f"--stdin-grader {stdin_grader}: write real or lcb_compat")


def grading_settings(grading: "Grading") -> dict[str, object]:
    """The grading rule as settings of a samples file."""
    return {"stdin_grader": grading.stdin, "cpu_seconds": grading.cpu_seconds}


def style_of(name: str) -> "Style":
    """A prompt style by name. Raises `ConfigError` for an unknown one."""
    from gasp_rl.errors import ConfigError
    from gasp_rl.evals.prompts import Style

    if name not in tuple(Style):
        raise ConfigError(f"--style {name}: write one of {', '.join(Style)}")
    return Style(name)


def shard_of(text: str) -> tuple[int, int]:
    """`1/4` as (1, 4)."""
    from gasp_rl.errors import ConfigError

    index, _, of = text.partition("/")
    if not (index.isdecimal() and of.isdecimal()):
        raise ConfigError(f"--shard {text}: write it as 0/2 and 1/2")
    return int(index), int(of)


def stage_of(text: str) -> tuple[str, list[str]]:
    """`rlvr=A,B` as ("rlvr", ["A", "B"])."""
    from gasp_rl.errors import ConfigError

    name, equals, models = text.partition("=")
    if not equals or not name or not models:
        raise ConfigError(f"--stage {text}: write it as name=MODEL or name=MODEL,MODEL")
    return name, models.split(",")
