"""What a running method tells whoever watches it: phases, tokens, committed steps."""

from typing import Protocol

from gasp_rl.types import Metrics


class Progress(Protocol):
    """Watches a run. Every call returns at once; a watcher never stops a run."""

    def start_run(self, name: str, steps: int, done: int = 0) -> None:
        """A run of `steps` steps begins, of which `done` were committed before."""
        ...

    def start_phase(self, name: str, total: int | None = None) -> None:
        """A phase of the step begins (`lemma`, `lift`, `solve`, `update`, `eval`), with `total`
        units of work where that is known."""
        ...

    def advance(self, units: int = 1, tokens: int = 0) -> None:
        """Some units of the phase are done, and so many tokens were sampled for them."""
        ...

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None:
        """A step is in the store."""
        ...

    def say(self, text: str) -> None:
        """One line for the person who watches."""
        ...

    def close(self) -> None: ...


class Silent:
    """A watcher that shows nothing."""

    def start_run(self, name: str, steps: int, done: int = 0) -> None: ...

    def start_phase(self, name: str, total: int | None = None) -> None: ...

    def advance(self, units: int = 1, tokens: int = 0) -> None: ...

    def step_committed(self, step: int, seconds: float, metrics: Metrics) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class LinesOnly(Silent):
    """A watcher that prints what is said, one line each."""

    def say(self, text: str) -> None:
        print(text, flush=True)
