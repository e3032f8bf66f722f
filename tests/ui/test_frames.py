"""A message as we frame it is one that any WebSocket client reads."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from matinee.ui.frames import TOGETHER, Frames, Messages, head


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_is_as_websockets_writes_it(size):
    data = b"x" * size
    assert head(size) + data == Frame(Opcode.BINARY, data).serialize(mask=False, extensions=[])


@pytest.fixture
def protocol(monkeypatch):
    """A protocol whose connection is open; what it writes, and what goes uvicorn's own way."""
    written, sent = [], []
    protocol = object.__new__(Frames)
    protocol.handshake_complete, protocol.close_sent, protocol.disconnected = True, False, False
    protocol.transport = SimpleNamespace(write=written.append, is_closing=lambda: False)
    protocol.writable = asyncio.Event()
    protocol.conn = SimpleNamespace(extensions=[])

    async def send(_, message):
        sent.append(message["bytes"])

    monkeypatch.setattr(WebSocketsSansIOProtocol, "send", send)
    return SimpleNamespace(written=written, sent=sent, it=protocol)


def send(protocol, data):
    asyncio.run(protocol.it.send({"type": "websocket.send", "bytes": data}))


def test_messages_that_are_sent_together_are_one_write_of_a_frame_each(protocol):
    protocol.it.writable.set()
    send(protocol, Messages.together([b"one", b"two"]))
    assert protocol.written == [head(3) + b"one" + head(3) + b"two"]
    assert protocol.sent == []


def test_where_nothing_can_be_written_at_once_each_goes_the_common_way(protocol):
    send(protocol, Messages.together([b"one", b"two"]))  # not writable: the browser does not read
    send(protocol, b"three")
    assert (protocol.written, protocol.sent) == ([], [b"one", b"two", b"three"])


def test_the_application_is_told_that_it_may(protocol, monkeypatch):
    async def run(_):
        pass

    monkeypatch.setattr(WebSocketsSansIOProtocol, "run_asgi", run)
    protocol.it.scope = {"type": "websocket"}
    asyncio.run(protocol.it.run_asgi())
    assert TOGETHER in protocol.it.scope["extensions"]
