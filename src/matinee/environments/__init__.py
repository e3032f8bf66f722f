"""Where a component's code runs: the present interpreter, or a virtual environment of its own made by uv.

`prepare(component)` finds or makes it; `inspect.inspect_app(project)` asks every component there what it holds.
"""

from __future__ import annotations

from matinee.environments.prepare import Environment, Report, prepare

__all__ = ["Environment", "Report", "prepare"]
