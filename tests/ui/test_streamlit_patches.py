"""What is changed inside Streamlit: only in versions that are named, and nothing that a page shows is lost by it.

`make wheel-test` uses a page in Chromium on the lowest version that is declared and on the newest.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
import streamlit
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.runtime import SessionClientDisconnectedError
from streamlit.runtime.scriptrunner_utils.run_descriptor import RunDescriptor

from matinee.ui import streamlit_patches
from matinee.ui.site import Look, apply_theme
from matinee.ui.streamlit_patches import VERSIONS, EventBuffer

ASK = """
import sys, streamlit
streamlit.__version__ = sys.argv[1]
from matinee.ui.streamlit_patches import patch_streamlit
from streamlit.runtime.app_session import AppSession
print(patch_streamlit(), hasattr(AppSession._on_scriptrunner_event, "__wrapped__"))
"""


def test_the_tests_run_with_a_version_that_is_changed():
    assert VERSIONS.contains(streamlit.__version__), "measure again (make bench ONLY=ui_load), then change VERSIONS"


@pytest.mark.parametrize(("version", "is_changed"), [("1.67.9", True), ("1.66.0", False), ("1.99.0", False)])
def test_another_version_is_left_as_it_comes_and_the_log_says_so_once(version, is_changed):
    asked = subprocess.run([sys.executable, "-c", ASK, version], capture_output=True, text=True, timeout=60, check=True)
    assert asked.stdout.split() == [str(is_changed)] * 2
    lines = asked.stderr.splitlines()
    if is_changed:
        assert lines == []
    else:
        assert len(lines) == 1
        assert version in lines[0]
        assert 'pip install "streamlit~=1.67.0"' in lines[0]


# --- Messages to the browser are sent together --------------------------------------------------------------------


class Session:
    """As much of Streamlit's session as an EventBuffer sees."""

    def __init__(self):
        self._event_loop = asyncio.get_running_loop()
        self.handled, self.sent, self.wakes = [], [], 0

    def _call_soon_on_event_loop(self, callback):
        self.wakes += 1
        self._event_loop.call_soon_threadsafe(callback)

    def handle(self, *event, **_):
        self.handled.append(event)


@pytest.fixture
def sent(monkeypatch):
    """Record how many events had been handled each time something was sent."""
    monkeypatch.setattr(streamlit_patches, "send_messages", lambda session: session.sent.append(len(session.handled)))


def run(story):
    async def with_session():
        session = Session()
        await story(session, EventBuffer(session, Session.handle))

    asyncio.run(with_session())


