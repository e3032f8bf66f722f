"""`python -m matinee.ui.serve`: the UI as one ASGI process, until SIGTERM or until its parent is gone.

Streamlit's own settings here are measured: stock Streamlit collects garbage after every rerun, which is four fifths of
a page view's CPU, and watches files that never change in this process.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from matinee.access.modes import check_reach
from matinee.access.people import LOCAL
from matinee.api import routes as api_routes
from matinee.errors import MatineeError
from matinee.settings import UiSettings
from matinee.ui import downloads, https, session, visitor
from matinee.ui.look import PRIMARY
from matinee.ui.sign_in_provider import streamlit_secrets
from matinee.ui.static import Static
from matinee.ui.streamlit_patches import patch_streamlit

SCRIPT = Path(__file__).parent / "script" / "page.py"
PING_S = 25  # load balancers close what is silent for a minute
YOUNG_OBJECTS = 50_000  # made by a few clicks; by default the collector walks through them some thirty times a click
TURN_S = 0.02  # longer than a script runs: threads that take turns within it cost a tenth of a click
KEEP_ALIVE_S = 150  # longer than a load balancer keeps a silent connection (130 s), or it meets a closed door (502)
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
    parser.add_argument("--lifeline-fd", type=int, default=-1, help="read end of a pipe: its end means exit")
    parser.add_argument("--without-sign-in", action="store_true", help="let everybody in who reaches the address")
    options = parser.parse_args(arguments)
    try:
        gate = session.opened_gate()
        check_reach(gate.mode, options.host, without_sign_in=options.without_sign_in)
    except MatineeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    session.use(gate)
    session.write_access_events()
    routes = api_routes(session.client_of, sign_in=lambda: session.gate().mode)
    serve(options.host, options.port, lifeline_fd=options.lifeline_fd, routes=routes)


def serve(host: str, port: int, *, lifeline_fd: int = -1, routes: Sequence[Any] = ()) -> None:
    """Serve the UI, with `routes` (Starlette's) before it, on uvloop and httptools where they are."""
    import uvicorn

    trusted = UiSettings.from_environment().trusted_proxies
    config = uvicorn.Config(
        application(routes),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # packing the small messages of a click costs more than sending them
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        proxy_headers=bool(trusted),  # uvicorn by itself believes whoever is on this machine
        forwarded_allow_ips=trusted,
    )
    server = uvicorn.Server(config)
    if lifeline_fd >= 0:
        threading.Thread(target=_end_with_parent, args=(lifeline_fd, server), name="lifeline", daemon=True).start()
    server.run()
    sys.exit(0 if server.started else 1)


def application(routes: Sequence[Any] = ()) -> Any:
    """Return the ASGI app: Streamlit's with the settings above, behind the gate.

    `routes` are reached without signing in: what they serve asks for tokens of its own.
    """
    from streamlit.file_util import get_static_dir
    from streamlit.starlette import App
    from streamlit.web.bootstrap import load_config_options

    load_config_options({name.replace(".", "_"): value for name, value in OPTIONS.items()})
    patch_streamlit()
    gate = session.gate()
    streamlit = App(
        SCRIPT,
        routes=[*routes, *downloads.ROUTES],
        lifespan=_lifespan,
        secrets=streamlit_secrets(gate.mode, gate.cookies.secret),
    )
    app: Any = streamlit
    if not gate.is_open:
        from matinee.ui.middleware import SignInMiddleware

        app = SignInMiddleware(streamlit, gate, session.title, [route.path for route in routes])
    before = UiSettings.from_environment()
    if before.https:
        app = https.Https(app)
    if before.behind_cloudfront:
        app = visitor.Visitor(app)
    # Before the gate: they are Streamlit's, the same in every app, and a CDN keeps them for everybody.
    return Static(app, Path(get_static_dir()) / "static")


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


if __name__ == "__main__":
    main()
