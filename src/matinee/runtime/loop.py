"""A client of the Lambda Runtime API of the standard library, for systems awslambdaric has no wheel for.

`python -m matinee.runtime.loop MODULE.HANDLER` does what `python -m awslambdaric MODULE.HANDLER` does: import the
handler, then take request after request. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

_BASE = "/2018-06-01/runtime"

Handler = Callable[[Any, Any], Any]


class Fault(Exception):  # noqa: N818 - named as the runtime client's own
    """An error whose type, message and trace go to the caller as they are."""

    def __init__(self, exception_type: str, msg: str, trace: list[str] | None = None) -> None:
        super().__init__(msg)
        self.exception_type = exception_type
        self.msg = msg
        self.trace = trace or []


class LambdaContext:
    """What a handler gets to know of its request. https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        client_context = json.loads(headers.get("Lambda-Runtime-Client-Context") or "null")
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = None if client_context is None else SimpleNamespace(
            custom=client_context.get("custom"), env=client_context.get("env"), client=client_context.get("client")
        )  # fmt: skip

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left until the timeout."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


class RuntimeApi:
    """One kept connection to the Runtime API."""

    def __init__(self, address: str) -> None:
        host, slash, path = address.partition("/")  # the local Lambda service has a secret as the first part
        self._connection = http.client.HTTPConnection(host)
        self._below = slash + path

    def next(self) -> tuple[bytes, http.client.HTTPMessage]:
        """Wait for a request; return its payload and headers."""
        return self._exchange("GET", f"{_BASE}/invocation/next", None, {}, 200)

    def answer(self, request_id: str, outcome: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Post the `response` or the `error` of a request."""
        path = f"{_BASE}/invocation/{request_id}/{outcome}"
        self._exchange("POST", path, body, {"Content-Type": "application/json", **(headers or {})}, 202)

    def init_error(self, problem: dict[str, Any]) -> None:
        """Say that the start failed."""
        headers = {"Lambda-Runtime-Function-Error-Type": problem["errorType"]}
        self._exchange("POST", f"{_BASE}/init/error", json.dumps(problem).encode(), headers, 202)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], expected: int
    ) -> tuple[bytes, http.client.HTTPMessage]:
        self._connection.request(method, self._below + path, body, headers)
        response = self._connection.getresponse()
        data = response.read()
        if response.status != expected:
            raise RuntimeError(f"{method} {path} was answered by {response.status}: {data.decode(errors='replace')}")
        return data, response.headers


def run(handler_name: str, address: str) -> int:
    """Serve requests for ever; 1 when the handler cannot be imported."""
    api = RuntimeApi(address)
    try:
        handler = _import(handler_name)
    except Exception as error:
        problem = _problem(error, "")
        _print(problem)
        api.init_error(problem)
        return 1
    while True:
        payload, headers = api.next()
        _serve(api, handler, payload, headers)


def _serve(api: RuntimeApi, handler: Handler, payload: bytes, headers: http.client.HTTPMessage) -> None:
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    _RequestFilter.request_id = request_id
    try:
        result = handler(json.loads(payload), LambdaContext(headers))
        body = result if isinstance(result, bytes) else _encoded(result)
    except Exception as error:
        problem = _problem(error, request_id)
        _print(problem)
        kind = {"Lambda-Runtime-Function-Error-Type": problem["errorType"]}
        api.answer(request_id, "error", json.dumps(problem).encode(), kind)
    else:
        api.answer(request_id, "response", body)


def _encoded(result: Any) -> bytes:
    try:
        return json.dumps(result).encode()
    except (TypeError, ValueError) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _import(name: str) -> Handler:
    module_name, _, function_name = name.rpartition(".")
    if not module_name:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}'")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        text = f"Syntax error in module '{module_name}': {error}"
        raise Fault("Runtime.UserCodeSyntaxError", text, [where]) from error
    try:
        handler: Handler = getattr(module, function_name)
    except AttributeError:
        text = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", text) from None
    return handler


def _problem(error: Exception, request_id: str) -> dict[str, Any]:
    if hasattr(error, "exception_type"):
        kind, message, trace = error.exception_type, error.msg, error.trace  # type: ignore[attr-defined]
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        kind, message, trace = type(error).__name__, str(error), traceback.format_list(frames)
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def _print(problem: dict[str, Any]) -> None:
    lines = [f"[ERROR] {problem['errorType']}: {problem['errorMessage']}", "Traceback (most recent call last):"]
    sys.stdout.write("\r".join([*lines, *"".join(problem["stackTrace"]).splitlines()]) + "\n")


class _RequestFilter(logging.Filter):
    request_id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        return True


def _set_up_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    logging.Formatter.converter = time.gmtime
    handler.addFilter(_RequestFilter())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "WARNING"))


def main() -> int:
    """Run the handler named on the command line."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    _set_up_logging()
    sys.path.insert(0, os.environ.get("LAMBDA_TASK_ROOT", ""))
    return run(sys.argv[1], os.environ["AWS_LAMBDA_RUNTIME_API"])


if __name__ == "__main__":
    sys.exit(main())
