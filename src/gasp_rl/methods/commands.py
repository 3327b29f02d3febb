"""The verbs that train: train, resume, fork, stop, demo, controls, recipes, config."""

import time
from pathlib import Path
from typing import Annotated

import typer

from gasp_rl.errors import ConfigError

RecipeArgument = Annotated[
    str, typer.Argument(help="A shipped recipe (`gasp recipes`) or a TOML file.")
]
OverridesArgument = Annotated[
    list[str] | None, typer.Argument(help="Settings as key.path=value, for instance steps=100.")
]
RunArgument = Annotated[str, typer.Argument(help="A run: path, name, or `latest`.")]
RunsOption = Annotated[Path, typer.Option("--dir", help="Folder that holds the runs.")]
DeadOption = Annotated[
    bool,
    typer.Option(
        "--stop-when-dead",
        help="End the run, with exit code 3, when ten steps show that it learns nothing.",
    ),
]

RUNS = Path("runs")
DEAD_AFTER = 10
"""Steps that `--stop-when-dead` looks at."""

WAIT_SECONDS = 0.2


def mount(app: typer.Typer) -> None:
    """Add every verb of this module to the command line."""
    for verb in (train, resume, fork, stop, demo, controls, recipes, config):
        app.command()(verb)


def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    dir: Annotated[Path | None, typer.Option("--dir", help="The run's folder.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print settings, plan and prompts; load nothing.")
    ] = False,
    stop_when_dead: DeadOption = False,
) -> None:
    """Run a recipe: the whole method, committed step by step.

    Ctrl-C once finishes the step and saves it (exit code 130); twice stops now.
    """
    from gasp_rl.config import load_config
    from gasp_rl.ui.console import open_console

    settings = load_config(recipe, _with_dead(overrides, stop_when_dead))
    if dry_run:
        from gasp_rl.methods.dry_run import describe

        print(describe(settings))
        return
    print(f"{settings.name}: {settings.method} on {settings.model.path}, seed {settings.seed}")
    from gasp_rl.engines.factory import processes
    from gasp_rl.methods.loop import train as run
    from gasp_rl.planning.plan import unshared

    if warning := unshared(settings, processes()):
        print(f"note: {warning}")

    path = run(settings, dir, _text_of(recipe), open_console())
    print(f"run: {path}")
    print(f"next: gasp show {path}; gasp report {path}")


def resume(
    run: RunArgument = "latest",
    overrides: Annotated[
        list[str] | None, typer.Argument(help="steps=N or stop_when_dead=N; all else is a fork.")
    ] = None,
    dir: RunsOption = RUNS,
    stop_when_dead: DeadOption = False,
) -> None:
    """Continue a run from its last checkpoint, to the same end as if it had not stopped."""
    from gasp_rl.store.folder import find_run
    from gasp_rl.ui.console import open_console

    path = find_run(run, dir)
    print(f"resuming {path}")
    from gasp_rl.methods.loop import resume as continue_run

    continue_run(path, open_console(), overrides=_with_dead(overrides, stop_when_dead))
    print(f"run: {path}")


def fork(
    run: RunArgument,
    overrides: OverridesArgument = None,
    step: Annotated[
        int | None, typer.Option(min=1, help="Checkpoint to begin from; else the last one.")
    ] = None,
    dir: RunsOption = RUNS,
    to: Annotated[Path | None, typer.Option("--to", help="The new run's folder.")] = None,
) -> None:
    """Begin a new run from a checkpoint of another one, with other settings, and train it."""
    from gasp_rl.config import override_config
    from gasp_rl.store.folder import find_run, read_config
    from gasp_rl.store.fork import fork_run
    from gasp_rl.ui.console import open_console

    parent = find_run(run, dir)
    settings = override_config(read_config(parent), overrides or [], f"fork of {parent}")
    path = fork_run(parent, settings, to, step)
    print(f"forked {parent} to {path}")
    from gasp_rl.methods.loop import resume as continue_run

    continue_run(path, open_console())
    print(f"run: {path}")
    print(f"next: gasp compare {parent} {path}")


def stop(
    run: RunArgument = "latest",
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run has ended.")] = False,
    dir: RunsOption = RUNS,
) -> None:
    """Ask a running process to finish its step, save it and end; exit code 2 if none runs."""
    from gasp_rl.store.folder import ask_to_stop, find_run, holder_of

    path = find_run(run, dir)
    owner = ask_to_stop(path)
    print(f"{path}: process {owner} ends after its step; continue with: gasp resume {path}")
    while wait and holder_of(path) is not None:
        time.sleep(WAIT_SECONDS)


def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller run, under 90 seconds.")
    ] = False,
    overrides: OverridesArgument = None,
    dir: Annotated[Path | None, typer.Option("--dir", help="The run's folder.")] = None,
) -> None:
    """Train the embedded miniature for real, then show with controls what it learnt."""
    from gasp_rl.config import load_config
    from gasp_rl.ui.console import open_console

    recipe = "demo-quick" if quick else "demo"
    settings = load_config(recipe, overrides or [])
    print(
        f"A transformer of 0.8 million parameters (engine.device={settings.engine.device}), as teacher "
        "and student at once.\n"
        f"{settings.steps} steps of guided self-play, then an evaluation with controls.\n"
    )
    from gasp_rl.methods.loop import train as run

    path = run(settings, dir, _text_of(recipe), open_console())
    print("\nEvaluation on questions that were never trained on.")
    _print_controls(path, None)
    _write_report(path)
    print(f"\nrun: {path}\nnext: gasp show {path}; gasp view {path.parent}")


def controls(
    run: RunArgument = "latest",
    samples: Annotated[
        int | None, typer.Option(min=1, help="Samples of each question; else as configured.")
    ] = None,
    dir: RunsOption = RUNS,
) -> None:
    """Measure a finished run beside its controls: the base at its best, and on the goalposts."""
    from gasp_rl.store.folder import find_run

    path = find_run(run, dir)
    print(f"evaluating {path}")
    _print_controls(path, samples)


def recipes() -> None:
    """List the recipes that ship in the package."""
    from gasp_rl.config import load_config, recipe_names

    for name in recipe_names():
        settings = load_config(name)
        print(f"{name:<26} {settings.method:<9} {settings.steps:>5} steps  {settings.hardware}")


def config(
    key: Annotated[str, typer.Argument(help="Show only keys that contain this.")] = "",
) -> None:
    """List every setting with its default and meaning."""
    from gasp_rl.config import describe_keys
    from gasp_rl.config.keys import nearest_key

    found = [row for row in describe_keys() if key in row[0]]
    if not found:
        raise ConfigError(f"no setting has {key!r} in its name{nearest_key(key)}")
    for path, default, meaning in found:
        print(f"{path} = {default}\n    {meaning}")


def _with_dead(overrides: list[str] | None, stop_when_dead: bool) -> list[str]:
    return [f"stop_when_dead={DEAD_AFTER}"] * stop_when_dead + (overrides or [])


def _print_controls(path: Path, samples: int | None) -> None:
    from gasp_rl.methods.controls import compare_with_base
    from gasp_rl.store.progress import LinesOnly
    from gasp_rl.ui.comparison import comparison_view

    comparison = compare_with_base(path, LinesOnly(), samples)
    text = comparison_view(comparison)
    print(text)
    (path / "controls.md").write_text(text + "\n", encoding="utf-8")


def _write_report(path: Path) -> None:
    from gasp_rl.ui.report import write_report

    for written in write_report([path], path):
        print(f"wrote {written}")


def _text_of(recipe: str) -> str:
    from gasp_rl.config import recipe_text

    return recipe_text(recipe)
