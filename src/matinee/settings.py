"""What a process is told by its environment: the one place where its variables are named.

A container gets the same variables from a task definition as a local process gets from the launcher.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DISPATCHER = "matinee-dispatcher"
LIVE = "live"  # the alias by which every function on AWS is called, the dispatcher too; never $LATEST
AUTH_VARIABLE = "MATINEE_AUTH"  # `[auth]` as JSON, for a UI that is to ask otherwise than the live release says


@dataclass(frozen=True)
class Settings:
    """`Settings.from_environment()` reads what `settings.environment()` wrote."""

    backend: Literal["local", "aws"] = "local"
    app: str = ""
    data: Path = Path(".matinee")  # local: state.db, files/, logs/
    lambda_endpoint: str = ""  # local Lambda service; "" = AWS's own
    function_prefix: str = ""  # "matinee-APP-STAGE-" on AWS
    component: str = ""
    source: Path = Path()  # the component's file or folder
    manifest: Path = Path()  # JSON of its ComponentManifest
    predictor: str = ""
    slot_token: str = ""  # batch workers: the slot they hold
    slot_number: int = 0
    lifeline_fd: int = -1  # read end of a pipe: its end means that the host is gone
    logs: Literal["", "folder"] = ""  # "folder": in `data`, whatever the backend; "" = where the backend has them

    def environment(self) -> dict[str, str]:
        """Return the variables that carry these settings."""
        return {f"MATINEE_{name.upper()}": str(value) for name, value in vars(self).items()}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings; what is not set keeps its default."""

        def text(name: str, default: str = "") -> str:
            return environ.get(f"MATINEE_{name}", default)

        return cls(
            backend="aws" if text("BACKEND") == "aws" else "local",
            app=text("APP"),
            data=Path(text("DATA", ".matinee")),
            lambda_endpoint=text("LAMBDA_ENDPOINT"),
            function_prefix=text("FUNCTION_PREFIX"),
            component=text("COMPONENT"),
            source=Path(text("SOURCE")),
            manifest=Path(text("MANIFEST")),
            predictor=text("PREDICTOR"),
            slot_token=text("SLOT_TOKEN"),
            slot_number=int(text("SLOT_NUMBER", "0")),
            lifeline_fd=int(text("LIFELINE_FD", "-1")),
            logs="folder" if text("LOGS") == "folder" else "",
        )
