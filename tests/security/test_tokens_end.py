"""A token of the API ends with its person, at the door where it is shown."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from matinee.access.modes import make_sign_in
from matinee.access.people import Users
from matinee.access.tokens import create_token
from matinee.api.routes import routes
from matinee.backends.factory import open_backend
from matinee.client.core import Client
from matinee.manifest import Release
from matinee.settings import Settings


@pytest.fixture
def backend(tmp_path: Path):
    backend = open_backend(Settings(data=tmp_path))
    yield backend
    backend.store.close()


def status_of(backend, auth: dict[str, object], secret: str) -> int:
    backend.store.put_release(Release("tiny", "Tiny", 1, 0.0, details={"auth": auth}))
    backend.poll.forget()  # what is live is remembered for a moment
    app = Starlette(routes=routes(lambda person: Client(backend, Settings(), person.name)))
    caller = TestClient(app, "http://app.example.com", client=("192.0.2.7", 1))
    return caller.get("/api/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code


def make(backend, auth: dict[str, object], name: str) -> str:
    mode = make_sign_in(auth, {}, lambda: Users(backend.store))
    return create_token(backend.store, mode, name, now=time.time())[1]


def test_a_changed_password_and_a_removal_end_it(backend):
    users, auth = Users(backend.store), {"mode": "users"}
    users.add("ada", "correct horse")
    secret = make(backend, auth, "ada")
    assert status_of(backend, auth, secret) == 200
    users.change_password("ada", "battery staple")
    assert status_of(backend, auth, secret) == 401
    secret = make(backend, auth, "ada")
    assert status_of(backend, auth, secret) == 200
    users.remove("ada")
    assert status_of(backend, auth, secret) == 401


def test_leaving_allow_ends_it(backend):
    secret = make(backend, {"mode": "oidc", "allow": ["@x.org"]}, "ada@x.org")
    assert status_of(backend, {"mode": "oidc", "allow": ["@x.org"]}, secret) == 200
    assert status_of(backend, {"mode": "oidc", "allow": ["ben@x.org"]}, secret) == 401


def test_a_mode_that_this_version_does_not_know_lets_nobody_in(backend):
    secret = make(backend, {}, "ada")
    assert status_of(backend, {"mode": "a later one"}, secret) in (400, 401, 422, 503)
