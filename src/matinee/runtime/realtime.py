"""The Lambda handler of every realtime predictor: `matinee.runtime.realtime.handler`.

INIT (this module's import): secrets, manifest and component are read once per process.
Request: `$payload` in → bind → execute → `$payload` out if the result is too large for Lambda.
A plain handler (`MATINEE_HANDLER` names it) has all of this around it too; it alone gets the event as it came.

What the process waits for before its first answer is imported here, so nothing heavy: no pydantic, no boto3, no
dataclasses of the manifest. https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
"""

from __future__ import annotations

import json
import marshal
import os
import sys
import time
from typing import Any

from matinee.errors import MatineeError, PredictionError
from matinee.predictors.context import Context, bind
from matinee.runtime.execute import (
    RuntimeBinding,
    call_function,
    execute,
    hold_snapshot,
    load_component,
    user_traceback,
)
from matinee.settings import HANDLER, LABEL, MANIFEST, PREDICTOR, SECRETS, SOURCE, ships_output
from matinee.values import blobs

Json = Any

RESULT_LIMIT_BYTES = 5_500_000  # Lambda takes 6 MB; the rest is room for escapes
_HINT_MARK = "\n\nHint: "  # as `matinee.lambda_api.outcome` reads it


def handler(event: Json, lambda_context: Any) -> Json:
    """Answer one request: inputs object in, result out; both may be `{"$payload": key}`."""
    client_context = lambda_context.client_context
    custom = (client_context.custom if client_context is not None else None) or {}
    context = Context(
        run_id=custom.get("run") or lambda_context.aws_request_id,
        user=custom.get("user") or "",
        version=_VERSION,
        attempt=int(custom.get("attempt") or 1),
        deadline_s=time.time() + lambda_context.get_remaining_time_in_millis() / 1000,
        predictor=_NAME,
    )
    bind(RuntimeBinding(None, context))
    if _LOG is not None:
        _LOG.begin(context.run_id)
    try:
        result = _call_plain(event, lambda_context) if _IS_PLAIN else execute(_FUNCTION, _MANIFEST, event, _FILES)
        if _is_small(result):
            return result
        return blobs.store_large(_FILES, f"results/{context.run_id}/{context.attempt}.json", result, RESULT_LIMIT_BYTES)
    except MatineeError as error:
        raise _fault(error) from error
    finally:
        bind(None)
        if _LOG is not None:
            _LOG.end()


def _call_plain(event: Json, lambda_context: Any) -> Json:
    from matinee.runtime.plain import check_result

    return check_result(_NAME, call_function(_FUNCTION, event, lambda_context))


def _is_small(result: Json) -> bool:
    """Return whether the result surely fits: a tenth of the cost of encoding it as JSON twice.

    No JSON value is more than ten times as long as its marshalled bytes (without references: version 0).
    """
    try:
        return len(marshal.dumps(result, 0)) * 10 < RESULT_LIMIT_BYTES
    except ValueError:  # a subclass of a JSON type, or nested too deep
        return False


class _LazyFiles:
    """The port Files, opened when a value is too large to travel inside the request."""

    def __getattr__(self, name: str) -> Any:
        from matinee.runtime.execute import backend

        return getattr(backend().files, name)


def _fault(error: MatineeError) -> Exception:
    """Return what the runtime client reports as errorType, errorMessage and stackTrace."""
    kind, trace = type(error).__name__, ""
    message = error.message
    if isinstance(error, PredictionError):
        kind, message, trace = _kind_and_message(error)
    if _LOG is not None:
        _LOG.error(kind, message, trace)
    if error.hint:
        message += _HINT_MARK + error.hint
    return _fault_type()(kind, message, trace.splitlines(keepends=True))


def _kind_and_message(error: PredictionError) -> tuple[str, str, str]:
    cause = error.__cause__
    if error.kind == "invalid_result":
        return "InvalidResult", error.message, error.traceback
    if error.kind == "out_of_memory":
        return "MemoryError", error.message, error.traceback
    if cause is None or isinstance(cause, MatineeError):
        return "PredictionError", error.message, error.traceback
    return type(cause).__name__, str(cause), error.traceback


def _fault_type() -> type[Exception]:
    """Return the exception whose three parts the present runtime client passes on as they are."""
    client = sys.modules.get("awslambdaric.lambda_runtime_exception")
    if client is not None:
        found: type[Exception] = client.FaultException
        return found
    from matinee.runtime.loop import Fault

    return Fault


def _log() -> Any:
    """Return where lines get the run's id: on AWS alone, since the local service knows which request writes."""
    if not ships_output():
        return None
    from matinee.runtime import output

    output.install_realtime_log()
    return output


def _take_secrets() -> None:
    """Put the predictor's secrets into this process's environment: fetched on AWS; elsewhere they are there."""
    if not os.environ.get(SECRETS):
        return
    from matinee.runtime import secrets

    try:
        os.environ.update(secrets.fetch(os.environ))
    except MatineeError as error:
        raise _fault(error) from error


def _load() -> tuple[Any, dict[str, Json], str]:
    component = _read_manifest()
    manifest: dict[str, Json] = next((p for p in component["predictors"] if p["name"] == _NAME), {})
    label = os.environ.get(LABEL) or component.get("label")  # an image is the same on all stages
    version = label or os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
    try:
        function = _find_function()
    except BaseException as error:  # SystemExit too: whatever a component does at import is named
        trace = user_traceback(error).splitlines(keepends=True)
        raise _fault_type()(type(error).__name__, str(error), trace) from error
    return function, manifest, version


def _read_manifest() -> dict[str, Json]:
    """Return the component's manifest; an image that was not built here has none, and its handler needs none."""
    if _IS_PLAIN and not os.environ.get(MANIFEST):
        return {"predictors": []}
    with open(os.environ[MANIFEST], "rb") as file:  # noqa: PTH123 - pathlib costs 3 ms
        found: dict[str, Json] = json.loads(file.read())
    return found


def _find_function() -> Any:
    if not _IS_PLAIN:
        return load_component(os.environ[SOURCE])[_NAME]
    from matinee.runtime.plain import find_handler

    hold_snapshot(os.environ.get(SOURCE, ""))
    return find_handler(os.environ[HANDLER])


_NAME = os.environ.get(PREDICTOR, "")
_IS_PLAIN = bool(os.environ.get(HANDLER))
_FILES = _LazyFiles()
_LOG = _log()  # before the component, which may keep sys.stdout
_take_secrets()
_FUNCTION, _MANIFEST, _VERSION = _load()
