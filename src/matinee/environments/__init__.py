"""Where a component's code runs: the present interpreter, or a virtual environment of its own made by uv."""

from __future__ import annotations

from matinee.environments.prepare import Environment, Report, Step, prepare

__all__ = ["Environment", "Report", "Step", "prepare"]
