"""`gasp eval`, and the mounting of `gasp goalposts`: thin, heavy imports when a verb runs."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gasp_rl.evals.goalpost_commands import check_goalposts, list_goalposts, mine_goalposts
from gasp_rl.evals.options import (
    BeforeOption,
    ConcurrencyOption,
    CpuOption,
    DataOption,
    GraderOption,
    IdsOption,
    JsonOption,
    MaxTokensOption,
    NameOption,
    OnOption,
    SeedOption,
    SinceOption,
    SkipOption,
    StyleOption,
    TemperatureOption,
    TemplateOption,
    TopPOption,
    grading_of,
    grading_settings,
    load_benchmarks,
    open_sandbox,
    source_of,
    style_of,
    window_of,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

    from gasp_rl.evals.runner import Progress, Report


def mount(app: typer.Typer) -> None:
    """Add `gasp eval` and `gasp goalposts ...` to the command line."""
    app.command("eval")(evaluate_model)
    group = typer.Typer(no_args_is_help=True, help="Questions that nothing solves yet.")
    group.command("mine")(mine_goalposts)
    group.command("list")(list_goalposts)
    group.command("check")(check_goalposts)
    app.add_typer(group, name="goalposts")


def evaluate_model(
    model: Annotated[
        str, typer.Argument(help="Model folder, or URL of an endpoint; none with --samples.")
    ] = "",
    on: OnOption = "",
    n: Annotated[int, typer.Option("-n", min=1, help="Samples of each question.")] = 1,
    temperature: TemperatureOption = 0.6,
    top_p: TopPOption = 1.0,
    max_tokens: MaxTokensOption = 2048,
    style: StyleOption = "chat",
    template: TemplateOption = None,
    samples: Annotated[
        Path | None, typer.Option(help="Grade this file of completions instead of sampling.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Samples file; the same one resumes.")
    ] = Path("samples.db"),
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Only grade the stored samples again.")
    ] = False,
    data: DataOption = None,
    since: SinceOption = None,
    before: BeforeOption = None,
    ids: IdsOption = None,
    skip_broken: SkipOption = False,
    served_name: NameOption = "default",
    concurrency: ConcurrencyOption = 16,
    stdin_grader: GraderOption = "real",
    cpu_seconds: CpuOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on real questions: pass@k with 95% intervals; every sample is stored."""
    from gasp_rl.errors import ConfigError
    from gasp_rl.evals.models import ModelOptions, open_sampler
    from gasp_rl.evals.prompts import prompter_for
    from gasp_rl.evals.runner import evaluate, report, settings_of
    from gasp_rl.evals.runner import rescore as grade_again
    from gasp_rl.evals.sample_files import evaluate_samples
    from gasp_rl.evals.sampler import Sampling
    from gasp_rl.evals.samples import SampleStore, stored_settings

    if not on:
        raise ConfigError("say on which sets: --on lcb-v5,humaneval+ (see `gasp problems sets`)")
    if bool(model) + (samples is not None) + rescore != 1:
        raise ConfigError("give one of: a model, --samples FILE, --rescore")
    grading = grading_of(stdin_grader, cpu_seconds)
    narrow = window_of(since, before, ids)
    reports: list[Report] = []
    with open_sandbox() as sandbox:
        benchmarks = load_benchmarks(on, source_of(data, sandbox, skip_broken), narrow, not as_json)
        if samples is not None:
            about = {"samples": str(samples), **grading_settings(grading)}
            with SampleStore(out, about) as store:
                for benchmark in benchmarks:
                    result, unmatched = evaluate_samples(
                        samples, benchmark, store, sandbox, grading=grading
                    )
                    if unmatched.samples and not as_json:
                        print(
                            f"{benchmark.name}: {unmatched.samples} samples of "
                            f"{unmatched.questions} other questions left out"
                        )
                    reports.append(result)
        elif rescore:
            with SampleStore(out, stored_settings(out)) as store:
                for benchmark in benchmarks:
                    grade_again(benchmark, store, sandbox, grading=grading)
                    reports.append(report(benchmark, store))
        else:
            prompter = prompter_for(model, style_of(style), template)
            options = ModelOptions(served_name=served_name, concurrency=concurrency)
            sampling = Sampling(
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_tokens,
                stop=prompter.stop,
            )
            with open_sampler(model, options) as sampler:
                settings = settings_of(sampler, prompter, sampling, grading, seed)
                with SampleStore(out, settings) as store, _progress(not as_json) as show:
                    for benchmark in benchmarks:
                        reports.append(
                            evaluate(
                                benchmark,
                                n,
                                sampler,
                                prompter,
                                sampling,
                                store,
                                sandbox,
                                grading=grading,
                                seed=seed,
                                on_progress=show,
                            )
                        )
    _show_reports(reports, out, as_json)


def _show_reports(reports: "list[Report]", out: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps([report.to_json() for report in reports]))
        return
    for report in reports:
        print(f"{report.benchmark} ({report.described})")
        for k, estimate in report.estimates.items():
            print(f"  pass@{k}: {estimate}  ({estimate.interval_of} 95% over questions)")
        verdicts = ", ".join(f"{name} {count}" for name, count in report.verdicts.items())
        print(f"  {report.questions} questions, {report.samples} samples: {verdicts}")
        if report.truncated:
            print(f"  {report.truncated} completions were cut at max_tokens")
        if report.repeated:
            print("  every question's samples are equal: the temperature was not obeyed")
        if report.untested:
            print(f"  {report.untested} questions without tests are not counted")
    print(f"samples: {out}")


@contextmanager
def _progress(wanted: bool) -> "Iterator[Callable[[Progress], None]]":
    """A progress bar on a terminal, a line for each tenth elsewhere, or nothing."""
    if not wanted:
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _print_tenths()
        return
    with Bars(console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: "Progress") -> None:
            if progress.benchmark not in tasks:
                tasks[progress.benchmark] = bars.add_task(progress.benchmark, total=progress.wanted)
            words = f"{progress.benchmark}: {progress.solved} right"
            bars.update(tasks[progress.benchmark], completed=progress.graded, description=words)

        yield show


def _print_tenths() -> "Callable[[Progress], None]":
    printed: dict[str, int] = {}

    def show(progress: "Progress") -> None:
        tenth = 10 * progress.graded // max(progress.wanted, 1)
        if printed.get(progress.benchmark) != tenth:
            printed[progress.benchmark] = tenth
            counts = f"{progress.graded} of {progress.wanted} graded, {progress.solved} right"
            print(f"{progress.benchmark}: {counts}", file=sys.stderr)

    return show
