"""Streamlit's own files, answered before Streamlit: a first view asks for ninety, each a millisecond and more.

Their names hold a hash of what is in them, so a browser (and a CDN) may keep them for good.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/static/"
KEPT_BYTES = 12_000_000  # of all files; what a first view needs is a fifth of that
FOREVER = b"public, max-age=31536000, immutable"
KINDS = {".js": "text/javascript", ".woff2": "font/woff2", ".wasm": "application/wasm"}  # not known everywhere
Headers = list[tuple[bytes, bytes]]


class Static:
    """An ASGI app that answers GET for the files of `folder` below PREFIX; everything else is for `app`.

    Only files found at the start are answered, by their exact path: no path of a request reaches the disk.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._files = {f"{PREFIX}{f.relative_to(folder).as_posix()}": f for f in folder.rglob("*") if f.is_file()}
        self._answers: dict[str, tuple[Headers, bytes]] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope)
        if answer is None:
            await self._app(scope, receive, send)
            return
        headers, body = answer
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Scope) -> tuple[Headers, bytes] | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path: str = scope["path"]
        kept = self._answers.get(path)
        if kept is None and path in self._files:
            kept = _read(self._files[path])
            if kept is not None and self._bytes + len(kept[1]) <= KEPT_BYTES:
                self._bytes += len(kept[1])
                self._answers[path] = kept
        return kept


def _read(file: Path) -> tuple[Headers, bytes] | None:
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
