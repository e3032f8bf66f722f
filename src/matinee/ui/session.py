"""Who looks at this page, their client, and reads shared by all sessions: a hundred open tabs cost one query.

What is read for one person is never shown to another: every shared read of runs has the person in its key.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from matinee.access.events import send_events_to
from matinee.access.gate import Gate, open_gate
from matinee.access.modes import make_sign_in
from matinee.access.people import LOCAL, Person, Users
from matinee.backends.factory import open_log_writer
from matinee.caches import SHARED_VALUES, SharedReads
from matinee.errors import AccessError
from matinee.manifest import Json, Release
from matinee.ports import RunQuery
from matinee.runs import Entry, Run, Status
from matinee.settings import AUTH, Settings
from matinee.ui.guard import Rules
from matinee.ui.text import humanize

if TYPE_CHECKING:
    from matinee.backends.factory import Backend
    from matinee.client.core import Client

RELEASE_S = 0.5  # how old what a page shows may be, in seconds
RUNS_S = 0.9
TITLE_S = 5.0


@dataclass(frozen=True)
class Live:
    """A run with what is known of it while it is unfinished."""

    run: Run
    entry: Entry | None = None
    position: int | None = None
    note: str = ""


poll = SharedReads()
_gate: Gate | None = None
_opening = threading.Lock()


@functools.cache
def _settings() -> Settings:
    return Settings.from_environment()


@functools.cache
def _backend() -> Backend:
    from matinee.backends.factory import open_backend

    return open_backend(_settings())


@functools.lru_cache(SHARED_VALUES)
def _client(who: Person) -> Client:
    from matinee.client.core import Client

    return Client(_backend(), _settings(), who.name, owner=who.is_owner)


# --- who is signed in -------------------------------------------------------------------------------------------


def use(gate: Gate) -> None:
    """Have this process's pages ask this gate who somebody is."""
    global _gate
    _gate = gate


def gate() -> Gate:
    """Return the gate of this process, opened by `[auth]` of the live release unless `use` said otherwise."""
    if _gate is None:
        use(open_app_gate())
    return cast("Gate", _gate)


def open_app_gate() -> Gate:
    """Return a gate by what MATINEE_AUTH says, else what is live; UsageError if the environment is not whole."""
    mode = make_sign_in(_auth(), os.environ, _users)
    settings = _settings()
    return open_gate(mode, app=settings.app, data=settings.data, environ=os.environ)


def write_access_events() -> None:
    """Write who comes in, who is refused and who exports to the app's log."""
    writer = open_log_writer(_settings())
    send_events_to(lambda line: writer.write([line]))


def _auth() -> Mapping[str, Json]:
    auth = os.environ.get(AUTH)
    if auth:
        return cast("Mapping[str, Json]", json.loads(auth))
    live = _backend().store.release()
    return live.details.get("auth", {}) if live else {}


def _users() -> Users:
    return Users(_backend().store)


def person() -> Person:
    """Return who looks at this page; AccessError if they are not signed in (any more)."""
    if gate().is_open:
        return LOCAL
    import streamlit as st

    found = gate().person(st.context.cookies)
    if found is None:
        raise AccessError("You are signed out.", hint="Reload this page to sign in again.", signed_in=False)
    return found


def client() -> Client:
    """Return the client of who looks at this page; AccessError if they are not signed in (any more)."""
    return client_of(person())


def client_of(who: Person) -> Client:
    """Return this process's client for a person, opened on first use: boto3 takes a third of a second to import."""
    with _opening:
        return _client(who)


# --- what a person sees -----------------------------------------------------------------------------------------


def title() -> str:
    """Return the app's title for somebody who is not signed in; its name until the store is open."""
    if _backend.cache_info().currsize == 0:
        return humanize(_settings().app or "matinee")
    live = poll.read("title", TITLE_S, _backend().store.release)
    return (live.title if live else "") or humanize(_settings().app or "matinee")


def rules() -> Rules:
    """Return what `[ui]` of the live release adds for browsers; nothing while nothing is live."""
    live = poll.read("rules", TITLE_S, client_of(LOCAL).backend.store.release)
    ui = live.details.get("ui", {}) if live else {}
    sources, ancestors = (tuple(map(str, ui.get(key, ()))) for key in ("csp_sources", "frame_ancestors"))
    return Rules(sources, ancestors, frozenset(map(str, ui.get("hosts", ()))))


def release() -> Release:
    """Return what is live; NotFoundError while nothing is."""
    return poll.read("release", RELEASE_S, client().release)


def live(run_id: str) -> Live:
    """Return the run with its progress; NotFoundError if there is none, or it is not theirs to see."""
    reader = client()
    return poll.read(("run", run_id, _key(reader)), RUNS_S, lambda: look(reader.run(run_id)))


def remember_run(run: Run) -> None:
    """Take a run this person just made for read, where nothing of it can change any more."""
    if run.status.is_final:
        poll.keep(("run", run.id, _key(client())), Live(run))


def page(predictor: str | None, before: str, limit: int) -> list[Live]:
    """Return a page of the user's runs, newest first, the unfinished ones with their progress."""
    reader = client()
    query = RunQuery(user=reader.user, predictor=predictor, before=before, limit=limit)
    return poll.read((query, _key(reader)), RUNS_S, lambda: [look(run) for run in reader.runs(query)])


def look(run: Run) -> Live:
    """Return the run with what is known of it now."""
    if run.status.is_final:
        return Live(run)
    reader = client()
    if run.status is Status.RUNNING:
        return Live(run, reader.entry(run))
    return Live(run, reader.entry(run), reader.queue_position(run), reader.why_waiting(run))


def _key(reader: Client) -> tuple[str, bool]:
    return reader.user, reader.owner
