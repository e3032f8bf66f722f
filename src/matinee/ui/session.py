"""The one client of this process, and reads shared by all its sessions: a hundred open tabs cost one query."""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Entry, Run, Status
from matinee.settings import Settings

if TYPE_CHECKING:
    from matinee.client.backend import Backend
    from matinee.client.core import Client

T = TypeVar("T")

RELEASE_S = 0.5  # how old what a page shows may be, in seconds
RUNS_S = 0.9
KEPT = 1000  # values a process remembers


class Poll:
    """Values read at most once per key and interval, whoever asks: the others wait for the first and share."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def read(self, key: Hashable, max_age_s: float, load: Callable[[], T]) -> T:
        """Return the value of `key`, loaded anew if it is older than `max_age_s`. What `load` raises is not kept."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            while len(self._places) > KEPT:
                self._places.popitem(last=False)
        with place.lock:
            if place.read_at is None or self._clock() - place.read_at > max_age_s:
                place.value = load()
                place.read_at = self._clock()
            return cast(T, place.value)

    def forget(self) -> None:
        """Read everything anew: something was just changed from here."""
        with self._lock:
            self._places.clear()


class _Place:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at: float | None = None
        self.value: object = None


@dataclass(frozen=True)
class Live:
    """A run with what is known of it while it is unfinished."""

    run: Run
    entry: Entry | None = None
    position: int | None = None
    note: str = ""


poll = Poll()
_opening = threading.Lock()


@functools.cache
def _settings() -> Settings:
    return Settings.from_environment()


@functools.cache
def _backend() -> Backend:
    from matinee.client.backend import open_backend

    return open_backend(_settings())


@functools.cache
def _client(user: str) -> Client:
    from matinee.client.core import Client

    return Client(_backend(), _settings(), user)


def client(user: str = "local") -> Client:
    """Return this process's client for the user, opened on first use: boto3 takes a third of a second to import."""
    with _opening:
        return _client(user)


def release() -> Release:
    """Return what is live; NotFoundError while nothing is."""
    return poll.read("release", RELEASE_S, client().release)


def live(run_id: str) -> Live:
    """Return the run with its progress; NotFoundError if there is none."""
    return poll.read(("run", run_id), RUNS_S, lambda: look(client().run(run_id)))


def page(predictor: str | None, before: str, limit: int) -> list[Live]:
    """Return a page of the user's runs, newest first, the unfinished ones with their progress."""
    query = RunQuery(user=client().user, predictor=predictor, before=before, limit=limit)
    return poll.read(query, RUNS_S, lambda: [look(run) for run in client().runs(query)])


def look(run: Run) -> Live:
    """Return the run with what is known of it now."""
    if run.status.is_final:
        return Live(run)
    if run.status is Status.RUNNING:
        return Live(run, client().entry(run))
    return Live(run, client().entry(run), client().queue_position(run), client().why_waiting(run))
