"""A wish to be told of one run's end, and the message that tells it.

A wish is a document of kind "notice" under `RUN/USER`. Beside the badge in the app there may be channels, "email" and
"webhook". A document lives until its person has seen the run and every channel is done, or for KEPT_S.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.project.sections import Notices, section_from_json
from matinee.runs import Run, Status

Json = Any
NOTICE = "notice"  # the kind of document
KEPT_S = 30 * 86400.0  # a badge nobody looks at
State = Literal["waiting", "sent", "given_up"]


@dataclass(frozen=True)
class Channel:
    """One way to tell one person: `to` is an e-mail address or a URL. Times are epoch seconds."""

    to: str
    state: State = "waiting"
    tries: int = 0
    first_at: float = 0.0  # of the first try
    next_at: float = 0.0  # not before
    why: str = ""  # it did not work the last time


@dataclass(frozen=True)
class Notice:
    """One subscription. `id` names the message for ever: who gets it twice can tell."""

    run_id: str
    user: str
    id: str
    predictor: str
    created_at: float
    link: str = ""  # the run's page
    channels: Mapping[str, Channel] = field(default_factory=dict)
    status: str = ""  # of the finished run; "" = it goes on
    done_at: float = 0.0
    seen_at: float = 0.0

    @property
    def key(self) -> str:
        """The document's key."""
        return notice_key(self.run_id, self.user)

    @property
    def is_done(self) -> bool:
        """Whether the run has finished."""
        return self.status != ""

    @property
    def is_unseen(self) -> bool:
        """Whether it belongs on the badge."""
        return self.is_done and not self.seen_at

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to send."""
        return all(channel.state != "waiting" for channel in self.channels.values())

    def with_channel(self, name: str, channel: Channel) -> Notice:
        """Return it with one channel replaced."""
        return replace(self, channels={**self.channels, name: channel})


def notice_key(run_id: str, user: str) -> str:
    """Return the key of the document."""
    return f"{run_id}/{user}"


def notice_to_json(notice: Notice) -> Json:
    """Return what is stored."""
    return asdict(notice)


def notice_from_json(data: Json) -> Notice:
    """Return what `notice_to_json` wrote."""
    channels = {name: Channel(**channel) for name, channel in data["channels"].items()}
    return Notice(**{**data, "channels": channels})


def notices_of(release: Release) -> Notices:
    """Return the settings of what is live; a release that says nothing has the defaults."""
    return section_from_json(Notices, release.details.get("notices", {}))


# --- messages and senders -----------------------------------------------------------------------------------------

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
