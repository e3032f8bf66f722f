"""Typed Python functions become a machine-learning prototype people can click.

The names below are the public interface. Each is imported when it is first used, so that a predictor starts fast.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it as true; importing `typing` for it costs
if TYPE_CHECKING:
    from typing import Any

    from PIL.Image import Image
    from pydantic import Field

    from matinee.client.connect import connect
    from matinee.errors import InputError, MatineeError
    from matinee.predictors.context import context, progress, state, track
    from matinee.predictors.declare import batch, predictor, realtime
    from matinee.types import Audio, File, Markdown, Video, after

__version__ = "0.1.0"

_HOMES = {
    "realtime": "matinee.predictors.declare",
    "predictor": "matinee.predictors.declare",
    "batch": "matinee.predictors.declare",
    "state": "matinee.predictors.context",
    "track": "matinee.predictors.context",
    "progress": "matinee.predictors.context",
    "context": "matinee.predictors.context",
    "connect": "matinee.client.connect",
    "after": "matinee.types",
    "File": "matinee.types",
    "Audio": "matinee.types",
    "Markdown": "matinee.types",
    "Video": "matinee.types",
    "Image": "PIL.Image",
    "Field": "pydantic",
    "InputError": "matinee.errors",
    "MatineeError": "matinee.errors",
}

__all__ = [
    "Audio",
    "Field",
    "File",
    "Image",
    "InputError",
    "Markdown",
    "MatineeError",
    "Video",
    "__version__",
    "after",
    "batch",
    "connect",
    "context",
    "predictor",
    "progress",
    "realtime",
    "state",
    "track",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'matinee' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
