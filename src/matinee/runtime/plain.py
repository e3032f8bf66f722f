"""Plain Lambda handlers under Matinee's runtime: found as Lambda finds them, called with the event, result checked."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from typing import Any

from matinee.errors import ComponentError, PredictionError

Json = Any
Handler = Callable[[Any, Any], Any]


def find_handler(name: str) -> Handler:
    """Import the module of `module.function` and return the function, as Lambda's runtime client does.

    What the module itself raises passes through; ComponentError if it has nothing of that name that can be called.
    """
    import importlib

    module_name, _, function_name = name.rpartition(".")
    module = importlib.import_module(module_name.replace("/", "."))
    handler = getattr(module, function_name, None)
    if callable(handler):
        found: Handler = handler
        return found
    file = getattr(module, "__file__", None) or ""
    raise ComponentError(
        f"{os.path.basename(file) or module_name} defines no {function_name}.",  # noqa: PTH119 - pathlib costs 3 ms
        hint=f'Name the function that is there: handler = "{module_name}.FUNCTION".',
        file=file,
    )


def check_result(name: str, result: Any) -> Json:
    """Return what a handler returned as JSON, as Lambda would send it; PredictionError for what JSON does not have.

    As in Lambda's own client a Decimal becomes a number, a tuple a list, and a key that is a number a text.
    """
    try:
        return _to_json(result, "")
    except _NotJsonError as error:
        raise _invalid(name, str(error)) from None
    except RecursionError:
        raise _invalid(name, "it is nested too deep, or holds itself") from None


class _NotJsonError(Exception):
    """Where a result is no JSON, in words."""


def _to_json(value: Any, path: str) -> Json:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    decimal = sys.modules.get("decimal")  # a value of a type whose module nobody imported does not exist
    if decimal is not None and isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise _NotJsonError(f"{path or 'it'} is {value}")
    if isinstance(value, (list, tuple)):
        return [_to_json(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {_key(key, path): _to_json(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()}
    raise _NotJsonError(f"{path or 'it'} is of the type {type(value).__name__}")


def _key(key: Any, path: str) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, (int, float)):
        return str(key)
    raise _NotJsonError(f"{path or 'it'} has a key of the type {type(key).__name__}")


def _invalid(name: str, why: str) -> PredictionError:
    return PredictionError(
        f"The result of {name} is no JSON: {why}.",
        kind="invalid_result",
        hint="Return texts, finite numbers, True, False, None, and lists and dicts of these.",
    )
