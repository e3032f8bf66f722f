"""What a deployment tells while it goes on: frozen values, for a person's terminal or a machine's log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A part of the work begins."""

    text: str


@dataclass(frozen=True)
class ResourceMoved:
    """CloudFormation did something to a resource. `elapsed_s` counts from the start of its stack's operation."""

    stack: str
    resource: str  # for people: "function recommend"
    status: str  # CloudFormation's own, as in CREATE_COMPLETE
    elapsed_s: float
    reason: str = ""


@dataclass(frozen=True)
class ImageMoved:
    """Something about a component's image: built, already there, pushed."""

    component: str
    text: str


@dataclass(frozen=True)
class TaskFailed:
    """A task of a service stopped while its stack was being changed."""

    resource: str
    reason: str
    log: tuple[str, ...] = ()  # its last lines


@dataclass(frozen=True)
class Tried:
    """A predictor's new version was called with its first example. `problem` is "" when it passed."""

    predictor: str
    version: str
    duration_s: float
    problem: str = ""


@dataclass(frozen=True)
class Note:
    """Something a person should know; nothing has stopped."""

    text: str
    hint: str = ""


Event = Step | ResourceMoved | ImageMoved | TaskFailed | Tried | Note
Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """Report to nobody."""
