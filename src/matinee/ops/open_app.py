"""`matinee open`: the address of the app here, or of a deployed stage, and a browser on it."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matinee.client.host import running_dev
from matinee.errors import NotFoundError
from matinee.ops.runs import reader
from matinee.project import load


@dataclass(frozen=True)
class Opened:
    """Where the app is. `in_browser`: whether a browser was started."""

    url: str
    in_browser: bool


def open_app(app: Path, *, stage: str = "", start: Callable[[str], bool] = webbrowser.open) -> Opened:
    """Open the app; NotFoundError when it has no address: dev does not run, or nothing is deployed."""
    url = _of_stage(app, stage) if stage else _here(app)
    return Opened(url, start(url))


def _here(app: Path) -> str:
    dev = running_dev(load(app))
    if dev is None:
        raise NotFoundError("`matinee dev` does not run on this app.", hint="Start it: matinee dev")
    if not dev.url:
        raise NotFoundError("`matinee dev` runs on this app without its UI.", hint="Start it without --no-ui.")
    return dev.url


def _of_stage(app: Path, stage: str) -> str:
    with reader(app, stage) as client:
        release = client.backend.store.release() if client else None
    url = release.aws.url if release else ""
    if not url:
        raise NotFoundError(
            f"The stage {stage} has no address yet.", hint=f"`matinee deploy --stage {stage}` gives it one."
        )
    return url
