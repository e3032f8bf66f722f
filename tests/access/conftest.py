"""One store, three people: Ada and Ben are users, Olga owns the app; predictors that need no process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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

ANYTHING = {"type": "object", "properties": {"value": {}}, "required": ["value"], "additionalProperties": False}


class Echo:
    """An Invoker whose predictors return what they are given, or fail where it says so."""

    def __init__(self, files: FolderFiles) -> None:
        self._files = files

    def invoke(
        self, function: str, payload: bytes, *, context: Mapping[str, str] | None = None, log_tail: bool = False
    ) -> Invocation:
        event = json.loads(payload)
        value = json.loads(self._files.read(event["$payload"])) if "$payload" in event else event
        if value["value"] == "fail":
            told = {"errorType": "ValueError", "errorMessage": "no", "stackTrace": ["File secret.py, line 1"]}
            return Invocation(json.dumps(told).encode(), "ValueError")
        if isinstance(value["value"], dict) and "echo" in value["value"]:
            return Invocation(json.dumps(json.loads(value["value"]["echo"])).encode())
        return Invocation(json.dumps(value["value"]).encode())

    def poke(self, function: str, payload: bytes = b"{}") -> None:
        pass


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    store, files = SqliteStore(tmp_path / "state.db"), FolderFiles(tmp_path / "files")
    predictors = tuple(
        PredictorManifest(name, kind, "c", "", ANYTHING, {}, Resources())  # type: ignore[arg-type]
        for name, kind in (("now", "realtime"), ("later", "batch"))
    )
    store.put_release(Release("tiny", "Tiny", 1, 0.0, (ComponentManifest("c", "hash", "v1", predictors),)))
    return Backend(store, files, Echo(files), FolderLogs(tmp_path / "logs"))


@pytest.fixture
def client_of(backend: Backend) -> Callable[..., Client]:
    def client(user: str, *, owner: bool = False) -> Client:
        return Client(backend, Settings(app="tiny"), user, owner=owner)

    return client


@pytest.fixture
def people(client_of: Callable[..., Client]) -> dict[str, Any]:
    return {"ada": client_of("ada"), "ben": client_of("ben"), "olga": client_of("olga", owner=True)}
