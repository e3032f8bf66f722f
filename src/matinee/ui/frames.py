"""Messages to browsers as WebSocket frames in one step, where uvicorn's own way asks its protocol's state for each.

A frame from a server is a head of two, four or ten bytes and the message (RFC 6455, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_BINARY = 0x82  # the first and last frame of a message of bytes
TOGETHER = "matinee.messages"  # ASGI's extension by which a server says that it takes them


class Messages(bytes):
    """Several messages framed, to be written by one call of the system in place of one each."""

    messages: Sequence[bytes]

    @classmethod
    def together(cls, messages: Sequence[bytes]) -> Messages:
        """Return the messages framed."""
        framed = cls(b"".join(part for message in messages for part in (head(len(message)), message)))
        framed.messages = messages
        return framed


class Frames(WebSocketsSansIOProtocol):
    """uvicorn's protocol with a short way for what nearly every message is: bytes on an open, unpacked connection."""

    async def run_asgi(self) -> None:
        """Run the application, which is told that `Messages` may be sent."""
        self.scope.setdefault("extensions", {})[TOGETHER] = {}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send one message, or several that are `Messages`; see ASGI's `send`."""
        data = message.get("bytes")
        if data is not None and self._is_plain():
            self.transport.write(data if isinstance(data, Messages) else head(len(data)) + data)
        elif isinstance(data, Messages):
            for each in data.messages:
                await super().send(message | {"bytes": each})
        else:
            await super().send(message)

    def _is_plain(self) -> bool:
        is_open = self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())
        return is_open and self.writable.is_set() and not self.conn.extensions


def head(size: int) -> bytes:
    """Return the head of a frame of so many bytes."""
    if size < 126:
        return bytes((_BINARY, size))
    if size < 65536:
        return bytes((_BINARY, 126)) + size.to_bytes(2, "big")
    return bytes((_BINARY, 127)) + size.to_bytes(8, "big")
