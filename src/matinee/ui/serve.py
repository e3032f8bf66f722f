"""`python -m matinee.ui.serve`: the UI as one ASGI process, until SIGTERM or until its parent is gone.

Streamlit's own settings here are measured: stock Streamlit collects garbage after every rerun, which is four fifths of
a page view's CPU, and watches files that never change in this process.
"""

from __future__ import annotations

import argparse
import gc
import mimetypes
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matinee.access.people import LOCAL
from matinee.access.reach import ANY_HOST, check_reach, names_of
from matinee.api.routes import routes as api_routes
from matinee.errors import MatineeError
from matinee.settings import UiSettings
from matinee.ui import export, session
from matinee.ui.capacity import MAX_DESCRIPTORS, Capacity, raise_descriptor_limit
from matinee.ui.guard import Guard, scripts_of
from matinee.ui.sign_in import streamlit_secrets
from matinee.ui.site import PRIMARY, RESULT_SCRIPT
from matinee.ui.streamlit_patches import patch_streamlit

SCRIPT = Path(__file__).parent / "script" / "page.py"
PING_S = 25  # load balancers close what is silent for a minute
YOUNG_OBJECTS = 50_000  # made by a few clicks; by default the collector walks through them some thirty times a click
TURN_S = 0.02  # longer than a script runs: threads that take turns within it cost a tenth of a click
KEEP_ALIVE_S = 150  # longer than a load balancer keeps a silent connection (130 s), or it meets a closed door (502)
OWN_KEEP_ALIVE_S = 5  # without one: what is closed in a browser holds no descriptor for longer
GRACE_S = 1  # to end open connections; a browser connects again by itself
OPTIONS: dict[str, Any] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.websocketPingInterval": PING_S,
    "server.enableXsrfProtection": True,
    "server.maxUploadSize": 50,
    "runner.postScriptGC": False,
    "runner.magicEnabled": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showSidebarNavigation": False,
    "logger.level": "warning",
    **{f"theme.{base}.primaryColor": color for base, color in PRIMARY.items()},
    "theme.baseRadius": "0.6rem",
    "theme.headingFontSizes": ["2rem", "1.5rem", "1.2rem", "1.1rem", "1rem", "0.9rem"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to end; exit code 2 when the app would be open to others and nobody said so."""
    parser = argparse.ArgumentParser(prog="python -m matinee.ui.serve", description="Serve the UI of an app.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--socket-fd", type=int, default=-1, help="an inherited socket that listens already")
    parser.add_argument("--lifeline-fd", type=int, default=-1, help="read end of a pipe: its end means exit")
    parser.add_argument("--without-sign-in", action="store_true", help="let everybody in who reaches the address")
    options = parser.parse_args(arguments)
    try:
        gate = session.open_app_gate()
        check_reach(gate.mode, options.host, without_sign_in=options.without_sign_in)
    except MatineeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    session.use(gate)
    session.write_access_events()
    routes = api_routes(session.client_of, sign_in=lambda: session.gate().mode)
    serve(options.host, options.port, socket_fd=options.socket_fd, lifeline_fd=options.lifeline_fd, routes=routes)


def serve(host: str, port: int, *, socket_fd: int = -1, lifeline_fd: int = -1, routes: Sequence[Any] = ()) -> None:
    """Serve the UI, with `routes` (Starlette's) before it, on uvloop and httptools where they are.

    At `socket_fd` if there is one: whoever started this process has opened it, so that the port is its own.
    """
    import uvicorn

    trusted = UiSettings.from_environment().trusted_proxies
    config = uvicorn.Config(
        application(routes, host, raise_descriptor_limit()),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # packing the small messages of a click costs more than sending them
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        timeout_keep_alive=KEEP_ALIVE_S if trusted else OWN_KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(trusted),  # uvicorn by itself believes whoever is on this machine
        forwarded_allow_ips=trusted,
    )
    server = uvicorn.Server(config)
    if lifeline_fd >= 0:
        threading.Thread(target=_end_with_parent, args=(lifeline_fd, server), name="lifeline", daemon=True).start()
    server.run(sockets=[socket.socket(fileno=socket_fd)] if socket_fd >= 0 else None)
    sys.exit(0 if server.started else 1)


def application(routes: Sequence[Any] = (), host: str = "127.0.0.1", descriptors: int = MAX_DESCRIPTORS) -> Any:
    """Return the ASGI app: Streamlit's with the settings above, behind the gate and the guard.

    `routes` are reached without signing in: what they serve asks for tokens of its own. `host` is the address that
    the app listens on, `descriptors` how many files and sockets it may have open.
    """
    from streamlit.file_util import get_static_dir
    from streamlit.starlette import App
    from streamlit.web.bootstrap import load_config_options

    load_config_options({name.replace(".", "_"): value for name, value in OPTIONS.items()})
    patch_streamlit()
    gate = session.gate()
    streamlit = App(
        SCRIPT,
        routes=[*routes, *export.ROUTES],
        lifespan=_lifespan,
        secrets=streamlit_secrets(gate.mode, gate.cookies.secret),
    )
    app: Any = streamlit
    if not gate.is_open:
        from matinee.ui.sign_in import SignInMiddleware

        app = SignInMiddleware(streamlit, gate, session.title, [route.path for route in routes])
    before = UiSettings.from_environment()
    if before.https:
        app = Https(app)
    if before.behind_cloudfront:
        app = Visitor(app)
    folder = Path(get_static_dir())
    # Before the gate: they are Streamlit's, the same in every app, and a CDN keeps them for everybody.
    app = Static(app, folder / "static")
    is_named = gate.is_open and not before.trusted_proxies  # a load balancer knows the app by names of its own
    scripts = (*scripts_of(folder / "index.html"), RESULT_SCRIPT.read_text("utf-8"))
    app = Guard(Capacity(app, descriptors), names_of(host) if is_named else {ANY_HOST}, session.rules, scripts)
    return Visitor(app) if before.behind_cloudfront else app


@asynccontextmanager
async def _lifespan(_: Any) -> AsyncIterator[None]:
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    yield


def _warm_up() -> None:
    """Import what the first page needs while the browser is still asking, then leave all of it to no collector."""
    import matinee.ui.app  # noqa: F401

    session.client_of(LOCAL)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    sys.setswitchinterval(TURN_S)


def _end_with_parent(lifeline_fd: int, server: Any) -> None:
    while os.read(lifeline_fd, 1024):
        pass
    server.should_exit = True
    timer = threading.Timer(3 * GRACE_S, os._exit, (0,))  # whatever still hangs must not outlive the parent
    timer.daemon = True
    timer.start()


# --- static files of Streamlit ----------------------------------------------------------------------------------------
# Streamlit's own files, answered before Streamlit: a first view asks for ninety, each a millisecond and more.
#
# Their names hold a hash of what is in them, so a browser (and a CDN) may keep them for good.

PREFIX = "/static/"
KEPT_BYTES = 12_000_000  # of all files; what a first view needs is a fifth of that
FOREVER = b"public, max-age=31536000, immutable"
KINDS = {".js": "text/javascript", ".woff2": "font/woff2", ".wasm": "application/wasm"}  # not known everywhere
RawHeaders = list[tuple[bytes, bytes]]


class Static:
    """An ASGI app that answers GET for the files of `folder` below PREFIX; everything else is for `app`.

    Only files found at the start are answered, by their exact path: no path of a request reaches the disk.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._files = {f"{PREFIX}{f.relative_to(folder).as_posix()}": f for f in folder.rglob("*") if f.is_file()}
        self._answers: dict[str, tuple[RawHeaders, bytes]] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope)
        if answer is None:
            await self._app(scope, receive, send)
            return
        headers, body = answer
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Scope) -> tuple[RawHeaders, bytes] | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path: str = scope["path"]
        answer = self._answers.get(path)
        if answer is None and path in self._files:
            answer = _read(self._files[path])
            if answer is not None and self._bytes + len(answer[1]) <= KEPT_BYTES:
                self._bytes += len(answer[1])
                self._answers[path] = answer
        return answer


