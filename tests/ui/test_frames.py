"""A message as we frame it is one that any WebSocket client reads."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from matinee.ui.frames import head


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_is_as_websockets_writes_it(size):
    data = b"x" * size
    assert head(size) + data == Frame(Opcode.BINARY, data).serialize(mask=False, extensions=[])
