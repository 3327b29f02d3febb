"""`gasp view`: the explorer over HTTP on loopback. GET only; nothing leaves the machine."""

import asyncio
import hmac
import json
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gasp_rl.errors import StoreError
from gasp_rl.store.reader import RunReader
from gasp_rl.ui import api
from gasp_rl.ui.assets import SENT, asset

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
OPEN_RUNS = 16
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Answer = Callable[[RunReader, Mapping[str, str]], Any]
ANSWERS: dict[str, Answer] = {
    "line": lambda reader, query: api.run_line(reader),
    "overview": lambda reader, query: api.overview(reader),
    "steps": lambda reader, query: api.steps(reader, int(query.get("after") or 0)),
    "goalposts": api.goalposts,
    "trials": lambda reader, query: api.trials(reader),
    "goalpost": lambda reader, query: api.goalpost(reader, query.get("id", "")),
    "goalpost_line": lambda reader, query: api.goalpost_line(reader, query.get("id", "")),
    "proposals": api.proposals,
    "node": lambda reader, query: api.node(reader, query.get("id", "")),
    "funnel": api.funnel,
    "drift": lambda reader, query: api.drift(reader),
    "rollouts": api.rollouts,
    "rollout": lambda reader, query: api.rollout(reader, query.get("id", "")),
    "group": lambda reader, query: api.group(reader, query.get("id", "")),
    "evals": lambda reader, query: api.evals(reader),
}


class Readers:
    """Open readers of the runs, at most a few; a run folder made anew is opened anew."""

    def __init__(self, root: Path) -> None:
        self.library = api.Library(root)
        self._open: dict[tuple[str, int], RunReader] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> RunReader:
        path = self.library.path(name)
        key = (name, (path / "run.db").stat().st_ino)
        with self._lock:
            if key not in self._open:
                if len(self._open) >= OPEN_RUNS:
                    self._open.pop(next(iter(self._open)))
                self._open[key] = RunReader.open(path)
            return self._open[key]


