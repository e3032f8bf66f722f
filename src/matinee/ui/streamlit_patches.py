"""All that is changed inside Streamlit, which has no setting for it: for speed, and for many tabs at once.

A click costs a third less CPU with it (`docs/reference/performance.md`). Streamlit's own classes get other methods, so
only the versions that this was measured with are changed (`VERSIONS`): any other works too, and the log says once that
it is slower. `make wheel-test` opens a page on the lowest version that we declare and on the newest.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from packaging.specifiers import SpecifierSet

from matinee.ui.waiting import Threads

VERSIONS = SpecifierSet("~=1.67.0")
GATHER_S = 0.1  # nobody sees a difference below; what draws for longer is shown ten times a second
IDLE_THREADS = 32  # threads that wait for the next script
_log = logging.getLogger(__name__)


def patch_streamlit() -> bool:
    """Change this process's Streamlit and return True; for another version log one line and return False."""
    import streamlit

    if not VERSIONS.contains(streamlit.__version__):
        _log.warning(
            "Streamlit %s runs without Matinee's changes for speed, so a click costs more CPU: they are for %s. "
            'To have them: pip install "streamlit%s"',
            *(streamlit.__version__, VERSIONS, VERSIONS),
        )
        return False
    remember_session_messages()
    gather_messages()
    reuse_script_threads()
    close_idle_event_loops()
    return True


# --- Messages to the browser are sent together --------------------------------------------------------------------
#
# Streamlit wakes its event loop for each element and looks through the sessions of everybody for what there is to send:
# a fifth of a click's CPU. Here the events of a script wait for GATHER_S at most, are handled when the script ends, and
# what comes of them is sent to its own session.


class EventBuffer:
    """The events of one session's scripts that are not handled yet, in order.

    The script's thread adds, the event loop delivers. An event that is added before `deliver` sets `_is_due` back is
    among those delivered.
    """

    def __init__(self, session: Any, handle: Callable[..., None]) -> None:
        self._session, self._handle = session, handle
        self._events: deque[tuple[tuple[Any, ...], dict[str, Any]]] = deque()
        self._timer: Any = None
        self._is_due = False

    def add(self, *event: Any, is_last: bool, **more: Any) -> None:
        """Add an event; the last one of a script has all of them delivered."""
        self._events.append((event, more))
        if is_last:
            self._session._call_soon_on_event_loop(self.deliver)
        elif not self._is_due:
            self._is_due = True
            self._session._call_soon_on_event_loop(self.deliver_soon)

    def deliver_soon(self) -> None:
        """Deliver in GATHER_S; on the event loop."""
        self._is_due = True
        if self._timer is None:
            self._timer = self._session._event_loop.call_later(GATHER_S, self.deliver)

    def deliver(self) -> None:
        """Have Streamlit handle the events, then send what came of them; on the event loop."""
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._events:
            return
        self._session._is_sending = True  # in a moment, all together
        while self._events:
            event, more = self._events.popleft()
            self._handle(self._session, *event, **more)
        send_messages(self._session)


def send_messages(session: Any) -> None:
    """Send what waits in the session's queue; without a browser it waits there for the one that comes back."""
    from streamlit import runtime
    from streamlit.runtime.runtime import SessionClientDisconnectedError

    session._is_sending = False
    server = runtime.get_instance()
    active = server._session_mgr.get_active_session_info(session.id)
    if active is None:
        return
    try:
        for message in session.flush_browser_queue():
            server._send_message(active, message)
    except SessionClientDisconnectedError:  # a browser that does not read
        server.disconnect_session(session.id, client=active.client)
    session.on_flushed_messages_sent()


def _handle_elements_first(handle_event: Callable[..., None]) -> Callable[..., None]:
    """Return what handles an event as Streamlit does, but an element without looking at what else it could be."""
    from streamlit.runtime.scriptrunner import ScriptRunnerEvent

    def handle(session: Any, sender: Any, event: Any, *more: Any, **named: Any) -> None:
        if event is ScriptRunnerEvent.ENQUEUE_FORWARD_MSG and sender is session._scriptrunner:
            session._browser_queue.enqueue(named["forward_msg"])
        else:
            handle_event(session, sender, event, *more, **named)

    return handle


