"""A plain handler gets its event as it is, whatever its size: it knows no references into Files."""

from __future__ import annotations

import json

import pytest

from matinee.backends.factory import Backend
from matinee.backends.local.files import FolderFiles
from matinee.backends.local.store import SqliteStore
from matinee.client.core import INLINE_BYTES, PAYLOAD_BYTES, Client
from matinee.manifest import PLAIN, ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import Invocation
from matinee.settings import Settings

EVENT = {"type": "object", "properties": {"event": {"type": "object"}}, "required": ["event"], PLAIN: "handler"}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
COMPONENTS = tuple(
    ComponentManifest(name, "h", "v1", (PredictorManifest(name, "realtime", name, "", parameters, {}, Resources()),))
    for name, parameters in (("handler", EVENT), ("predictor", TEXT))
)


class Records:
    """An Invoker that answers with the length of what it was sent, and keeps it."""

    payload = b""

    def invoke(self, function, payload, *, context=None, log_tail=False):
        self.payload = payload
        return Invocation(str(len(payload)).encode())


@pytest.fixture
def invoker():
    return Records()


@pytest.fixture
def client(tmp_path, invoker):
    store = SqliteStore(tmp_path / "state.db")
    store.put_release(Release("app", "App", 1, 0.0, COMPONENTS))
    yield Client(Backend(store, FolderFiles(tmp_path / "files"), invoker, logs=None), Settings(data=tmp_path), "ana")
    store.close()


@pytest.mark.parametrize("size", [10, INLINE_BYTES, PAYLOAD_BYTES + 1])
def test_a_plain_handler_gets_its_event_itself(client, invoker, size):
    event = {"text": "x" * size}
    client.predict("handler", {"event": event})
    assert json.loads(invoker.payload) == event


def test_a_predictor_gets_what_is_too_large_for_a_payload_by_reference(client, invoker):
    client.predict("predictor", {"text": "x" * PAYLOAD_BYTES})
    assert len(invoker.payload) < INLINE_BYTES
    (key,) = json.loads(invoker.payload).values()
    assert json.loads(client.backend.files.read(key)) == {"text": "x" * PAYLOAD_BYTES}
