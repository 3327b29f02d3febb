"""Any OpenAI-compatible endpoint (vLLM, SGLang, llama.cpp, transformers serve) as a sampler."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from gasp_rl.errors import EngineError, MissingExtraError
from gasp_rl.evals.prompts import Prompt
from gasp_rl.evals.sampler import Ask, Reply, Sampling, cut
from gasp_rl.rng import rng

if TYPE_CHECKING:
    import httpx

RETRIED_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Overload and passing failures. Any other error status is the request's own fault: no retry."""

MAX_BACKOFF_SECONDS = 60.0


class EndpointSampler:
    """Sends one request for each sample, `concurrency` at a time, and retries with backoff.

    url:   base up to and with /v1, for instance http://127.0.0.1:8000/v1.
    model: the server's name of the model.
    The key, if the server wants one, comes from the environment variable `key_variable`.
    A server that cannot be reached at all is an error at once; one that has answered is waited for.
    Messages go to /chat/completions, plain text to /completions.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        concurrency: int = 16,
        retries: int = 6,
        timeout_seconds: float = 600.0,
        backoff_seconds: float = 0.5,
        key_variable: str = "OPENAI_API_KEY",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtraError("api", "an OpenAI-compatible endpoint") from None
        self.url, self.model, self.name = url.rstrip("/"), model, f"{model}@{url}"
        self.concurrency, self.retries = concurrency, retries
        self.backoff_seconds, self._sleep = backoff_seconds, sleep
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise EngineError(f"{url}: not an address: {error}") from None
        if not address.host or not 0 < (address.port or 80) < 65536:
            raise EngineError(f"{url}: names no host and port; write it as http://HOST:PORT/v1")
        self._answered = False
        key = os.environ.get(key_variable)
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_seconds, connect=10.0),
            limits=httpx.Limits(max_connections=concurrency),
        )

    def close(self) -> None:
        self._client.close()

    def sample(self, asks: Sequence[Ask], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Replies as they arrive. The first lasting failure raises `EngineError`."""
        waiting: dict[Future[Reply], int] = {}
        queue = iter(enumerate(asks))
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="endpoint") as pool:
            try:
                while True:
                    # A few more than run at once, so that no thread idles while replies are stored.
                    while len(waiting) < 2 * self.concurrency:
                        index, ask = next(queue, (-1, None))
                        if ask is None:
                            break
                        waiting[pool.submit(self._complete, ask, sampling)] = index
                    if not waiting:
                        return
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield waiting.pop(future), future.result()
            finally:
                for future in waiting:
                    future.cancel()

    def _complete(self, ask: Ask, sampling: Sampling) -> Reply:
        path, body = self._request(ask.prompt, ask.seed, sampling)
        response = self._post(path, body, ask.seed)
        try:
            choice = response["choices"][0]
            text = choice["text"] if isinstance(ask.prompt, str) else choice["message"]["content"]
            finish = choice.get("finish_reason") or "stop"
            used = (response.get("usage") or {}).get("completion_tokens")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise EngineError(f"{self.name}: no completion in {response!r:.300}") from None
        if not isinstance(text, str):
            text = ""  # a reply of reasoning alone: no answer, which is graded as none
        finish = "length" if finish == "length" else "stop"
        return Reply(cut(text, sampling.stop), finish, used if isinstance(used, int) else None)

    def _request(self, prompt: Prompt, seed: int, sampling: Sampling) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {
            "model": self.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed & 0x7FFFFFFF,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if isinstance(prompt, str):
            return "/completions", body | {"prompt": prompt}
        messages = [{"role": m.role, "content": m.content} for m in prompt]
        return "/chat/completions", body | {"messages": messages}

    def _post(self, path: str, body: dict[str, Any], seed: int) -> dict[str, Any]:
        import httpx

        failure = ""
        for attempt in range(self.retries + 1):
            if attempt:
                self._sleep(self._delay(attempt, seed))
            try:
                response = self._client.post(self.url + path, json=body)
            except httpx.TransportError as error:  # refused, reset, timed out
                failure = f"{type(error).__name__}: {error}"
                if isinstance(error, httpx.ConnectError) and not self._answered:
                    raise EngineError(
                        f"{self.url}: nothing answers there ({error}); is the server running?"
                    ) from None
                continue
            self._answered = True
            if response.status_code in RETRIED_STATUS:
                failure = f"status {response.status_code}: {response.text[:200]}"
                continue
            return self._json(response)
        raise EngineError(
            f"{self.url}{path}: gave up after {self.retries + 1} tries; last: {failure}. Samples "
            "so far are stored; the same command resumes"
        )

    def _json(self, response: "httpx.Response") -> dict[str, Any]:
        if response.status_code != 200:
            raise EngineError(
                f"{response.request.url}: status {response.status_code}: {response.text[:300]}"
            )
        try:
            data = response.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            data = None
        if not isinstance(data, dict):
            raise EngineError(f"{response.request.url}: not JSON: {response.text[:300]!r}")
        return data

    def _delay(self, attempt: int, seed: int) -> float:
        """Exponential backoff with full jitter, so that many clients do not come back at once."""
        ceiling = min(MAX_BACKOFF_SECONDS, self.backoff_seconds * 2.0**attempt)
        return float(rng(seed, attempt, "evals/backoff").uniform(0.5, 1.0)) * ceiling
