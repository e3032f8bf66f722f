"""Errors of functions in plain words."""

from __future__ import annotations

import json

import pytest

from matinee.errors import InputError, Problem
from matinee.lambda_api.outcome import failure_of
from matinee.manifest import PredictorManifest, Resources
from matinee.ports import Invocation

PREDICTOR = PredictorManifest("classify", "realtime", "digits", "", {}, {}, Resources(memory_mb=256, timeout_s=3.0))


def answer(kind, message="", **more):
    payload = json.dumps({"errorType": kind, "errorMessage": message, **more}).encode()
    return Invocation(payload, error_type=kind)


@pytest.mark.parametrize(
    ("kind", "told", "failure_kind", "words", "hint"),
    [
        (
            "Sandbox.Timedout",
            "RequestId: 1 Error: Task timed out after 3.00 seconds",
            "timeout",
            "limit of 3 s",
            "timeout_s",
        ),
        ("Runtime.OutOfMemory", "RequestId: 1 Error: …", "out_of_memory", "its 256 MB", "memory_mb above 256"),
        (
            "Runtime.ExitError",
            "RequestId: 1 Error: Runtime exited with error: signal: killed",
            "crash",
            "was killed",
            "memory_mb above 256",
        ),
        (
            "Runtime.ExitError",
            "RequestId: 1 Error: Runtime exited with error: exit status 3",
            "crash",
            "ended during the prediction: with error: exit status 3",
            "logs",
        ),
        (
            "Runtime.ImportModuleError",
            "No module named 'x'",
            "start",
            "cannot start: No module named 'x'",
            "dependency",
        ),
        ("Function.ResponseSizeTooLarge", "…", "invalid_result", "larger than Lambda's 6 MB", "File"),
        ("MemoryError", "", "out_of_memory", "ran out of memory", "memory_mb above 256"),
        ("ValueError", "no such thing", "exception", "classify raised ValueError: no such thing", ""),
        ("InvalidResult", "The result …\n\nHint: Mend it.", "invalid_result", "The result …", "Mend it."),
        ("PredictionError", "recommend refused\n\nHint: Look.", "exception", "recommend refused", "Look."),
    ],
)
def test_an_error_says_what_happened_and_what_to_change(kind, told, failure_kind, words, hint):
    failure = failure_of(answer(kind, told), PREDICTOR)
    assert failure.kind == failure_kind
    assert words in failure.message
    assert "RequestId" not in failure.message
    assert hint in failure.hint


def test_an_exception_keeps_the_last_lines_of_its_traceback():
    stack = [f"line {n}\n" for n in range(100)]
    failure = failure_of(answer("ValueError", "no", stackTrace=stack), PREDICTOR)
    assert failure.traceback.splitlines()[-1] == "line 99"
    assert len(failure.traceback.splitlines()) == 40


def test_an_exception_while_starting_is_a_failed_start():
    failure = failure_of(answer("OSError", "no model file", requestId=""), PREDICTOR)
    assert failure.kind == "start"
    assert failure.message == "classify cannot start: OSError: no model file"


def test_a_refused_input_is_an_input_error_with_its_fields():
    with pytest.raises(InputError) as caught:
        failure_of(answer("InputError", "end: must be after start; model.layers.0: must be at most 9"), PREDICTOR)
    assert caught.value.problems == (
        Problem("end", "must be after start"),
        Problem("model.layers.0", "must be at most 9"),
    )


def test_a_payload_that_is_no_json_is_still_told():
    failure = failure_of(Invocation(b"oops", error_type="Unknown"), PREDICTOR)
    assert "oops" in failure.message
