"""The `gasp` command: mounts the verbs of each room, and turns errors into one sentence."""

import os
import sys

import typer

from gasp_rl.errors import GaspError


def build_app() -> typer.Typer:
    """The whole command line. Rooms import their heavy parts when a verb runs, not before."""
    from gasp_rl.evals import commands as evaluation
    from gasp_rl.methods import commands as training
    from gasp_rl.miniature import commands as miniature
    from gasp_rl.problems import commands as problems
    from gasp_rl.sandbox import commands as sandbox
    from gasp_rl.studies import commands as studies
    from gasp_rl.ui import commands as reading

    app = typer.Typer(
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="Guided asymmetric self-play for coding language models.",
    )
    app.callback()(_global_options)
    training.mount(app)
    reading.mount(app)
    studies.mount(app)
    evaluation.mount(app)
    problems.mount(app)
    miniature.mount(app)
    sandbox.mount(app)
    return app


def _global_options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Guided asymmetric self-play for coding language models (GASP, arXiv 2603.15957)."""
    if debug:
        os.environ["GASP_DEBUG"] = "1"


def main() -> None:
    """Exit codes: 0 done, 1 unexpected failure, 2 an error that the user can mend, 3 a run that
    learns nothing, 130 stopped on request."""
    try:
        build_app()()
    except GaspError as error:
        if os.environ.get("GASP_DEBUG"):
            raise
        print(f"gasp: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("gasp: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