def _read(file: Path) -> tuple[RawHeaders, bytes] | None:
    try:
        body = file.read_bytes()
    except OSError:  # Streamlit says what there is to say
        return None
    kind = KINDS.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    text = "; charset=utf-8" if kind.startswith("text/") else ""
    return [
        (b"content-type", f"{kind}{text}".encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", FOREVER),
        (b"x-content-type-options", b"nosniff"),
    ], body


# --- HTTPS behind CloudFront ------------------------------------------------------------------------------------------
# Behind CloudFront the app is reached by https alone, and told http: the last step inside the network is plain.

_SECURE = {"http": "https", "websocket": "wss"}


class Https:
    """An ASGI app that says so of every request, for cookies and links to be made as for https."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in _SECURE:
            scope = {**scope, "scheme": _SECURE[scope["type"]]}
        await self._app(scope, receive, send)


# --- the visitor's address --------------------------------------------------------------------------------------------
# Behind CloudFront: whose address a request is from, for wrong passwords are counted by it.
#
# The load balancer appends to X-Forwarded-For who came to it. That is CloudFront, by a public address of its own that
# many people share, and CloudFront has put the browser's before it.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html


# A 503 of the balancer itself means that nobody is there: CloudFront shows the page of an app that is asleep instead
# (`stack.edge`). The app's own 503 means the contrary, so it leaves under a number that CloudFront passes on; for a
# client that does not know the number it is a 5xx with Retry-After all the same (RFC 9110, 15).

OVERLOADED = 529


class Visitor:
    """An ASGI app that says of every request which browser sent it, and of every answer that somebody is there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            addresses = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
            if len(addresses) > 1:  # what comes before the last two is the browser's own word
                scope = {**scope, "client": (addresses[-2].strip(), 0)}

        async def send_as_awake(message: Message) -> None:
            is_busy = message["type"].endswith("response.start") and message["status"] == HTTPStatus.SERVICE_UNAVAILABLE
            await send({**message, "status": OVERLOADED} if is_busy else message)

        await self._app(scope, receive, send_as_awake)


if __name__ == "__main__":
    main()
