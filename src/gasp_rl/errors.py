"""Exceptions for users: one clear sentence that says what happened, the value, and what to do."""


def reason_of(error: Exception) -> str:
    """Why something failed, on one line; of a system error without number and path, since the
    sentence around it names the path."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(said.split())[:300]


class GaspError(Exception):
    """Root of every error that this package raises on purpose."""

    exit_code = 2
    """What the command line exits with."""


class ConfigError(GaspError, ValueError):
    """A setting, a recipe or a command-line override that cannot be taken."""


class DataError(GaspError, ValueError):
    """A file of questions, samples or weights that does not hold what it should."""


class SandboxError(GaspError, RuntimeError):
    """The sandbox cannot protect this machine, or failed for a reason that is not the program's."""


class EngineError(GaspError, RuntimeError):
    """An engine cannot do what was asked: a missing capability, lost weights, numbers not finite."""


class StoreError(GaspError, RuntimeError):
    """A run folder that cannot be read, written or locked."""


class RunStopped(GaspError):
    """A run ended before its last step because it was asked to; it can be continued."""

    exit_code = 130


class RunDead(RunStopped):
    """A run ended before its last step because it learns nothing any more."""

    exit_code = 3


class MissingExtraError(GaspError, ImportError):
    """An optional dependency is not installed; the message holds the exact install line."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs an extra: {install_line(extra)}")


def install_line(extra: str) -> str:
    """How an extra is installed, from an index and in a clone."""
    return f'pip install "gasp-rl[{extra}]" (in a clone: pip install -e ".[{extra}]")'
