from __future__ import annotations

import os

import pytest

from matinee.backends.factory import Backend, open_backend
from matinee.errors import BackendError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import LaunchStatus
from matinee.runtime.dispatcher import Dispatcher
from matinee.settings import Settings

SCHEMA = {"type": "object", "properties": {"days": {"type": "integer", "default": 7}}, "additionalProperties": False}


class Launcher:
    """Remembers whom it launched; `broken` says why it launches nobody, `ended` whose worker has ended."""

    def __init__(self):
        self.launched, self.broken, self.ended = [], "", {}

    def launch(self, slot):
        if self.broken:
            raise BackendError(self.broken)
        self.launched.append(slot)
        return f"handle-{slot.token}"

    def status(self, slots):
        return {s.token: LaunchStatus(s.token in self.ended, self.ended.get(s.token, "")) for s in slots}

    def stop(self, slot):
        self.ended[slot.token] = "It was told to end"


@pytest.fixture
def release():
    def predictor(name):
        return PredictorManifest(name, "batch", "plans", "", SCHEMA, {}, Resources(max_workers=2))

    component = ComponentManifest("plans", "hash", "v1", (predictor("plan"), predictor("train")))
    return Release("app", "App", 1, 0.0, (component,))


@pytest.fixture
def launcher():
    return Launcher()


@pytest.fixture
def dispatcher(tmp_path, launcher):
    """The dispatcher over the local backend: the ports are all it knows."""
    settings = Settings(data=tmp_path)
    backend: Backend = open_backend(settings)
    yield Dispatcher(backend, settings, launcher)
    backend.store.close()


@pytest.fixture
def on_aws(monkeypatch):
    """The environment of a container on AWS."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MATINEE_"))]:
        monkeypatch.delenv(name)
    told = {"AWS_REGION": "eu-central-1", "MATINEE_TABLE": "app", "MATINEE_BUCKET": "app-files"}
    told |= {"MATINEE_BACKEND": "aws", "MATINEE_FUNCTION_PREFIX": "matinee-app-dev-", "MATINEE_CLUSTER": "app"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
