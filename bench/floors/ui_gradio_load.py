"""A session of a Gradio page for `ui_sessions.Visitors`: what its frontend sends and the stream it reads."""

from __future__ import annotations

import asyncio
import json
import uuid
from urllib.parse import urlsplit

from floors.ui_sessions import ANSWER_S, NoAnswerError


class Session:
    """One open page: two kept connections, one for requests and one for the stream of events."""

    def __init__(self, address: str) -> None:
        self._host = urlsplit(address).netloc
        self._name = uuid.uuid4().hex[:10]

    async def open(self) -> None:
        """Fetch the page's configuration, as the frontend does first."""
        self._connections: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        await self._request("posts", "GET", "/config")

    async def click(self, text: str) -> None:
        """Join the queue and read events until the answer; NoAnswerError after ANSWER_S."""
        body = {"data": [text], "event_data": None, "fn_index": 0, "trigger_id": 4, "session_hash": self._name}
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._request("posts", "POST", "/gradio_api/queue/join", json.dumps(body).encode())
                events = await self._request("events", "GET", f"/gradio_api/queue/data?session_hash={self._name}")
        except (TimeoutError, asyncio.IncompleteReadError):
            raise NoAnswerError("No answer came.") from None
        if text.upper().encode() not in events:
            raise NoAnswerError(events.decode()[-200:])

    async def close(self) -> None:
        """Close both connections."""
        for _, writer in self._connections.values():
            writer.close()

    async def _request(self, name: str, method: str, path: str, body: bytes = b"") -> bytes:
        try:
            return await self._exchange(name, method, path, body)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                raise
            self._connections.pop(name)[1].close()  # the server closes what was silent: a browser connects again
            return await self._exchange(name, method, path, body)

    async def _exchange(self, name: str, method: str, path: str, body: bytes) -> bytes:
        if name not in self._connections:
            host, port = self._host.split(":")
            self._connections[name] = await asyncio.open_connection(host, int(port))
        reader, writer = self._connections[name]
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        headers = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in headers.split(b"\r\n", 1)[0]:
            raise NoAnswerError(headers.decode())
        if b"transfer-encoding: chunked" not in headers:
            length = int(headers.split(b"content-length:")[1].split(b"\r\n")[0])
            return await reader.readexactly(length)
        parts = []
        while size := int(await reader.readline(), 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
        await reader.readline()
        return b"".join(parts)
