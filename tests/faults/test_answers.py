"""What was computed is given, and what the store has accepted is never reported as failed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from matinee.backends.factory import Backend, open_backend
from matinee.client.core import NOT_RECORDED, Client
from matinee.errors import BackendError, DiskError, UnansweredError
from matinee.manifest import AwsRelease, ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import Invocation
from matinee.runs import Status
from matinee.settings import Settings

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
ANY: dict[str, object] = {}


def release(label: str = "v1", **functions: str) -> Release:
    predictors = (
        PredictorManifest("double", "realtime", "numbers", "", NUMBER, ANY, Resources()),
        PredictorManifest("plan", "batch", "numbers", "", NUMBER, ANY, Resources()),
    )
    made = Release("tiny", "Tiny", 1, 0.0, (ComponentManifest("numbers", f"hash-{label}", label, predictors),))
    return made.with_aws(AwsRelease(functions=functions)) if functions else made


class Answering:
    """An Invoker whose functions answer at once; `before` is done before each call."""

    def __init__(self, version: str = "v1", result: object = 42) -> None:
        self.version = version
        self.result = result
        self.before = lambda: None

    def invoke(self, function, payload, *, context=None, log_tail=False):
        self.before()
        return Invocation(json.dumps(self.result).encode(), version=self.version)

    def poke(self, function, payload=b"{}"):
        self.before()


class Failing:
    """Any port: does what `inner` does, but `verb` fails while it `fails`."""

    def __init__(self, inner: object, verb: str, error: Exception, *, fails: bool = True) -> None:
        self._inner, self._verb, self._error = inner, verb, error
        self.fails = fails

    def __getattr__(self, name: str) -> object:
        if self.fails and name == self._verb:
            return self._fail
        return getattr(self._inner, name)

    def _fail(self, *_: object, **__: object) -> None:
        raise self._error


@pytest.fixture
def backend(tmp_path: Path):
    backend = replace(open_backend(Settings(data=tmp_path)), invoker=Answering())
    backend.store.put_release(release())
    yield backend
    backend.store.close()


def client_of(backend: Backend) -> Client:
    return Client(backend, Settings(), "ada")


FAULT = DiskError("state.db cannot grow: the disk is full.", hint="Free some space.")


@pytest.mark.parametrize("error", [BackendError("The dispatcher cannot be reached."), RuntimeError("no loop"), FAULT])
def test_a_submit_whose_poke_fails_has_succeeded(backend: Backend, caplog: pytest.LogCaptureFixture, error: Exception):
    client = client_of(replace(backend, invoker=Failing(backend.invoker, "poke", error)))
    with caplog.at_level(logging.WARNING):
        run = client.submit("plan", {"n": 1}, idempotency_key="once")
        again = client.submit("plan", {"n": 1}, idempotency_key="once")
    assert (run.status, run.id) == (Status.QUEUED, again.id)
    assert [entry.run_id for entry in backend.store.entries("plan")] == [run.id]
    assert len([r for r in caplog.records if "starts plan later" in r.message]) == 2


@pytest.mark.parametrize(("port", "verb"), [("store", "record"), ("files", "put")])
def test_an_answer_that_cannot_be_recorded_is_given(backend: Backend, port: str, verb: str):
    large = "x" * 10_000  # goes into files
    backend = replace(backend, invoker=Answering(result=large))
    client = client_of(replace(backend, **{port: Failing(getattr(backend, port), verb, FAULT)}))
    run = client.predict("double", {"n": 21})
    assert (run.status, client.result(run), client.inputs(run)) == (Status.SUCCEEDED, large, {"n": 21})
    assert run.warning == f"{NOT_RECORDED} {FAULT}"
    assert backend.store.run(run.id) is None


def test_an_answer_is_given_though_the_release_cannot_be_read_any_more(backend: Backend):
    backend.store.put_release(release("v1", double="7"))
    store, invoker = Failing(backend.store, "release", FAULT, fails=False), Answering(version="8")
    client = client_of(replace(backend, store=store, invoker=invoker))
    invoker.before = lambda: setattr(store, "fails", True)
    run = client.predict("double", {"n": 21})
    assert (client.result(run), run.warning) == (42, f"{NOT_RECORDED} {FAULT}")


def test_a_run_that_is_recorded_has_no_warning(backend: Backend):
    run = client_of(backend).predict("double", {"n": 21})
    recorded = backend.store.run(run.id)
    assert (run.warning, recorded and recorded.warning, recorded and recorded.result) == ("", "", 42)


def test_a_run_has_the_label_of_what_answered_in_the_seconds_after_a_deployment(backend: Backend):
    backend.store.put_release(release("v1", double="7"))
    slow = replace(backend, invoker=Answering(version="8"), traits=replace(backend.traits, release_age_s=60.0))
    client = client_of(slow)
    client.release()  # as it was before
    backend.store.put_release(release("v2", double="8"))
    assert client.predict("double", {"n": 1}).version == "v2"
    backend.store.put_release(release("v2", double="9"))
    assert client.predict("double", {"n": 1}).version == "8", "a number of which no release tells is not guessed"


def test_only_an_unanswered_error_leaves_open_whether_it_was_done():
    assert issubclass(UnansweredError, BackendError)
    assert not issubclass(DiskError, UnansweredError)
