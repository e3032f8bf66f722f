"""What a channel is given to send, and how it says that it could not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from matinee.errors import BackendError
from matinee.runs import Run, Status

_ENDS = {Status.SUCCEEDED: "is done", Status.FAILED: "has failed", Status.CANCELLED: "was cancelled"}


@dataclass(frozen=True)
class Message:
    """One notice on its way. `id` stays the same when it is sent again; `at` is in epoch seconds."""

    id: str
    user: str
    to: str
    run: Run
    link: str
    at: float

    @property
    def subject(self) -> str:
        """What happened, in a few words."""
        return f"{self.run.predictor} {_ENDS[self.run.status]}"


class NotSentError(BackendError):
    """It was not sent; `is_final` when trying again is of no use."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class Sender(Protocol):
    """One channel."""

    def send(self, message: Message) -> None:
        """Send within some 15 seconds; raises NotSentError."""
