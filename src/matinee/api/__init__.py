"""The HTTP API beside the UI: an app's predictors and runs for programs (`/api/v1`) and assistants (`/mcp`)."""

from __future__ import annotations

from matinee.api.routes import routes

__all__ = ["routes"]
