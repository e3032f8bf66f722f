"""One prediction: check → decode → call → encode → check the result."""
# ruff: noqa: PTH100, PTH120 - importing pathlib costs a predictor's start 3 ms

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

from matinee.errors import InputError, MatineeError, PredictionError
from matinee.own_paths import hint_for_missing_file, name_own_files
from matinee.predictor.inside import context
from matinee.values import blobs, decode, encode, validate

Json = Any

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_TRACEBACK_LINES = 40


def execute(
    function: Callable[..., Any], manifest: dict[str, Any], inputs: Json, files: Any, *, prefix: str = ""
) -> Json:
    """Run the predictor on JSON inputs and return its JSON result.

    `manifest` is its PredictorManifest as JSON, `files` the port Files (or None: then nothing can be too large),
    `prefix` where large files of the result go: by default to the run's own.
    Raises InputError for inputs that do not fit, PredictionError for everything that goes wrong after.
    """
    checked = validate.check(manifest["parameters"], blobs.load_payload(files, inputs))
    with blobs.Reader(files) as read_blob:  # files that the function has as paths are there until its result is encoded
        arguments = decode.arguments(function, checked, read_blob)
        result = _call(function, arguments)
        return _encoded(function.__name__, manifest["result"], result, files, prefix)


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return function(**arguments)
    except (InputError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise PredictionError(
            f"{function.__name__} ran out of memory.",
            kind="out_of_memory",
            hint="Raise memory_mb, or work on the data in smaller parts.",
            traceback=user_traceback(error),
        ) from error
    except MatineeError as error:
        raise PredictionError(error.message, hint=error.hint, traceback=user_traceback(error)) from error
    except (Exception, SystemExit) as error:
        message = name_own_files(f"{function.__name__} raised {type(error).__name__}: {error}".rstrip(": "))
        raise PredictionError(message, hint=hint_for_missing_file(error), traceback=user_traceback(error)) from error


def _encoded(name: str, schema: dict[str, Any], result: Any, files: Any, prefix: str) -> Json:
    now = context()
    own = f"results/{now.run_id or 'run'}/{now.attempt}"
    try:
        value = encode.to_json(result, blobs.writer(files, prefix or own))
        found = validate.problems(schema, value)
        if found:
            raise InputError(problems=tuple(found[:5]))
    except InputError as error:
        wrong = "; ".join(f"{p.path} {p.message}" if p.path else f"it {p.message}" for p in error.problems)
        raise PredictionError(
            f"The result of {name} does not fit its return annotation: {wrong}.",
            kind="invalid_result",
            hint=error.hint or "Mend what it returns, or its annotation.",
        ) from error
    return value


def user_traceback(error: BaseException) -> str:
    """Return the traceback's last lines without Matinee's own frames."""
    import traceback

    told = traceback.TracebackException(type(error), error, _without_ours(error.__traceback__))
    inner: traceback.TracebackException | None = told
    while inner is not None:
        inner.stack = traceback.StackSummary.from_list([f for f in inner.stack if not f.filename.startswith(_OURS)])
        inner = inner.__cause__ or inner.__context__
    return name_own_files("\n".join("".join(told.format()).rstrip().splitlines()[-_TRACEBACK_LINES:]))


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames
