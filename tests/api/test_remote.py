"""`matinee.connect(url=…, token=…)`: the same verbs, values and errors through the HTTP API of a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import matinee
from matinee.errors import (
    AccessError,
    BackendError,
    ConflictError,
    InputError,
    NotFoundError,
    PredictionError,
    UsageError,
)
from matinee.types import File


@pytest.fixture
def app(served, url: str) -> Iterator[matinee.client.connect.App]:
    with matinee.connect(url=url, token=served.token("remy")) as app:
        yield app


def test_a_predictor_far_away_is_called_like_a_function(app):
    assert app.greet(name="Ada").text == "Hello, Ada!"
    run = app.runs("greet")[0]
    assert (run.status, run.inputs["name"], run.run.user) == ("succeeded", "Ada", "remy")
    assert run.result().text == "Hello, Ada!"


def test_a_batch_predictor_far_away_is_submitted_waited_for_and_has_logs_and_feedback(app):
    run = app.greet_all.submit(names=["Ada", "Bo"])
    assert run.result(timeout_s=30) == {"Ada": "Hello, Ada!", "Bo": "Hello, Bo!"}
    assert (run.status, run.progress.fraction) == ("succeeded", 1.0)
    assert any("greeting Bo" in line.message for line in run.logs())
    said = run.feedback(1, "fine", {"Ada": "Hi!"})
    assert [(f.rating, f.comment, f.corrected) for f in app.client.feedback_of(run.id)] == [(1, "fine", {"Ada": "Hi!"})]
    assert said.user == "remy"
    later = run.feedback(-1)
    assert (later.rating, later.comment, later.corrected) == (-1, "fine", {"Ada": "Hi!"})
    assert (run.feedback(5, scale="stars").rating, app.client.feedback_of(run.id)[0].scale) == (5, "stars")


def test_many_rows_far_away_are_many_runs(app):
    runs = app.greet_all.submit_many([{"names": [name]} for name in "abc"])
    assert [list(run.result(timeout_s=30)) for run in runs] == [["a"], ["b"], ["c"]]
    assert [run.id for run in app.runs(limit=2)] == [runs[2].id, runs[1].id]


def test_the_same_idempotency_key_is_the_same_run_far_away(app):
    first = app.greet_all.submit(names=["Ada"], idempotency_key="once")
    assert app.greet_all.submit(names=["Ada"], idempotency_key="once").id == first.id


def test_a_run_far_away_is_cancelled(app):
    run = app.greet_all.submit(names=["x"] * 100, seconds_each=0.5)
    with pytest.raises(TimeoutError, match=rf"Run {run.id} is still (queued|running) after 0 s: it (is the|has)"):
        run.result(timeout_s=0)
    run.cancel()
    with pytest.raises(UsageError, match="was cancelled"):
        run.result(timeout_s=30)
    with pytest.raises(ConflictError, match="already been cancelled"):
        run.cancel()


@pytest.mark.parametrize("size", [10, 400_000])
def test_files_travel_both_ways_small_ones_inline_and_large_ones_by_upload(app, size):
    loud = app.shout(file=File(b"a" * size, "a b.txt", "text/plain"))
    assert loud.read() == b"A" * size
    assert (loud.name, loud.media_type) == ("loud-a b.txt", "text/plain")
    assert app.runs("shout")[0].result().read() == b"A" * size
    again = app.shout(file=app.runs("shout")[0].result().json)
    assert again.read() == b"A" * size, "a result's file is an input of the next prediction"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda app: app.greet(), InputError, "name: is required"),
        (lambda app: app.greet(name="a", tone="rude"), InputError, "kind"),
        (lambda app: app.greet(name="a", seconds=-1.0), InputError, "seconds: must not be negative"),
        (lambda app: app.greet(name="a", seconds=float("nan")), InputError, "JSON"),
        (lambda app: app["gret"], NotFoundError, "Did you mean greet"),
        (lambda app: app.greet.submit(name="a"), UsageError, "realtime"),
        (lambda app: app.run("nonsense"), NotFoundError, "nonsense"),
        (lambda app: app.greet(name="trouble"), PredictionError, "I do not greet trouble"),
    ],
)
def test_errors_are_the_same_as_here(app, call, error, words):
    with pytest.raises(error, match=words):
        call(app)


def test_a_prediction_that_outlasts_the_request_is_waited_for(serve: Callable, listening: Callable):
    served = serve(wait_s=0.1)
    with listening(served.app) as url, matinee.connect(url=url, token=served.token("slow")) as app:
        assert app.greet(name="Ada", seconds=0.6).text == "Hello, Ada!"
        with pytest.raises(PredictionError, match="do not greet"):
            app.greet(name="trouble", seconds=0.6)


def test_without_sign_in_this_machine_needs_no_token(url: str):
    with matinee.connect(url=url + "/api/v1/") as app:
        assert app.client.user == "local"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"token": "mat_wrong"}, AccessError, "not valid"),
        ({"url": "ftp://example.com"}, UsageError, "not the address"),
        ({"url": "http://127.0.0.1:9"}, BackendError, "does not answer"),
        ({"url": "", "token": "mat_x"}, UsageError, "url"),
    ],
)
def test_a_connection_that_cannot_be_is_one_sentence(url, options, error, words):
    with pytest.raises(error, match=words):
        matinee.connect(**{"url": url, **options})


def test_the_token_is_sent_to_the_app_alone(app):
    with pytest.raises(UsageError, match="no address of this app"):
        app.client.read_blob({"$blob": "text/plain", "url": "//elsewhere.example/x"})
