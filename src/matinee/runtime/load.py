"""Loads a component's module by its path and collects the predictors it declares."""
# ruff: noqa: PTH100, PTH112, PTH113, PTH118, PTH119, PTH120, PTH122, PTH123 - importing pathlib costs a predictor's start 3 ms

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from matinee.errors import ComponentError
from matinee.predictor import declare
from matinee.values import decode

Function = Callable[..., Any]


def load_component(source: str) -> dict[str, Function]:
    """Return the predictors of `NAME.py`, or of the folder `NAME/` with its `predictor.py`, in definition order.

    The component's folder comes first on `sys.path`. What the module itself raises passes through; ComponentError if
    there is no such module, it declares no predictor, or two of one name.
    """
    home = os.path.abspath(source)
    path = os.path.join(home, "predictor.py") if os.path.isdir(home) else home
    if not os.path.isfile(path):
        hint = "A component is NAME.py, or a folder NAME/ with predictor.py."
        raise ComponentError(f"There is no {path}.", hint=hint, file=path)
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    before = len(declare.declared)
    _execute(_free_name(os.path.splitext(os.path.basename(home))[0], path), path)
    inside = home if home == path else home + os.sep
    own = [f for f in declare.declared[before:] if os.path.abspath(f.__code__.co_filename).startswith(inside)]
    return _by_name(own, path)


def _free_name(name: str, path: str) -> str:
    """Return the module's name; a library that is already imported under it is left alone."""
    other = sys.modules.get(name)
    return name if other is None or getattr(other, "__file__", None) == path else f"{name}_component"


def _execute(name: str, path: str) -> None:
    decode.forget(name)
    module = ModuleType(name)
    module.__file__ = path
    with open(path, "rb") as stream:
        code = compile(stream.read(), path, "exec", dont_inherit=True)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the user's module is the task
    except BaseException:
        del sys.modules[name]
        raise


def _by_name(functions: list[Function], path: str) -> dict[str, Function]:
    found: dict[str, Function] = {}
    for function in functions:
        name, line = function.__name__, function.__code__.co_firstlineno
        if found.get(name, function) is not function:
            raise ComponentError(
                f"{os.path.basename(path)} declares two predictors named {name}.",
                hint="Rename one of them.",
                file=path,
                line=line,
            )
        found[name] = function
    if not found:
        raise ComponentError(
            f"{os.path.basename(path)} declares no predictor.",
            hint="Put @realtime or @batch above a function: `from matinee import realtime`.",
            file=path,
        )
    return found
