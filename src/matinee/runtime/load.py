"""Loads a component's module by its path and collects the predictors it declares."""
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH118, PTH119, PTH120, PTH122, PTH123 - importing pathlib costs a predictor's start 3 ms

from __future__ import annotations

import _frozen_importlib as _bootstrap  # what importlib.util is made of, without its 3 ms
import _frozen_importlib_external as _machinery
import os
import sys
from collections.abc import Callable
from typing import Any

from matinee.errors import ComponentError
from matinee.own_paths import snapshot_of
from matinee.predictor import declare
from matinee.values import decode

Function = Callable[..., Any]


def load_component(source: str) -> dict[str, Function]:
    """Return the predictors of `NAME.py`, or of the folder `NAME/` with its `predictor.py`, in definition order.

    The module is `NAME`, or `NAME.predictor` of the package `NAME`, and child processes can import it by that name:
    its folder, and the package's, come first on `sys.path`. What the module itself raises passes through;
    ComponentError if there is no such module, it declares no predictor, or two of one name.
    """
    home = os.path.abspath(source)
    path = os.path.join(home, "predictor.py") if os.path.isdir(home) else home
    if not os.path.isfile(path):
        hint = "A component is NAME.py, or a folder NAME/ with predictor.py."
        raise ComponentError(f"There is no {path}.", hint=hint, file=path)
    for folder in dict.fromkeys((os.path.dirname(home), os.path.dirname(path))):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    _hold_snapshot(home)
    before = len(declare.declared)
    name = os.path.splitext(os.path.basename(home))[0]
    if home == path:
        _execute(_free_name(name, path), path)
    else:
        _execute(f"{_import_package(name, home)}.predictor", path)
    inside = home if home == path else home + os.sep
    own = [f for f in declare.declared[before:] if os.path.abspath(f.__code__.co_filename).startswith(inside)]
    return _by_name(own, path)


def _hold_snapshot(home: str) -> None:
    """Keep the snapshot that this process runs from, if it runs from one, from being removed."""
    folder = snapshot_of(home)[1]
    if folder and os.path.exists(f"{folder}.lock"):
        import fcntl

        held = os.open(f"{folder}.lock", os.O_RDONLY)  # as long as this process lives
        fcntl.flock(held, fcntl.LOCK_SH)


def _import_package(name: str, home: str) -> str:
    """Import the component's folder as a package and return its name; a library of that name is left alone."""
    try:
        package = __import__(name)
    except ImportError:
        package = None
    if package is not None and home in map(os.path.abspath, getattr(package, "__path__", ())):
        return name
    name = f"{name}_component"
    init = os.path.join(home, "__init__.py")
    _execute(name, init if os.path.isfile(init) else None, home)
    return name


def _free_name(name: str, path: str) -> str:
    """Return the module's name; a library that is already imported under it is left alone."""
    other = sys.modules.get(name)
    return name if other is None or getattr(other, "__file__", None) == path else f"{name}_component"


def _execute(name: str, path: str | None, package: str = "") -> None:
    """Import a module from its file (None: a package without `__init__.py`) as the import system does, but always anew.

    Not from a compiled copy: two texts of one size that were saved within a second have the same.
    """
    decode.forget(name)
    spec = _machinery.spec_from_file_location(name, path, submodule_search_locations=[package] if package else None)
    if spec is None:
        spec = _bootstrap.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [package]
    module = _bootstrap.module_from_spec(spec)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if path is None:
        return
    try:
        with open(path, "rb") as stream:
            code = compile(stream.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - running the user's module is the task
    except BaseException:
        del sys.modules[name]
        raise
    if parent:
        setattr(sys.modules[parent], child, module)


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
