"""The verbs that look ahead and at this machine: plan, doctor, sandbox check."""

import json
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def mount(app: typer.Typer) -> None:
    """Add every verb of this module to the command line."""
    for verb in (plan, doctor):
        app.command()(verb)
    group = typer.Typer(no_args_is_help=True, help="Where untrusted programs run.")
    group.command("check")(check_sandbox)
    group.callback()(lambda: None)  # keeps the group a group, though it has one verb
    app.add_typer(group, name="sandbox")


def plan(
    recipe: Annotated[
        str, typer.Argument(help="A shipped recipe (`gasp recipes`) or a TOML file.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings as key.path=value, for instance plan.device=h100-80gb."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Reckon memory and hours before anything is loaded; exit code 1 if it does not fit."""
    from gasp_rl.config import load_config
    from gasp_rl.planning import plan as planning

    made = planning.make_plan(load_config(recipe, overrides or []))
    print(json.dumps(planning.as_json(made)) if as_json else planning.render(made))
    raise typer.Exit(1 if made.verdict == "too large" else 0)


def doctor(as_json: JsonOption = False) -> None:
    """Say what works here, with a block to paste into an issue; exit code 1 if something must be
    mended."""
    from gasp_rl.planning import doctor as examination

    findings = examination.examine()
    print(examination.as_json(findings) if as_json else examination.render(findings))
    raise typer.Exit(0 if examination.healthy(findings) else 1)


def check_sandbox() -> None:
    """Print each layer on or off with its remedy, and prove them; exit code 1 if one leaks."""
    from gasp_rl.sandbox.report import check

    report = check()
    for line in report.lines:
        print(line)
    raise typer.Exit(report.exit_status)
