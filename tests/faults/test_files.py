"""The result has nowhere to go when a run ends: it is tried again, then the run fails and says why."""

from __future__ import annotations

import pytest

from matinee.errors import BackendError
from matinee.runs import Status
from support.emulators import make_bucket

from .conftest import wait_until

LARGE = """
    from matinee import batch, context

    @batch
    def work(n: int) -> str:
        open(f"done-{n}-{context().attempt}", "w").close()
        return "x" * 5000
"""


def done(stage, n, attempt):
    return (stage.folder / f"done-{n}-{attempt}").exists()


def test_a_result_that_s3_takes_at_last_is_stored_without_another_attempt(make_stage, endpoint):
    stage = make_stage(endpoint, LARGE)
    (run,) = stage.submit(1)
    wait_until(lambda: done(stage, 1, 1), 30.0, "the end of the work")
    make_bucket(stage.session)
    finished = stage.finished(run)
    assert (finished.status, finished.attempt, finished.failures) == (Status.SUCCEEDED, 1, 0)
    key = finished.result["$payload"]
    assert stage.dispatcher.backend.files.read(key) == b'"' + b"x" * 5000 + b'"'


def test_a_result_that_s3_never_takes_fails_the_run_with_the_reason(make_stage, endpoint):
    stage = make_stage(endpoint, LARGE, retries=1)
    (run,) = stage.submit(2)
    wait_until(lambda: done(stage, 2, 1), 30.0, "the end of the work")

    def failed():
        stage.act({"predictor": "work"})  # a retry that is due is dispatched
        return stage.seen.run(run.id).status is Status.FAILED

    wait_until(failed, 40.0, "the failure")
    finished = stage.seen.run(run.id)
    assert (finished.result, finished.attempt, finished.failures) == (None, 2, 2)
    assert "not possible to store the result" in finished.failure.message
    assert f"The bucket {stage.session.settings.bucket} does not exist" in finished.failure.message
    assert "Deploy the app" in finished.failure.hint
    assert done(stage, 2, 2)
    with pytest.raises(BackendError):
        stage.dispatcher.backend.files.read(f"results/{run.id}/1.json")
