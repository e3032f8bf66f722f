"""What a run of the script draws reaches the browser in one piece, not element by element.

Streamlit wakes its event loop for each element, looks through the sessions of everybody for what there is to send, and
writes each message by itself: together a fifth of a click's CPU. Here what a run says is held for GATHER_S at most,
handed over when the run ends, and sent to whom it is for, all of it at once.
"""

from __future__ import annotations

import functools
from asyncio import QueueFull
from collections import deque
from collections.abc import Callable
from typing import Any

from matinee.ui.frames import TOGETHER, Messages

GATHER_S = 0.1  # nobody sees a difference below; what draws for longer is shown ten times a second


class Held:
    """What the script of one session has said that its page has not heard yet, in order.

    The script's thread puts, the event loop delivers: an event put before `is_due` is read is among those delivered,
    since delivering begins with taking `is_due` back.
    """

    def __init__(self, session: Any, handle: Callable[..., None]) -> None:
        self._session, self._handle = session, handle
        self._events: deque[tuple[tuple[Any, ...], dict[str, Any]]] = deque()
        self._timer: Any = None
        self._is_due = False

    def put(self, *event: Any, is_last: bool, **more: Any) -> None:
        """Hold an event; the last one of a script has all of them delivered."""
        self._events.append((event, more))
        if is_last:
            self._session._call_soon_on_event_loop(self.deliver)
        elif not self._is_due:
            self._is_due = True
            self._session._call_soon_on_event_loop(self.expect)

    def expect(self) -> None:
        """Deliver in a while; on the event loop."""
        self._is_due = True
        if self._timer is None:
            self._timer = self._session._event_loop.call_later(GATHER_S, self.deliver)

    def deliver(self) -> None:
        """Have Streamlit handle what is held, then send what came of it; on the event loop."""
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
        send(self._session)


def send(session: Any) -> None:
    """Send what waits in the session's queue; without a browser it waits there for the one that comes back."""
    from streamlit import runtime
    from streamlit.runtime.runtime import SessionClientDisconnectedError

    session._is_sending = False
    server = runtime.get_instance()
    reader = server._session_mgr.get_active_session_info(session.id)
    if reader is None:
        return
    messages = session.flush_browser_queue()
    try:
        if TOGETHER in reader.client._websocket.scope.get("extensions", ()):
            _send_together(reader, messages)
        else:
            for message in messages:
                server._send_message(reader, message)
    except SessionClientDisconnectedError:
        server.disconnect_session(session.id, client=reader.client)
    session.on_flushed_messages_sent()


def _send_together(reader: Any, messages: list[Any]) -> None:
    """Do what Streamlit does for each message, in one step of its sender."""
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from streamlit.runtime.runtime import SessionClientDisconnectedError
    from streamlit.runtime.runtime_util import serialize_forward_msg

    client = reader.client
    if client._closed.is_set():
        raise SessionClientDisconnectedError
    reader.script_run_count += sum(
        message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
        for message in messages
        if message.WhichOneof("type") == "script_finished"
    )
    try:
        client._send_queue.put_nowait(Messages.together([serialize_forward_msg(message) for message in messages]))
    except QueueFull as error:  # a browser that does not read
        client._closed.set()
        raise SessionClientDisconnectedError from error


def _quick_for_elements(handle: Callable[..., None]) -> Callable[..., None]:
    """Return what handles an event as Streamlit does, an element without looking at what else it could be."""
    from streamlit.runtime.scriptrunner import ScriptRunnerEvent

    def quick(session: Any, sender: Any, event: Any, *more: Any, **named: Any) -> None:
        if event is ScriptRunnerEvent.ENQUEUE_FORWARD_MSG and sender is session._scriptrunner:
            session._browser_queue.enqueue(named["forward_msg"])
        else:
            handle(session, sender, event, *more, **named)

    return quick


def gather_messages() -> None:
    """Have all sessions of this process deliver so. Streamlit has no setting for it: three of its methods change."""
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.scriptrunner import ScriptRunnerEvent

    if hasattr(AppSession._on_scriptrunner_event, "__wrapped__"):
        return
    take_request = AppSession.handle_backmsg
    handle = _quick_for_elements(AppSession._handle_scriptrunner_event_on_event_loop)

    def held_of(session: Any) -> Held:
        held: Held | None = session.__dict__.get("_held")
        if held is None:
            held = session._held = Held(session, handle)
        return held

    @functools.wraps(AppSession._on_scriptrunner_event)
    def hold(self: Any, sender: Any, event: Any, *more: Any, **named: Any) -> None:
        held_of(self).put(sender, event, *more, is_last=event is ScriptRunnerEvent.SHUTDOWN, **named)

    @functools.wraps(take_request)
    def take(self: Any, request: Any) -> None:
        held = held_of(self)
        held.deliver()  # the request may end the script that is running, whose later words nobody hears
        held.expect()
        take_request(self, request)
        if not self._browser_queue.is_empty():  # what waited for this browser to come back
            send(self)

    @functools.wraps(AppSession._enqueue_forward_msg)
    def enqueue(self: Any, message: Any) -> None:
        self._browser_queue.enqueue(message)
        if not self.__dict__.get("_is_sending"):
            self._is_sending = True
            self._call_soon_on_event_loop(functools.partial(send, self))

    AppSession._on_scriptrunner_event = hold
    AppSession.handle_backmsg = take
    AppSession._enqueue_forward_msg = enqueue
