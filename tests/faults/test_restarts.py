"""A dev that is started again, and clients that come before it is ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import matinee
from matinee.backends.local.dev_record import dev_lock, write_dev_record
from matinee.client.host import LocalHost, open_client
from matinee.errors import BackendError
from matinee.project.load import load


@contextmanager
def dev_of(folder: Path, *, is_ready: bool = True) -> Iterator[LocalHost]:
    """What `matinee dev` does, in this process: `is_ready` False, as before its first release."""
    project = load(folder)
    with dev_lock(project.data), LocalHost(project) as host:
        write_dev_record(project.data, host.dev_record(is_ready=False))
        if is_ready:
            make_ready(host)
        yield host


def make_ready(host: LocalHost) -> None:
    host.reload(host.project)
    write_dev_record(host.project.data, host.dev_record())


def test_a_client_whose_dev_was_started_again_finds_the_new_one(greeting_app: Path):
    first = dev_of(greeting_app)
    before = first.__enter__()
    with matinee.connect(greeting_app) as app:
        assert app.greet(name="Ada").text == "Hello, Ada!"
        first.__exit__(None, None, None)
        with pytest.raises(BackendError, match="cannot be reached"):
            app.greet(name="Nobody")
        with dev_of(greeting_app) as after:
            assert after.service.endpoint != before.service.endpoint
            assert app.greet(name="Bo").text == "Hello, Bo!"
            assert app.greet_all(names=["Cy"]) == {"Cy": "Hello, Cy!"}


def test_a_client_that_comes_before_the_first_release_waits_for_it(greeting_app: Path):
    waits = threading.Event()

    def predict() -> str:
        with open_client(load(greeting_app), report=lambda _component, _line: waits.set()) as client:
            return str(client.result(client.predict("greet", {"name": "Ada"}))["text"])

    with dev_of(greeting_app, is_ready=False) as host, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(predict)
        assert waits.wait(10)
        assert not answer.done()
        make_ready(host)
        assert answer.result(20) == "Hello, Ada!"


def test_a_client_that_waits_goes_on_by_itself_when_the_dev_ends(greeting_app: Path):
    waits = threading.Event()

    def names() -> list[str]:
        with open_client(load(greeting_app), report=lambda _component, _line: waits.set()) as client:
            return [predictor.name for predictor in client.release().predictors]

    with ThreadPoolExecutor(1) as pool:
        with dev_of(greeting_app, is_ready=False):
            found = pool.submit(names)
            assert waits.wait(10)
        assert found.result(30) == ["greet", "greet_all"]
