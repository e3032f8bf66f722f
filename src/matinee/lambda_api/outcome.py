"""What a function answered with an error, in plain words.

Error types: `Sandbox.*` and `Runtime.*` are the platform's, `Function.*` too; any other is the exception's own name.
https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

from __future__ import annotations

import json
import re

from matinee.errors import InputError, Problem
from matinee.log_lines import cut
from matinee.manifest import PredictorManifest
from matinee.ports import Invocation
from matinee.runs import Failure, Json

HINT_MARK = "\n\nHint: "  # between message and hint, where our handler has a hint
_TRACEBACK_LINES = 40
_START = ("Runtime.ImportModuleError", "Runtime.UserCodeSyntaxError", "Runtime.HandlerNotFound",
          "Runtime.MalformedHandlerName", "Runtime.InvalidEntrypoint", "Runtime.InvalidWorkingDir")  # fmt: skip


def read_result(answer: Invocation, predictor: PredictorManifest) -> tuple[Json, Failure | None]:
    """Return the result, or None and why there is none; raises InputError when the predictor refused its inputs.

    An image that is taken as it is may answer what is no JSON (NaN, bytes): that is a failure too.
    """
    if answer.error_type:
        return None, failure_of(answer, predictor)
    try:
        return json.loads(answer.payload, parse_constant=_refuse_constant), None
    except ValueError as error:
        what = str(error) if isinstance(error, _ConstantError) else "it cannot be read as such"
        text = f"The result of {predictor.name} is no JSON: {what}."
        return None, Failure("invalid_result", text, "Answer JSON, without NaN and infinite numbers.")


class _ConstantError(ValueError):
    """A number that JSON does not have."""


def _refuse_constant(name: str) -> Json:
    raise _ConstantError(f"it holds {name}")


def failure_of(answer: Invocation, predictor: PredictorManifest) -> Failure:
    """Return why the prediction failed; raises InputError when the predictor refused its inputs."""
    problem = _problem(answer.payload)
    message, _, hint = str(problem.get("errorMessage", "")).partition(HINT_MARK)
    kind = answer.error_type
    if kind == "InputError":
        raise InputError(problems=_problems(message), hint=hint)
    if kind.startswith(("Sandbox.", "Runtime.", "Function.")):
        return _platform(kind, message, hint, predictor, _traceback(problem))
    return _raised(kind, message, hint, predictor, problem)


def _raised(kind: str, message: str, hint: str, predictor: PredictorManifest, problem: dict[str, Json]) -> Failure:
    trace = _traceback(problem)
    if problem.get("requestId") == "":  # a start has no request
        text = f"{predictor.name} cannot start: {kind}: {message}"
        return Failure("start", text, hint or "Mend the component; its traceback says where.", trace)
    if kind == "MemoryError":
        return Failure(
            "out_of_memory", message or f"{predictor.name} ran out of memory.", hint or _more(predictor), trace
        )
    if kind == "InvalidResult":
        return Failure("invalid_result", message, hint, trace)
    if kind == "PredictionError":
        return Failure("exception", message, hint, trace)
    return Failure("exception", f"{predictor.name} raised {kind}: {message}".rstrip(": "), hint, trace)


def _platform(kind: str, message: str, hint: str, predictor: PredictorManifest, trace: str) -> Failure:
    name, resources = predictor.name, predictor.resources
    if kind == "Sandbox.Timedout":
        limit = f"{resources.timeout_s:g}"
        text = f"{name} took longer than its limit of {limit} s."
        return Failure("timeout", text, "Raise timeout_s, or make the work smaller.", trace)
    if kind == "Runtime.OutOfMemory":
        text = f"{name} needed more memory than its {resources.memory_mb} MB."
        return Failure("out_of_memory", text, _more(predictor), trace)
    if kind == "Function.ResponseSizeTooLarge":
        text = f"The result of {name} is larger than Lambda's 6 MB."
        return Failure("invalid_result", text, "Return large values as a File.", trace)
    if kind in _START:
        text = f"{name} cannot start: {message}"
        return Failure("start", text, hint or "Mend the component, or add the missing dependency to it.", trace)
    if "signal: killed" in message:  # how AWS tells most ends by memory
        text = f"The process of {name} was killed."
        return Failure("crash", text, f"Most often it needs more memory: {_more(predictor)}", trace)
    how = message.rpartition("Runtime exited ")[2] or message
    return Failure("crash", f"The process of {name} ended during the prediction: {how}.", "Look at its logs.", trace)


def _more(predictor: PredictorManifest) -> str:
    return f"Raise memory_mb above {predictor.resources.memory_mb}."


def _problem(payload: bytes) -> dict[str, Json]:
    try:
        value = json.loads(payload)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"errorMessage": cut(payload.decode("utf-8", "replace"), 1000)}


def _problems(message: str) -> tuple[Problem, ...]:
    """Read `path: message; path: message`; what has no path is about the whole."""
    found = []
    for part in re.split(r"; (?=[\w.\[\]-]+: )", message):
        match = re.fullmatch(r"([\w.\[\]-]+): (.*)", part, re.DOTALL)
        found.append(Problem(match[1], match[2]) if match else Problem("", part))
    return tuple(found)


def _traceback(problem: dict[str, Json]) -> str:
    stack = problem.get("stackTrace") or []
    text = "".join(map(str, stack)) if isinstance(stack, list) else str(stack)
    return "\n".join(text.rstrip().splitlines()[-_TRACEBACK_LINES:])