def gather_messages() -> None:
    """Have all sessions of this process send so: three methods of Streamlit's session change."""
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.scriptrunner import ScriptRunnerEvent

    if hasattr(AppSession._on_scriptrunner_event, "__wrapped__"):
        return
    handle_request = AppSession.handle_backmsg
    handle = _handle_elements_first(AppSession._handle_scriptrunner_event_on_event_loop)

    def buffer_of(session: Any) -> EventBuffer:
        buffer: EventBuffer | None = session.__dict__.get("_event_buffer")
        if buffer is None:
            buffer = session._event_buffer = EventBuffer(session, handle)
        return buffer

    @functools.wraps(AppSession._on_scriptrunner_event)
    def add_event(self: Any, sender: Any, event: Any, *more: Any, **named: Any) -> None:
        buffer_of(self).add(sender, event, *more, is_last=event is ScriptRunnerEvent.SHUTDOWN, **named)

    @functools.wraps(handle_request)
    def deliver_and_handle(self: Any, request: Any) -> None:
        buffer = buffer_of(self)
        buffer.deliver()  # the request may end the script that is running, whose later events nobody hears
        buffer.deliver_soon()
        handle_request(self, request)
        if not self._browser_queue.is_empty():  # what waited for this browser to come back
            send_messages(self)

    @functools.wraps(AppSession._enqueue_forward_msg)
    def enqueue(self: Any, message: Any) -> None:
        self._browser_queue.enqueue(message)
        if not self.__dict__.get("_is_sending"):
            self._is_sending = True
            self._call_soon_on_event_loop(functools.partial(send_messages, self))

    AppSession._on_scriptrunner_event = add_event
    AppSession.handle_backmsg = deliver_and_handle
    AppSession._enqueue_forward_msg = enqueue


# --- The first message of a run is remembered ---------------------------------------------------------------------
#
# It has settings, theme and pages. Streamlit reads them anew each time, a twentieth of a click, and they hardly change.

_settings_changes = 0


def forget_session_messages() -> None:
    """Have every session read the settings again; to be called when one was changed."""
    global _settings_changes
    _settings_changes += 1


def remember_session_messages() -> None:
    """Have all sessions of this process remember the message of their last run: one method changes."""
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from streamlit.runtime import app_session
    from streamlit.runtime.app_session import AppSession

    create = AppSession._create_new_session_message
    if hasattr(create, "__wrapped__"):
        return

    @functools.wraps(create)
    def copy_or_create(self: Any, page: str, run: Any, pages: Any = None) -> Any:
        depends_on = (_settings_changes, page, pages, self._run_on_save, self._state)
        cached_for, cached = self.__dict__.get("_session_message", (None, None))
        if cached_for != depends_on:
            cached = create(self, page, run, pages)
            self._session_message = (depends_on, cached)
        message = ForwardMsg()
        message.new_session.CopyFrom(cached.new_session)
        app_session._set_run_identity(message, run)
        return message

    AppSession._create_new_session_message = copy_or_create


# --- Scripts run in threads that wait for the next one ------------------------------------------------------------
#
# Streamlit starts a thread for each run, a twentieth of a click.


def reuse_script_threads() -> None:
    """Run scripts in waiting threads, each run in a context of its own, as in a thread of its own."""
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
    from streamlit.runtime.scriptrunner_utils.script_run_context import SCRIPT_RUN_CONTEXT_ATTR_NAME

    if hasattr(ScriptRunner.start, "__wrapped__"):
        return
    threads = Threads(IDLE_THREADS)

    @functools.wraps(ScriptRunner.start)
    def start(self: Any) -> None:
        def run() -> None:
            thread = self._script_thread = threading.current_thread()
            try:
                contextvars.Context().run(self._run_script_thread)
            finally:
                vars(thread).pop(SCRIPT_RUN_CONTEXT_ATTR_NAME, None)  # or it would outlive its session here

        if self._script_thread is not None:
            raise RuntimeError("ScriptRunner was already started")
        threads.run(run)

    ScriptRunner.start = start


# --- A closed tab holds no event loop -----------------------------------------------------------------------------
#
# Streamlit makes one for each session, three file descriptors, and keeps the sessions of closed tabs for two minutes,
# for a browser that comes back: a hundred and fifty tabs opened and closed are more than a process may have by default.


def close_idle_event_loops() -> None:
    """Close the event loop of a session whose tab is closed; should its browser come back, it gets a new one."""
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.memory_session_storage import MemorySessionStorage

    save, create = MemorySessionStorage.save, AppSession._create_scriptrunner
    if hasattr(save, "__wrapped__"):
        return

    @functools.wraps(save)
    def save_without_loop(self: Any, info: Any) -> None:
        if info.session._scriptrunner is None:  # no script that runs in it
            info.session._script_event_loop.close()
        save(self, info)

    @functools.wraps(create)
    def create_with_loop(self: Any, *arguments: Any) -> None:
        if self._script_event_loop.is_closed():
            self._script_event_loop = asyncio.new_event_loop()
        create(self, *arguments)

    MemorySessionStorage.save = save_without_loop
    AppSession._create_scriptrunner = create_with_loop
