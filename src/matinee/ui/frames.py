"""Messages to browsers as WebSocket frames in one step, where uvicorn's own way asks its protocol's state for each.

A frame from a server is a head of two, four or ten bytes and the message (RFC 6455, section 5.2).
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_BINARY = 0x82  # the first and last frame of a message of bytes


class Frames(WebSocketsSansIOProtocol):
    """uvicorn's protocol with a short way for what nearly every message is: bytes on an open, unpacked connection."""

    async def send(self, message: Any) -> None:
        """Send one message; see ASGI's `send`."""
        data = message.get("bytes")
        if data is None or not self._is_plain():
            await super().send(message)
            return
        self.transport.write(head(len(data)) + data)

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
