"""The verbs of a study: run, status, report, list."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gasp_rl.wording import counted

FolderArgument = Annotated[Path, typer.Argument(help="The study's folder.")]


def mount(app: typer.Typer) -> None:
    """Add `gasp study` to the command line."""
    study = typer.Typer(no_args_is_help=True, help="Systems side by side, over seeds.")
    for verb in (run, status, report):
        study.command()(verb)
    study.command("list")(list_studies)
    app.add_typer(study, name="study")


def run(
    study: Annotated[str, typer.Argument(help="A shipped study (`gasp study list`) or TOML file.")],
    dir: Annotated[
        Path | None, typer.Option("--dir", help="Its folder; else studies/NAME.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; else one for each core.")
    ] = None,
    arm: Annotated[
        list[str] | None, typer.Option(help="Only this arm for now; repeat for more.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Only this seed for now; repeat for more.")
    ] = None,
) -> None:
    """Train and measure every run of a study; run it again to continue where it stopped."""
    from gasp_rl.studies.report import write_study_report
    from gasp_rl.studies.schedule import run_study
    from gasp_rl.studies.study import load_study, make_plan, wanted_runs, write_plan

    written, recipes = load_study(study)
    plan = make_plan(written, recipes)
    wanted = wanted_runs(plan, arm or [], seed or [])
    folder = dir or Path("studies") / written.name
    write_plan(plan, folder)
    jobs = jobs or len(os.sched_getaffinity(0))
    ended = run_study(plan, folder, jobs, lambda text: print(text, flush=True), wanted)
    for path in write_study_report(plan, folder):
        print(f"wrote {path}")
    failed = [state.run.name for state in ended if state.stage != "done"]
    if failed:
        print(f"failed: {', '.join(failed)}; `gasp study status {folder}` says why")
        raise typer.Exit(1)


def status(folder: FolderArgument) -> None:
    """Say where each run of a study is."""
    from gasp_rl.studies.schedule import states
    from gasp_rl.studies.study import read_plan

    for state in states(read_plan(folder), folder):
        spent = state.spent
        print(
            f"{state.run.name:<28} {state.stage:<10} step {state.step:>5}  "
            f"{spent.student_rollouts:>10,} rollouts  {spent.generated_tokens:>12,} tokens  "
            f"{spent.hours:6.2f} h  {state.detail}".rstrip()
        )


def report(
    folder: FolderArgument,
    to: Annotated[
        Path | None, typer.Option(help="Folder to write it to; else the study's own.")
    ] = None,
    main: Annotated[
        str, typer.Option(help="Arm to compare with every other one; else the study's own.")
    ] = "",
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Only this arm, repeatable; Holm's correction is over what is shown."),
    ] = None,
) -> None:
    """Write report.md, report.json and figures of what is measured so far."""
    from gasp_rl.studies.report import write_study_report
    from gasp_rl.studies.study import read_plan, with_arms, with_main

    plan = read_plan(folder)
    plan = with_main(plan, main) if main else plan
    for path in write_study_report(with_arms(plan, arm) if arm else plan, folder, to):
        print(path)


def list_studies() -> None:
    """List the studies that ship in the package."""
    from gasp_rl.studies.study import load_study, study_names

    for name in study_names():
        study, _ = load_study(name)
        arms = ", ".join(arm.name for arm in study.arms)
        print(f"{name:<18} {counted(len(study.seeds), 'seed')} of {arms}")
