"""`gasp sandbox check`: which walls stand on this machine, proved by behaviour."""

import typer


def mount(app: typer.Typer) -> None:
    """Add `gasp sandbox ...` to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Where untrusted programs run.")
    group.command("check")(check)
    group.callback()(lambda: None)  # keeps the group a group, though it has one verb
    app.add_typer(group, name="sandbox")


def check() -> None:
    """Print each layer on or off with its remedy, and prove them; exit code 1 if one leaks."""
    from gasp_rl.sandbox.report import check as examine

    report = examine()
    for line in report.lines:
        print(line)
    raise typer.Exit(report.exit_status)
