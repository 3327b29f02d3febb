"""The `gasp` command: mounts the verbs of each room, and turns errors into one sentence."""

import io
import os
import sys
from typing import Any, NoReturn

import typer

from gasp_rl import __version__
from gasp_rl.errors import GaspError

_ClickError: Any = typer.BadParameter.__mro__[2]
"""click's root of usage errors; typer keeps it in different places in different releases."""


def build_app() -> typer.Typer:
    """The whole command line. Rooms import their heavy parts when a verb runs, not before."""
    from gasp_rl.evals import commands as evaluation
    from gasp_rl.goalposts import commands as goalposts
    from gasp_rl.methods import commands as training
    from gasp_rl.miniature import commands as miniature
    from gasp_rl.planning import commands as planning
    from gasp_rl.problems import commands as problems
    from gasp_rl.studies import commands as studies
    from gasp_rl.ui import commands as reading

    app = typer.Typer(
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="Guided asymmetric self-play for coding language models.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_global_options)
    training.mount(app)
    planning.mount(app)
    reading.mount(app)
    studies.mount(app)
    evaluation.mount(app)
    goalposts.mount(app)
    problems.mount(app)
    miniature.mount(app)
    return app


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"gasp-rl {__version__}")
        raise typer.Exit


def _global_options(
    version: bool = typer.Option(
        False, "--version", callback=_say_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Guided asymmetric self-play for coding language models (GASP, arXiv 2603.15957)."""
    if debug:
        os.environ["GASP_DEBUG"] = "1"


def main() -> None:
    """Exit codes: 0 done, 1 unexpected failure, 2 an error that the user can mend, 3 a run that
    learns nothing, 130 stopped on request."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale that lacks a sign shows its escape
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = build_app()(prog_name="gasp", standalone_mode=False)
    except GaspError as error:
        if os.environ.get("GASP_DEBUG"):
            raise
        _end(str(error), error.exit_code)
    except _ClickError as error:
        if not error.format_message():  # a group without a verb, which has printed its help
            sys.exit(2)
        verb = error.ctx.command_path if error.ctx else "gasp"
        said = error.format_message().replace("Value error, ", "") + _without_dashes(error)
        _end(f"{said} ({verb} --help)", 2)
    except BrokenPipeError:
        # Who read our output has gone; Python must not complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if os.environ.get("GASP_DEBUG"):
            raise
        _end(f"{error.filename or 'system'}: {error.strerror or error}", 2)
    except (KeyboardInterrupt, typer.Abort) as stopped:
        _end(str(stopped) or "stopped", 130)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _without_dashes(error: Any) -> str:
    """What to say to `--seed 3`, where a verb takes settings: they are no options."""
    from gasp_rl.config import known_keys

    name = (getattr(error, "option_name", None) or "").lstrip("-")
    takes = error.ctx.command.params if error.ctx else ()
    keys = {key for known in known_keys() for key in (known, known.rpartition(".")[2])}
    if name not in keys or not any(parameter.name == "overrides" for parameter in takes):
        return ""
    return f"; a setting is written without dashes, {name}=VALUE"


def _end(sentence: str, code: int) -> NoReturn:
    print(f"gasp: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
