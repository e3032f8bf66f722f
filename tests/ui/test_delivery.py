"""What a script says is held for a moment and delivered together, in order, and none of it is lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from matinee.ui import delivery
from matinee.ui.delivery import Held


class Session:
    """As much of Streamlit's session as delivery sees."""

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
    """Record what had been handled each time something was sent."""
    monkeypatch.setattr(delivery, "send", lambda session: session.sent.append(len(session.handled)))


def run(story):
    async def told():
        session = Session()
        await story(session, Held(session, Session.handle))

    asyncio.run(told())


@pytest.mark.usefixtures("sent")
def test_all_a_short_script_says_is_sent_once_when_it_ends(monkeypatch):
    monkeypatch.setattr(delivery, "GATHER_S", 60)

    async def story(session, held):
        for number in range(20):
            held.put(number, is_last=False)
        await asyncio.to_thread(held.put, "end", is_last=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert session.handled == [*((number,) for number in range(20)), ("end",)]
        assert session.sent == [21]
        assert session.wakes == 2

    run(story)


@pytest.mark.usefixtures("sent")
def test_a_long_script_is_heard_while_it_runs(monkeypatch):
    monkeypatch.setattr(delivery, "GATHER_S", 0.01)

    async def story(session, held):
        for number in (1, 2):
            held.put(number, is_last=False)
            while len(session.sent) < number:
                await asyncio.sleep(0.001)
        assert session.handled == [(1,), (2,)]

    run(story)


@pytest.mark.usefixtures("sent")
def test_what_a_script_says_while_it_is_delivered_is_delivered_too(monkeypatch):
    monkeypatch.setattr(delivery, "GATHER_S", 0.001)

    async def story(session, held):
        async def say(name):
            for number in range(500):
                await asyncio.to_thread(held.put, name, number, is_last=False)

        await asyncio.gather(say("a"), say("b"))
        while len(session.handled) < 1000:
            await asyncio.sleep(0.001)
        for name in "ab":
            assert [n for who, n in session.handled if who == name] == list(range(500))

    run(story)


@pytest.mark.usefixtures("sent")
def test_nothing_is_sent_where_nothing_was_said(monkeypatch):
    monkeypatch.setattr(delivery, "GATHER_S", 0.001)

    async def story(session, held):
        held.expect()
        await asyncio.sleep(0.01)
        assert session.sent == []

    run(story)


def test_messages_wait_for_a_browser_that_comes_back(monkeypatch):
    runtime = SimpleNamespace(_session_mgr=SimpleNamespace(get_active_session_info=lambda _: None))
    monkeypatch.setattr("streamlit.runtime.get_instance", lambda: runtime)
    session = SimpleNamespace(id="s", flush_browser_queue=lambda: pytest.fail("they would be lost"))
    delivery.send(session)
