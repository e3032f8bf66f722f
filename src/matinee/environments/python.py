"""Which Python a component gets: the present one if it may, else one that uv finds."""

from __future__ import annotations

import platform
import sys

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from matinee.errors import ComponentError

OLDEST = (3, 11)  # what the framework itself needs


def python_request(component: str, requires_python: str) -> str:
    """Return what to ask uv for: the present interpreter's path, or a version range such as `>=3.12`.

    Raises ComponentError for a range that is none, or that ends before the oldest Python of the framework.
    """
    try:
        allowed = SpecifierSet(requires_python)
    except InvalidSpecifier as error:
        raise ComponentError(
            f"`requires-python` of component {component} is not a version range: {requires_python!r}.",
            hint='Write it as requires-python = ">=3.11".',
        ) from error
    if allowed.contains(platform.python_version(), prereleases=True):
        return sys.executable
    if not any(allowed.contains(f"{OLDEST[0]}.{minor}.{patch}") for minor in range(OLDEST[1], 100) for patch in (0, 9)):
        raise ComponentError(
            f"Component {component} asks for Python {requires_python}; matinee needs {OLDEST[0]}.{OLDEST[1]} or newer.",
            hint=f'Write requires-python = ">={OLDEST[0]}.{OLDEST[1]}".',
        )
    older = any(allowed.contains(f"{OLDEST[0]}.{minor}") for minor in range(OLDEST[1]))
    return f"{requires_python},>={OLDEST[0]}.{OLDEST[1]}" if older else requires_python


def is_present(request: str) -> bool:
    """Whether the request is the interpreter this process runs in."""
    return request == sys.executable