@pytest.mark.usefixtures("sent")
def test_all_events_of_a_short_script_are_sent_once_when_it_ends(monkeypatch):
    monkeypatch.setattr(streamlit_patches, "GATHER_S", 60)

    async def story(session, events):
        for number in range(20):
            events.add(number, is_last=False)
        await asyncio.to_thread(events.add, "end", is_last=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert session.handled == [*((number,) for number in range(20)), ("end",)]
        assert session.sent == [21]
        assert session.wakes == 2

    run(story)


@pytest.mark.usefixtures("sent")
def test_a_long_script_is_shown_while_it_runs(monkeypatch):
    monkeypatch.setattr(streamlit_patches, "GATHER_S", 0.01)

    async def story(session, events):
        for number in (1, 2):
            events.add(number, is_last=False)
            while len(session.sent) < number:
                await asyncio.sleep(0.001)
        assert session.handled == [(1,), (2,)]

    run(story)


@pytest.mark.usefixtures("sent")
def test_an_event_that_comes_while_others_are_delivered_is_delivered_too(monkeypatch):
    monkeypatch.setattr(streamlit_patches, "GATHER_S", 0.001)

    async def story(session, events):
        async def add(name):
            for number in range(500):
                await asyncio.to_thread(events.add, name, number, is_last=False)

        await asyncio.gather(add("a"), add("b"))
        while len(session.handled) < 1000:
            await asyncio.sleep(0.001)
        for name in "ab":
            assert [n for who, n in session.handled if who == name] == list(range(500))

    run(story)


@pytest.mark.usefixtures("sent")
def test_nothing_is_sent_without_an_event(monkeypatch):
    monkeypatch.setattr(streamlit_patches, "GATHER_S", 0.001)

    async def story(session, events):
        events.deliver_soon()
        await asyncio.sleep(0.01)
        assert session.sent == []

    run(story)


class Server:
    """As much of Streamlit's runtime as `send_messages` sees; its browser has room for so many messages."""

    def __init__(self, monkeypatch, room=10, *, is_connected=True):
        monkeypatch.setattr("streamlit.runtime.get_instance", lambda: self)
        self._session_mgr, self._room = self, room
        self._active = SimpleNamespace(client="browser") if is_connected else None
        self.received, self.disconnected = [], []

    def get_active_session_info(self, _):
        return self._active

    def _send_message(self, active, message):
        if len(self.received) == self._room:
            raise SessionClientDisconnectedError
        self.received.append(message.hash)

    def disconnect_session(self, session_id, client):
        self.disconnected.append((session_id, client))


def send(*hashes):
    waiting = [ForwardMsg(hash=each) for each in hashes]
    session = SimpleNamespace(id="s", on_flushed_messages_sent=lambda: None)
    session.flush_browser_queue = lambda: [waiting.pop(0) for _ in range(len(waiting))]
    streamlit_patches.send_messages(session)
    return [message.hash for message in waiting]


def test_messages_go_through_streamlit_in_their_order(monkeypatch):
    server = Server(monkeypatch)
    assert send("a", "b") == []
    assert (server.received, server.disconnected) == (["a", "b"], [])


def test_messages_wait_for_a_browser_that_comes_back(monkeypatch):
    Server(monkeypatch, is_connected=False)
    assert send("a", "b") == ["a", "b"]


def test_a_browser_that_does_not_read_is_disconnected(monkeypatch):
    server = Server(monkeypatch, room=1)
    send("a", "b")
    assert server.disconnected == [("s", "browser")]


# --- The first message of a run is remembered ---------------------------------------------------------------------

PAGES = {"a": {"page_name": "One"}}


@pytest.fixture
def created(monkeypatch):
    """Count how often Streamlit creates the message itself."""
    pages_created = []

    def create(session, page, run, pages):
        pages_created.append(page)
        message = ForwardMsg()
        message.new_session.page_script_hash = page
        message.new_session.name = f"number {len(pages_created)}"
        return message

    monkeypatch.setattr(AppSession, "_create_new_session_message", create)
    streamlit_patches.remember_session_messages()
    return pages_created


def begin_run(session, page="a", pages=PAGES, fragments=()):
    return AppSession._create_new_session_message(session, page, RunDescriptor.create(fragments), pages)


def a_session():
    return SimpleNamespace(_run_on_save=False, _state="running")


def test_a_session_gets_the_same_message_again_with_the_identity_of_its_run(created):
    session = a_session()
    first, second = begin_run(session), begin_run(session, fragments=["f"])
    assert created == ["a"]
    assert first.new_session == second.new_session
    assert first.metadata.run.script_run_id != second.metadata.run.script_run_id
    assert list(second.metadata.run.fragment_ids) == ["f"]


def test_another_session_page_or_set_of_pages_gets_a_new_message(created):
    session = a_session()
    begin_run(session)
    begin_run(a_session())
    begin_run(session, page="b")
    begin_run(session, page="b", pages={**PAGES, "b": {"page_name": "Two"}})
    assert created == ["a", "a", "b", "b"]


def test_a_changed_theme_reaches_every_session(created):
    session = a_session()
    begin_run(session)
    try:
        assert apply_theme(Look(primary_color="#00ff00"))
        begin_run(session)
        assert not apply_theme(Look(primary_color="#00ff00"))
        begin_run(session)
    finally:
        apply_theme(Look())
    assert created == ["a", "a"]
