"""A load client for Streamlit: real WebSocket sessions that submit a page's form as a browser does.

One asyncio process for all sessions. A click is timed from when it was due, so a server that answers late cannot make
the following clicks wait unseen; it is answered when an element arrives that holds the function's answer to it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

OPEN_S = 60  # a session that is not open by then has failed
ANSWER_S = 30
BUTTON = "Predict"
OPENING = 8  # sessions that open at the same time


class NoAnswerError(Exception):
    """A click or an opening that came to nothing."""


class Session:
    """One open page with a text field in a form. `answer_to(text)` is what its page shows when `text` was sent."""

    def __init__(self, address: str, answer_to: Callable[[str], str] = str.upper) -> None:
        self._address, self._answer_to = address, answer_to
        self._kept: dict[str, bytes] = {}  # messages the server may refer to, as a browser keeps them
        self._page, self._field, self._button, self._fragment = "", "", "", ""
        self._tells_changes = False  # whether the page asks to hear of the field before the button is pressed
        self._awaited: tuple[bytes, asyncio.Future[None]] | None = None
        self._finished = asyncio.Event()
        self._ended = ""

    async def open(self) -> None:
        """Connect, run the page once and wait until its form is there; NoAnswerError after OPEN_S."""
        url = self._address.replace("http", "ws", 1) + "/_stcore/stream"
        self._connection: ClientConnection = await connect(
            url,
            subprotocols=["streamlit"],
            origin=self._address,
            max_size=None,
            ping_interval=None,
            open_timeout=OPEN_S,
        )
        self._reader = asyncio.create_task(self._read())
        await self._rerun(BackMsg())
        try:
            await asyncio.wait_for(self.drawn(), OPEN_S)
        except TimeoutError:
            raise NoAnswerError("The page did not open.") from None
        if not self._button:
            raise NoAnswerError(self._ended or "The page has no form.")

    async def click(self, text: str) -> None:
        """Fill the field, press the button, return when the answer is shown; NoAnswerError after ANSWER_S."""
        if self._ended:
            raise NoAnswerError(self._ended)
        answer = asyncio.get_running_loop().create_future()
        self._awaited = (self._answer_to(text).encode(), answer)
        self._finished.clear()
        if self._tells_changes:  # a field outside a form tells its value as soon as the mouse leaves it for the button
            await self._send_values(text, is_pressed=False)
        await self._send_values(text, is_pressed=True)
        try:
            await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            raise NoAnswerError("No answer came.") from None

    async def drawn(self) -> None:
        """Return when all that the opening or the last click draws has arrived."""
        await self._finished.wait()

    async def close(self) -> None:
        """Close the page."""
        if hasattr(self, "_reader"):
            self._reader.cancel()
            await self._connection.close()

    async def _send_values(self, text: str, *, is_pressed: bool) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.widget_states.widgets.add(id=self._field, string_value=text)
        if is_pressed:
            state.widget_states.widgets.add(id=self._button, trigger_value=True)
        state.fragment_id = self._fragment
        await self._rerun(message)

    async def _rerun(self, message: BackMsg) -> None:
        state = message.rerun_script
        state.query_string = ""
        state.page_script_hash = self._page
        state.context_info.timezone, state.context_info.locale = "Europe/Zurich", "en-US"
        state.context_info.url = self._address
        await self._connection.send(message.SerializeToString())

    async def _read(self) -> None:
        try:
            async for data in self._connection:
                self._take(data if isinstance(data, bytes) else data.encode())
            self._end("The server closed the connection.")
        except Exception as error:
            self._end(f"{type(error).__name__}: {error}")

    def _take(self, data: bytes) -> None:
        message = ForwardMsg.FromString(data)
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            data = self._kept[message.ref_hash]
            message = ForwardMsg.FromString(data)
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable:
            self._kept[message.hash] = data
        if kind == "navigation":
            self._page = message.navigation.page_script_hash
        elif kind == "script_finished":
            self._finished.set()
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._take_element(message.delta, data)

    def _take_element(self, delta: Any, data: bytes) -> None:
        element = delta.new_element
        kind = element.WhichOneof("type")
        if kind == "text_input":
            self._field = element.text_input.id
            self._tells_changes = not element.text_input.form_id and not element.text_input.ignore_rerun
        elif kind == "button" and element.button.label == BUTTON:
            self._button, self._fragment = element.button.id, delta.fragment_id
        elif kind == "exception":
            self._end(element.exception.message)
        elif self._awaited and self._awaited[0] in data and not self._awaited[1].done():
            self._awaited[1].set_result(None)

    def _end(self, why: str) -> None:
        self._ended = why
        self._finished.set()
        if self._awaited and not self._awaited[1].done():
            self._awaited[1].set_exception(NoAnswerError(why))


class Visitors:
    """Open sessions of one page, all kept by one process. `make()` returns one that is not open yet."""

    def __init__(self, make: Callable[[], Any], count: int) -> None:
        self._sessions = [make() for _ in range(count)]
        self.failures: list[str] = []
        self.number = 0

    async def __aenter__(self) -> Visitors:
        gate = asyncio.Semaphore(OPENING)

        async def open_one(session: Any) -> None:
            async with gate:
                await self._guarded(session.open())

        await asyncio.gather(*(open_one(session) for session in self._sessions))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(session.close() for session in self._sessions), return_exceptions=True)

    async def click(self, *, every_s: float, seconds: float) -> dict[str, Any]:
        """Let each session click every `every_s`, evenly spread; return percentiles (ms), rates and failures."""
        begun, before = time.perf_counter(), len(self.failures)
        gap = every_s / len(self._sessions)
        offsets = [i * gap for i in range(len(self._sessions))]
        random.Random(1).shuffle(offsets)
        rounds = max(1, int(seconds / every_s))
        lists = await asyncio.gather(
            *(self._clicks(s, begun + o, every_s, rounds) for s, o in zip(self._sessions, offsets, strict=True))
        )
        times = sorted(ms for one in lists for ms in one)
        return {
            "clicks": len(self._sessions) * rounds,
            "answered": len(times),
            "failures": len(self.failures) - before,
            "answered_per_s": len(times) / (time.perf_counter() - begun),
            **percentiles(times),
        }

    async def _clicks(self, session: Any, first_at: float, every_s: float, rounds: int) -> list[float]:
        times = []
        for number in range(rounds):
            due_at = first_at + number * every_s
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
            self.number += 1
            if await self._guarded(session.click(f"text{self.number}x")):
                times.append((time.perf_counter() - due_at) * 1000)
        return times

    async def _guarded(self, action: Awaitable[None]) -> bool:
        try:
            await action
        except (NoAnswerError, OSError, TimeoutError, ValueError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return False
        return True


def percentiles(times: list[float]) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile of milliseconds."""
    if len(times) < 2:
        return {}
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}
