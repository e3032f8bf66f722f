"""A client over SQLite and a folder, without a process: what is submitted waits in the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from matinee.backends.factory import Backend
from matinee.backends.local.files import FolderFiles
from matinee.backends.local.logs import FolderLogs
from matinee.backends.local.store import SqliteStore
from matinee.client.core import Client
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import Invocation
from matinee.settings import Settings

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "past_activity": {"type": "string", "default": ""},
        "age": {"type": "integer", "minimum": 0, "default": 30},
        "born": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "member": {"type": "boolean", "default": False},
    },
    "required": ["name"],
    "additionalProperties": False,
}
RESULT = {"type": "object", "properties": {"text": {"type": "string"}, "n": {"type": "integer"}}, "required": ["text"]}
PREDICTOR = PredictorManifest("greet", "realtime", "greet", "Say hello.", PARAMETERS, RESULT, Resources())


class Nobody:
    """An invoker that nobody listens to."""

    def invoke(
        self, function: str, payload: bytes, *, context: Mapping[str, str] | None = None, log_tail: bool = False
    ) -> Invocation:
        raise AssertionError("nothing is predicted here")

    def poke(self, function: str, payload: bytes = b"{}") -> None:
        return None


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """Return the client of ann."""
    yield from _client(tmp_path, rows=1000)


def _client(folder: Path, **limits: Any) -> Iterator[Client]:
    store = SqliteStore(folder / "state.db")
    component = ComponentManifest("greet", "hash", "v1", (PREDICTOR,))
    store.put_release(Release("tiny", "Tiny", 1, time.time(), (component,), {"limits": limits}))
    backend = Backend(store, FolderFiles(folder / "files"), Nobody(), FolderLogs(folder / "logs"))
    yield Client(backend, Settings(data=folder), "ann")
    store.close()


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a CSV file of lines."""

    def write(*lines: str, encoding: str = "utf-8", name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
        return path

    return write