class Guard:
    """Refuses foreign hosts and origins and writing verbs; sets the security headers."""

    def __init__(self, app: ASGIApp, hosts: set[str], token: str = "") -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal:
            response = PlainTextResponse(refusal[1], status_code=refusal[0], headers=HEADERS)
            await response(scope, receive, send)
            return

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                raw = list(message.get("headers", []))
                raw += [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
                token = self._given_token(scope)
                if self._token and token:
                    cookie = f"gasp_token={token}; HttpOnly; SameSite=Strict; Path=/"
                    raw.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": raw}
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "This page only reads: GET and HEAD are allowed."
        if _host_name(headers.get("host", "")) not in self._hosts:
            return 400, "This Host is not served; open the address that gasp printed."
        origin = headers.get("origin")
        if origin and origin.partition("//")[2] != headers.get("host"):
            return 403, "Requests from other origins are refused."
        if self._token and not self._allowed(scope, headers):
            return 403, "A token is needed; open the address that gasp printed."
        return None

    def _given_token(self, scope: Scope) -> str:
        query = scope.get("query_string", b"").decode("latin-1")
        return next((p[6:] for p in query.split("&") if p.startswith("token=")), "")

    def _allowed(self, scope: Scope, headers: Headers) -> bool:
        cookies = (part.strip() for part in headers.get("cookie", "").split(";"))
        held = next((c[11:] for c in cookies if c.startswith("gasp_token=")), "")
        return any(
            hmac.compare_digest(given.encode(), self._token.encode())
            for given in (held, self._given_token(scope))
        )


def build_app(root: Path, *, hosts: set[str] | None = None, token: str = "") -> Guard:
    """The explorer over the runs under `root` as an ASGI application."""
    readers = Readers(root)

    async def events(request: Request) -> Response:
        return await _events(readers, request)

    app = Starlette(
        routes=[
            Route("/", _index),
            Route("/static/{name}", _static),
            Route("/api/runs", _safely(lambda request: _runs(readers))),
            Route("/api/names", _safely(lambda request: _names(readers, request))),
            Route("/api/compare", _safely(lambda request: _compare(readers, request))),
            Route("/api/events", events),
            Route("/api/run/{what}", _safely(lambda request: _about_run(readers, request))),
        ]
    )
    return Guard(app, hosts or LOOPBACK, token)


def serve(root: Path, *, host: str = "127.0.0.1", port: int = 7117) -> None:
    """Serve until Ctrl-C. Hosts other than loopback need the printed token."""
    token = "" if host in LOOPBACK else secrets.token_urlsafe(24)
    hosts = LOOPBACK if not token else LOOPBACK | {host, socket.gethostname(), socket.getfqdn()}
    if host == "0.0.0.0":
        hosts |= {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        other = "--host" if isinstance(error, socket.gaierror) else "--port"
        raise StoreError(f"{host}:{port}: {error.strerror}; choose another {other}") from None
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    print(f"http://{shown}:{port}/{f'?token={token}' if token else ''}", flush=True)
    if token:
        print("Anyone with this address can read every run; plain HTTP, so use a trusted network.")
    config = uvicorn.Config(
        build_app(root, hosts=hosts, token=token),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _json(value: Any, status: int = 200) -> Response:
    """ASCII JSON: lone surrogates travel as escapes."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Response(text, status_code=status, media_type="application/json")


def _safely(answer: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    """Run a blocking answer in a thread; a `StoreError` becomes its sentence."""

    async def endpoint(request: Request) -> Response:
        try:
            return _json(await run_in_threadpool(answer, request))
        except StoreError as error:
            return _json({"error": str(error)}, 404)

    return endpoint


async def _index(request: Request) -> Response:
    return _sent("index.html")


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    return _sent(name) if name in SENT else PlainTextResponse("no such file", status_code=404)


def _sent(name: str) -> Response:
    return Response(asset(name), media_type=SENT[name][0])


def _runs(readers: Readers) -> list[dict[str, Any]]:
    lines = []
    for name in readers.library.names():
        try:
            lines.append(api.run_line(readers.get(name)))
        except StoreError as error:
            lines.append({"run": name, "error": str(error)})
    return lines


def _names(readers: Readers, request: Request) -> dict[str, Any]:
    steps = readers.get(request.query_params.get("run", "")).steps()
    return api.names(sorted({name for step in steps for name in {**step.metrics, **step.times}}))


def _compare(readers: Readers, request: Request) -> dict[str, Any]:
    chosen = [name for name in request.query_params.get("runs", "").split(",") if name]
    if not 2 <= len(chosen) <= 8:
        raise StoreError("compare needs two to eight runs")
    return api.compare([readers.get(name) for name in chosen])


def _about_run(readers: Readers, request: Request) -> Any:
    answer = ANSWERS.get(request.path_params["what"])
    if answer is None:
        raise StoreError("no such question")
    try:
        return answer(readers.get(request.query_params.get("run", "")), request.query_params)
    except ValueError:
        raise StoreError("a number in the address cannot be read") from None


async def _events(readers: Readers, request: Request) -> Response:
    """Server-sent events: each committed step after the cursor, then as they come."""
    name = request.query_params.get("run", "")
    given = request.headers.get("last-event-id") or request.query_params.get("after") or "0"
    try:
        cursor = int(given)
        reader = await run_in_threadpool(readers.get, name)
    except (ValueError, StoreError):
        return JSONResponse({"error": f"no run {name!r}, or no step {given!r}"}, 404)
    return StreamingResponse(_stream(reader, cursor, request), media_type="text/event-stream")


async def _stream(reader: RunReader, cursor: int, request: Request) -> AsyncIterator[str]:
    quiet = 0.0
    yield "retry: 2000\n\n"
    while not await request.is_disconnected():
        last = await run_in_threadpool(reader.last_step)
        if last < cursor:
            cursor = last  # the run was rolled back and continues from an earlier step
            yield f"event: rollback\nid: {last}\ndata: {last}\n\n"
        if last > cursor:
            rows = await run_in_threadpool(api.steps, reader, cursor)
            cursor = rows[-1]["step"]
            data = json.dumps(rows, ensure_ascii=True, separators=(",", ":"))
            yield f"event: steps\nid: {cursor}\ndata: {data}\n\n"
            quiet = 0.0
        elif quiet >= HEARTBEAT_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(POLL_SECONDS)
        quiet += POLL_SECONDS
