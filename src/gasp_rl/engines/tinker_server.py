"""A Tinker API server as its client sees it: which kinds there are, how long to wait for one.

The protocol: https://tinker-docs.thinkingmachines.ai. Nothing here knows of rows or losses.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from gasp_rl.errors import ConfigError, EngineError, MissingExtraError, install_line

Result = TypeVar("Result")

NEWER_PROTOCOL = (0, 25)
"""From this version on the client speaks a protocol that SkyRL 0.3 does not."""

LEAST_HOSTED = (0, 38)
LOOK_SECONDS = 2.0
"""Between two looks at a server that has not answered yet."""
ALIVE_SECONDS = 10.0
"""In which a living server, however busy, says that it lives."""


@dataclass(frozen=True, slots=True)
class ServerKind:
    """What differs between servers behind the same calls.

    reduction: of the losses of a batch's tokens: their sum, as the API has it, or the mean over
        each example's tokens and then over examples.
    clips: whether it clips the gradient to `optim.max_grad_norm`.
    extra: which of this package's extras brings the client that it understands.
    """

    reduction: Literal["token-sum", "example-mean"]
    clips: bool
    extra: Literal["tinker-selfhosted", "tinker-hosted"]


KINDS = {
    "skyrl-jax": ServerKind("example-mean", False, "tinker-selfhosted"),
    "skyrl-train": ServerKind("token-sum", False, "tinker-selfhosted"),
    "hosted": ServerKind("token-sum", True, "tinker-hosted"),
}
"""By the names that `tinker.server` takes."""


def rescale(kind: ServerKind, examples: int, positions: int) -> float:
    """What a token's gradient is multiplied by, so that the server's reduction leaves it as it is.

    examples: in all batches of the step. positions: of the token's example, its prompt's with it
    (without `weights` a server counts them all).

    Example: 2 examples, 5 positions: 1 where losses are summed, 10 where SkyRL's JAX backend
    divides by 5 and then by 2.
    """
    return 1.0 if kind.reduction == "token-sum" else float(examples * positions)


class Connection:
    """Calls to one server. Each waits as long as the server lives, and `patience_seconds` more."""

    def __init__(self, url: str, patience_seconds: float) -> None:
        self.url = url.rstrip("/")
        self._patience = patience_seconds

    def open(self, server: str) -> Any:
        """The client's `ServiceClient` for a server of this kind."""
        require_client(server)
        logging.getLogger("tinker").setLevel(logging.CRITICAL)  # what matters is raised here
        if not self._alive():
            raise EngineError(
                f"tinker.url={self.url}: no Tinker server answers there; start one "
                "(docs/scale-out.md) or name another"
            )
        from tinker import ServiceClient

        key = os.environ.get("TINKER_API_KEY")
        if key is None and KINDS[server].extra == "tinker-selfhosted":
            key = "tml-none"  # the client wants one; a server of one's own asks for none
        return self.call("connecting", lambda: ServiceClient(base_url=self.url, api_key=key))

    def call(self, doing: str, ask: Callable[[], Result]) -> Result:
        """What `ask` returns. The client itself tries again where a request fails on its way.

        Raises `EngineError` when the server refuses, or stays silent for `patience_seconds`.
        """
        answer = _in_thread(ask)
        silent_since: float | None = None
        while True:
            try:
                return answer.result(LOOK_SECONDS)
            except TimeoutError:
                if answer.done():  # the client's own timeout
                    raise self._gone(doing) from None
            except Exception as error:  # the client raises its own, ValueError and transport errors
                raise self._refused(doing, error) from error
            if self._alive():
                silent_since = None
                continue
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since >= self._patience:
                raise self._gone(doing)

    def _alive(self) -> bool:
        import httpx

        try:
            answer = httpx.get(f"{self.url}/api/v1/healthz", timeout=ALIVE_SECONDS)
        except httpx.TransportError:
            return False
        return answer.status_code < 500

    def _gone(self, doing: str) -> EngineError:
        return EngineError(
            f"{self.url}: the Tinker server went away while {doing} and was not back within "
            f"{self._patience:g} s; what is committed is safe: start it and resume the run"
        )

    def _refused(self, doing: str, error: Exception) -> EngineError:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        lost = "not loaded" in said or "not found" in said.lower()
        hint = "; it does not hold this run's weights: resume the run to load them" if lost else ""
        return EngineError(
            f"{self.url}: the Tinker server failed while {doing}{hint} ({said:.300})"
        )


def require_client(server: str) -> None:
    """Refuse a missing client, and one that is known not to speak the server's protocol."""
    if find_spec("tinker") is None:
        extra = KINDS[server].extra
        raise MissingExtraError(extra, f"engine.name=tinker with tinker.server={server}")
    problem = mismatch(server, metadata.version("tinker"))
    if problem:
        raise ConfigError(f"tinker.server={server}: {problem}")


def mismatch(server: str, version: str) -> str | None:
    """Why this version of the client cannot speak to this kind of server; none where it can."""
    extra, numbers = KINDS[server].extra, tuple(int(part) for part in version.split(".")[:2])
    if extra == "tinker-selfhosted" and numbers >= NEWER_PROTOCOL:
        why = "speaks a newer protocol (protobuf) than SkyRL"
    elif extra == "tinker-hosted" and numbers < LEAST_HOSTED:
        why = "is older than the hosted service"
    else:
        return None
    return f"tinker {version} {why}; {install_line(extra)}"


def _in_thread(ask: Callable[[], Result]) -> "Future[Result]":
    """A daemon's: the client may wait for minutes, and an ended run must not wait with it."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer
