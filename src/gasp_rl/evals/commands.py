"""`gasp eval`: thin, heavy imports when it runs."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gasp_rl.errors import ConfigError
from gasp_rl.evals.options import (
    AskingOptions,
    GradingOptions,
    JsonOption,
    QuestionOptions,
    grouped,
    open_sandbox,
)
from gasp_rl.wording import counted

if TYPE_CHECKING:
    from rich.progress import TaskID

    from gasp_rl.evals.runner import Benchmark, Progress, Report
    from gasp_rl.sandbox import Sandbox


def mount(app: typer.Typer) -> None:
    """Add `gasp eval` to the command line."""
    app.command("eval")(evaluate_model)


@grouped
def evaluate_model(
    questions: QuestionOptions,
    asking: AskingOptions,
    grading: GradingOptions,
    model: Annotated[
        str, typer.Argument(help="Model folder, or URL of an endpoint; none with --samples.")
    ] = "",
    n: Annotated[
        int, typer.Option("-n", min=1, max=1_000_000, help="Samples of each question.")
    ] = 1,
    samples: Annotated[
        Path | None, typer.Option(help="Grade this file of completions instead of sampling.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Samples file; the same one resumes.")] = Path(
        "samples.db"
    ),
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Only grade the stored samples again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on real questions: pass@k with 95% intervals; every sample is stored."""
    if bool(model) + (samples is not None) + rescore != 1:
        raise ConfigError("give one of: a model, --samples FILE, --rescore")
    with open_sandbox() as sandbox:
        benchmarks = questions.benchmarks(sandbox, say=not as_json)
        if samples is not None:
            reports = _grade_file(samples, benchmarks, out, sandbox, grading, not as_json)
        elif rescore:
            reports = _grade_again(benchmarks, out, sandbox, grading)
        else:
            reports = _sample(model, benchmarks, n, out, sandbox, asking, grading, not as_json)
    _show_reports(reports, out, as_json)


def _sample(
    model: str,
    benchmarks: "list[Benchmark]",
    n: int,
    out: Path,
    sandbox: "Sandbox",
    asking: AskingOptions,
    grading: GradingOptions,
    show: bool,
) -> "list[Report]":
    from gasp_rl.evals.models import open_sampler
    from gasp_rl.evals.runner import evaluate, settings_of
    from gasp_rl.evals.samples import SampleStore

    prompter, rule = asking.prompter(model), grading.grading()
    sampling = asking.sampling(prompter, n)
    with open_sampler(model, asking.model_options()) as sampler:
        settings = settings_of(sampler, prompter, sampling, rule, asking.seed)
        with SampleStore(out, settings) as store, _progress(show) as on_progress:
            return [
                evaluate(
                    benchmark,
                    n,
                    sampler,
                    prompter,
                    sampling,
                    store,
                    sandbox,
                    grading=rule,
                    seed=asking.seed,
                    on_progress=on_progress,
                )
                for benchmark in benchmarks
            ]


def _grade_file(
    samples: Path,
    benchmarks: "list[Benchmark]",
    out: Path,
    sandbox: "Sandbox",
    grading: GradingOptions,
    show: bool,
) -> "list[Report]":
    from gasp_rl.evals.sample_files import evaluate_samples, file_settings
    from gasp_rl.evals.samples import SampleStore

    rule = grading.grading()
    reports = []
    with SampleStore(out, file_settings(samples) | rule.settings()) as store:
        for benchmark in benchmarks:
            report, unmatched = evaluate_samples(samples, benchmark, store, sandbox, grading=rule)
            reports.append(report)
            if unmatched.samples and show:
                print(
                    f"{benchmark.name}: {unmatched.samples} samples of {unmatched.questions} "
                    "other questions left out"
                )
    return reports


def _grade_again(
    benchmarks: "list[Benchmark]", out: Path, sandbox: "Sandbox", grading: GradingOptions
) -> "list[Report]":
    from gasp_rl.evals.runner import rescore
    from gasp_rl.evals.samples import SampleStore, stored_settings

    stored = stored_settings(out)
    rule = grading.grading(stored)
    with SampleStore(out, stored) as store:
        return [rescore(benchmark, store, sandbox, grading=rule) for benchmark in benchmarks]


def _show_reports(reports: "list[Report]", out: Path, as_json: bool) -> None:
    from gasp_rl.sandbox import Verdict

    if as_json:
        print(json.dumps([report.to_json() for report in reports]))
        return
    for report in reports:
        print(f"{report.benchmark} ({report.described})")
        for k, estimate in report.estimates.items():
            print(f"  pass@{k}: {estimate}  ({estimate.interval_of} 95% over questions)")
        verdicts = ", ".join(f"{name} {count}" for name, count in report.verdicts.items())
        print(
            f"  {counted(report.questions, 'question')}, {counted(report.samples, 'sample')}: {verdicts}"
        )
        if slept := report.verdicts.get(Verdict.TIMEOUT_WALL):
            print(f"  {slept} slept or found no CPU: on a busy machine, grade them with --rescore")
        if report.truncated:
            print(f"  {report.truncated} completions were cut at max_tokens")
        if report.repeated:
            print("  every question's samples are equal: certainty, or a temperature not obeyed")
        if report.unsampled:
            print(f"  {report.unsampled} questions have no sample and are not counted")
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
