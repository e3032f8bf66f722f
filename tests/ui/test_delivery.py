"""What a script says is held for a moment and delivered together, in order, and none of it is lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from matinee.ui.frames import TOGETHER
from matinee.ui.tuned import delivery
from matinee.ui.tuned.delivery import Held


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


class Browser:
    """As much of Streamlit's client as delivery sees; `takes` messages together or one by one."""

    def __init__(self, takes: bool, room: int = 0):
        self._websocket = SimpleNamespace(scope={"extensions": {TOGETHER: {}} if takes else {}})
        self._send_queue, self._closed = asyncio.Queue(room), asyncio.Event()
        self.by_itself = []


@pytest.fixture
def deliver(monkeypatch):
    def deliver(browser, *messages):
        reader = SimpleNamespace(client=browser, script_run_count=0)
        runtime = SimpleNamespace(
            _session_mgr=SimpleNamespace(get_active_session_info=lambda _: reader),
            _send_message=lambda _, message: browser.by_itself.append(message),
            disconnect_session=lambda *_, **__: browser._closed.set(),
        )
        monkeypatch.setattr("streamlit.runtime.get_instance", lambda: runtime)
        delivery.send(
            SimpleNamespace(id="s", flush_browser_queue=lambda: list(messages), on_flushed_messages_sent=lambda: None)
        )
        return reader

    return deliver


def said(**what):
    return ForwardMsg(**what)


def test_all_messages_are_one_for_a_server_that_takes_them_together(deliver):
    browser, ended = Browser(takes=True), said(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)
    reader = deliver(browser, said(hash="a"), ended)
    assert browser._send_queue.get_nowait().messages == [said(hash="a").SerializeToString(), ended.SerializeToString()]
    assert reader.script_run_count == 1
    assert browser.by_itself == []


def test_any_other_server_is_given_one_by_one(deliver):
    browser = Browser(takes=False)
    deliver(browser, said(hash="a"), said(hash="b"))
    assert [message.hash for message in browser.by_itself] == ["a", "b"]


def test_a_browser_that_does_not_read_is_let_go(deliver):
    browser = Browser(takes=True, room=1)
    deliver(browser, said(hash="a"))
    assert not browser._closed.is_set()
    deliver(browser, said(hash="b"))
    assert browser._closed.is_set()
