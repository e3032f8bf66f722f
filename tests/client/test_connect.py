"""`matinee.connect()` without a running dev: it starts what it needs and ends it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import matinee
from matinee.client.connect import App, Predictor, RunHandle
from matinee.errors import InputError, NotFoundError, PredictionError, UsageError
from matinee.testing.harness import wait_until


@pytest.fixture
def app(greeting_app: Path):
    with matinee.connect(greeting_app) as app:
        yield app


def test_the_page_of_connect_has_every_parameter_and_verb():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "connect.md").read_text()
    for name in inspect.signature(matinee.connect).parameters:
        assert f"`{name}`" in page, name
    for owner, start in ((App, "app."), (Predictor, "app.NAME."), (RunHandle, "run.")):
        for name in vars(owner):
            known = name.startswith("_") or f"`{start}{name}" in page or f"`.{name}(" in page
            assert known, f"{start}{name}"


def test_a_realtime_predictor_is_called_like_a_function_and_its_run_is_recorded(app):
    greeting = app.greet(name="Ada")
    assert greeting.text == "Hello, Ada!"
    (run,) = app.runs("greet")
    assert (run.status, run.inputs) == ("succeeded", {"name": "Ada", "tone": "kind"})
    assert run.result() == greeting
    assert run.run.version == "v1"


def test_shared_state_is_counted_and_a_warm_process_is_kept(app):
    first, second = app.greet(name="Bo"), app.greet(name="Bo")
    assert (first.count, second.count) == (1, 2)
    assert first.pid == second.pid


def test_a_batch_predictor_is_submitted_waited_for_and_may_call_another(app):
    assert app.greet_all(names=["Ada", "Bo"]) == {"Ada": "Hello, Ada!", "Bo": "Hello, Bo!"}
    assert {run.run.predictor for run in app.runs()} == {"greet_all"}, "nested runs stay out of History"


def test_a_submitted_run_has_status_progress_logs_and_feedback(app):
    run = app.greet_all.submit(names=["Ada"])
    assert run.result(timeout_s=30) == {"Ada": "Hello, Ada!"}
    assert (run.status, run.progress.fraction) == ("succeeded", 1.0)
    assert any("greeting 1 in attempt 1" in line.message for line in run.logs())
    run.feedback(1, "fine")
    run.feedback(-1, "on second thoughts")
    run.feedback(corrected={"Ada": "Hi!"})
    assert [(f.rating, f.comment) for f in app.client.feedback_of(run.id)] == [(-1, "on second thoughts")]
    run.feedback(4, scale="stars")
    assert [(f.rating, f.scale) for f in app.client.feedback_of(run.id)] == [(4, "stars")]
    with pytest.raises(UsageError, match="A rating is 1 or -1, not 4"):
        run.feedback(4)
    with pytest.raises(UsageError, match="There is no scale 'smileys'"):
        run.feedback(1, scale="smileys")


def test_a_wait_that_takes_too_long_says_what_the_run_waits_for_or_how_far_it_is(app):
    runs = [app.greet_all.submit(names=["Ada"] * 200, seconds_each=0.1) for _ in range(4)]  # for two workers
    wait_until(lambda: runs[0].progress.fraction and runs[1].status == "running", what="the progress")
    with pytest.raises(TimeoutError, match=r"is still running after 0 s: it has reported \d+% Greeting"):
        runs[0].result(timeout_s=0)
    with pytest.raises(TimeoutError, match=r"is still queued after 0 s: 1 run starts before it\."):
        runs[3].result(timeout_s=0)
    with pytest.raises(TimeoutError, match="is still queued after 0 s: it is the next one"):
        runs[2].result(timeout_s=0)
    for run in runs:
        run.cancel()


def test_the_same_idempotency_key_is_the_same_run(app):
    first = app.greet_all.submit(names=["Ada"], idempotency_key="once")
    second = app.greet_all.submit(names=["Ada"], idempotency_key="once")
    assert first.id == second.id


def test_many_rows_are_many_runs(app):
    runs = app.greet_all.submit_many([{"names": [name]} for name in "abc"])
    assert [list(run.result(timeout_s=30)) for run in runs] == [["a"], ["b"], ["c"]]


def test_a_running_run_is_cancelled(app):
    run = app.greet_all.submit(names=["x"] * 100, seconds_each=0.5)
    run.cancel()
    with pytest.raises(UsageError, match="was cancelled"):
        run.result(timeout_s=30)
    assert app.greet_all(names=["Ada"]) == {"Ada": "Hello, Ada!"}, "the next run is not disturbed"


def test_an_exception_of_the_predictor_is_told_in_plain_words_and_recorded(app):
    with pytest.raises(PredictionError, match="I do not greet trouble") as error:
        app.greet(name="trouble")
    assert error.value.kind == "exception"
    assert "I do not greet trouble" in error.value.traceback
    assert app.runs(status="failed")[0].inputs["name"] == "trouble"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda app: app.greet(), InputError, "name: is required"),
        (lambda app: app.greet(name=1), InputError, "name"),
        (lambda app: app.greet(name="a", tone="rude"), InputError, "kind"),
        (lambda app: app.greet(nam="a"), InputError, "nam"),
        (lambda app: app["gret"], NotFoundError, "Did you mean greet"),
        (lambda app: app.greet.submit(name="a"), UsageError, "realtime"),
        (lambda app: app.run("nonsense"), NotFoundError, "nonsense"),
    ],
)
def test_bad_input_is_one_sentence(app, call, error, words):
    with pytest.raises(error, match=words):
        call(app)
    assert app.runs() == []


def test_values_over_the_payload_limit_travel_through_files(app):
    name = "x" * 7_000_000
    assert len(app.greet(name=name).text) > 7_000_000
    assert app.runs()[0].inputs["name"] == name


def test_what_a_realtime_predictor_prints_is_kept_with_its_run(app):
    app.greet(name="Ada")
    run = app.runs("greet")[0]
    wait_until(lambda: [line.message for line in run.logs()] == ["greeting Ada"], what="the line")
