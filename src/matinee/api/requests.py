"""Who calls, and what they send: tokens, loopback without one, bodies with a limit. Blocking work runs in threads."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
from starlette.requests import Request

from matinee.access.events import record_event
from matinee.access.modes import SignIn, make_sign_in
from matinee.access.people import LOCAL, Person, Users
from matinee.access.reach import is_this_machine, names_of, refusal
from matinee.access.tokens import find_token_person
from matinee.api.responses import ApiError
from matinee.client.core import Client, limits_of
from matinee.errors import BackendError, LimitError, NotFoundError, RateError
from matinee.manifest import Release
from matinee.project.model import Limits

Json = Any
T = TypeVar("T")
OpenClient = Callable[[Person], Client]

THREADS = 32  # blocking calls at once; predictions have threads of their own
MEGABYTE = 1_000_000
MCP_CALL = "matinee.call"  # where the scope of a request to /mcp holds its Call
_JSON_ROOM = 1.4  # a file within JSON is longer by a third, and there is more than the file
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
BODIES_BYTES = 160 * MEGABYTE  # of all JSON bodies at once, with what they become
VALUE_BYTES = 100 * MEGABYTE  # what the values of one body may become
MOST_DEPTH = 100
_COSTS = {b",": 40, b":": 60, b"[": 72, b"{": 250}  # bytes that CPython takes for one more value, key, list, object
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)  # possessive: in linear time
_PIECE_BYTES = 256 * 1024  # looked through at once
_END = b"\n"
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Call:
    """One request of one person. `query` has checked values; `body` is empty where none is read."""

    request: Request
    person: Person
    client: Client
    limits: Limits
    query: dict[str, Json]
    body: bytes = b""

    @property
    def base(self) -> str:
        """The path that links begin with: `/api/v1`."""
        return f"{self.request.scope.get('root_path', '')}/v1"

    def path(self, name: str) -> str:
        """Return a part of the address."""
        return str(self.request.path_params[name])

    def json(self) -> Json:
        """Return the body as JSON; ApiError 400 or 415 for what is none."""
        return read_json(self.body, self.request.headers.get("content-type", ""))


class Gate:
    """Lets people in. `open_client` gives a person's client; `sign_in` gives the way people sign in to the app."""

    def __init__(self, open_client: OpenClient, sign_in: Callable[[], SignIn] | None = None) -> None:
        self.open_client = open_client
        self._sign_in = sign_in
        self._threads = anyio.CapacityLimiter(THREADS)
        self.bodies = Bodies()

    async def in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Run blocking work without holding the event loop."""
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._threads)

    def admit(self, request: Request) -> tuple[Person, Client, Limits]:
        """Return who calls, their client and what they may ask for; ApiError 401 when nobody is known."""
        system = self.open_client(LOCAL)
        person = self._by_token(request, system) or self._by_loopback(request, system)
        client = system if person == LOCAL else self.open_client(person)
        return person, client, limits_of(live(system))

    def _by_token(self, request: Request, system: Client) -> Person | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        scheme, _, secret = header.partition(" ")
        person = find_token_person(system.backend.store, self._mode(system), secret.strip(), time.time())
        if scheme.lower() != "bearer" or person is None:
            raise _refuse(
                request,
                "This token is not valid: it is mistyped, has expired, was revoked or ended with its person's account.",
                "invalid_token",
            )
        return person

    def is_open(self, system: Client) -> bool:
        """Whether the app is used without sign-in: a program on this machine needs no token then."""
        return self._mode(system).is_open

    def _mode(self, system: Client) -> SignIn:
        if self._sign_in is not None:
            return self._sign_in()
        return make_sign_in(live(system).details.get("auth") or {}, {}, lambda: Users(system.backend.store))

    def _by_loopback(self, request: Request, system: Client) -> Person:
        if self.is_open(system) and _is_here(request):
            return LOCAL
        raise _refuse(request, "This needs a token.", "")


def live(client: Client) -> Release:
    """Return what is live; BackendError (503) while nothing is."""
    try:
        return client.release()
    except NotFoundError as error:
        raise BackendError("The app is starting: nothing is live yet.", hint="Ask again in a moment.") from error


def _refuse(request: Request, message: str, error: str) -> ApiError:
    """Return the answer to somebody who is not let in, and note it for the owner."""
    address = request.client.host if request.client else ""
    record_event("token refused", "", address, f"{error or 'no token'}, {request.url.path}")
    challenge = 'Bearer realm="matinee"' + (f', error="{error}"' if error else "")
    hint = "Send `Authorization: Bearer mat_…`; the app's owner makes one with `matinee token create NAME`."
    return ApiError(401, message, hint=hint, headers={"WWW-Authenticate": challenge})


def _is_here(request: Request) -> bool:
    """Whether a program on this machine asks: no proxy, and no page of another site in this machine's browser."""
    if any(name in request.headers for name in _FORWARDED) or request.client is None:
        return False
    is_by_this_machine = is_this_machine(urlsplit(f"//{request.headers.get('host', '')}").hostname or "")
    is_of_this_machine = is_this_machine(request.client.host)
    return is_by_this_machine and is_of_this_machine and not refusal(request.headers, names_of("localhost"))


# --- reading request bodies -------------------------------------------------------------------------------------------


class Bodies:
    """The memory that the JSON bodies of all present requests may take together. Thread-safe."""

    def __init__(self, most_bytes: int = BODIES_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0

    @contextmanager
    def reserve(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes so many bytes for the block, or raises BackendError (503): others need them.

        A request that is alone is never refused: its own limits bound it.
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            with self._lock:
                if self._bytes > mine and self._bytes + size > self._most_bytes:
                    raise BackendError("Too many large requests came at once.", hint="Ask again in a moment.")
                self._bytes += size
                mine += size

        try:
            yield take
        finally:
            with self._lock:
                self._bytes -= mine


async def read_body(request: Request, limit_mb: float, take: Callable[[int], None]) -> bytes:
    """Return the body of a JSON request; LimitError as soon as it is longer than files of `limit_mb` within JSON.

    ApiError 415 for one that is compressed.

    `take` is called for each piece and may refuse it.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):  # RFC 9110, 15.5.16: the answer names what is read
        raise ApiError(
            415,
            f"The body is sent with Content-Encoding {coding[:40]!r}, which is not read here.",
            hint="Send it as it is, without Content-Encoding.",
            headers={"Accept-Encoding": "identity"},
        )
    limit = int(limit_mb * _JSON_ROOM * MEGABYTE) + MEGABYTE
    if (length := request.headers.get("content-length", "0")).isdecimal() and int(length) > limit:
        raise _too_long(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_long(limit)
        take(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _too_long(limit: int) -> LimitError:
    return LimitError(
        f"The body is longer than {limit / MEGABYTE:g} MB.",
        hint="Send large files to /api/v1/uploads and name them here, or raise upload_mb under [limits].",
    )


def json_bytes(body: bytes) -> int:
    """Return about how many bytes the values of a JSON body take, told by its punctuation before anything is decoded.

    Raises ApiError 400 for one that is nested deeper than MOST_DEPTH, LimitError for one of more than VALUE_BYTES.
    """
    size = depth = 0
    for marks in _punctuation(body):
        size += sum(marks.count(mark) * cost for mark, cost in _COSTS.items())
        for mark in marks.translate(None, delete=_NO_BRACKETS):
            depth += 1 if mark in b"[{" else -1
            if depth > MOST_DEPTH:
                raise ApiError(400, f"The body is nested too deeply: at most {MOST_DEPTH} levels are read.")
        if size > VALUE_BYTES:
            raise LimitError(
                f"The values in the body take more than {VALUE_BYTES // MEGABYTE} MB of memory.",
                hint="Send large tables and arrays as files to /api/v1/uploads and name them here.",
            )
    return size


def _punctuation(body: bytes) -> Iterator[bytes]:
    """Yield the body without its texts, piece by piece."""
    begun = b""  # of a text that a piece has not ended
    for start in range(0, len(body), _PIECE_BYTES):
        piece = begun + body[start : start + _PIECE_BYTES]
        marks = _TEXTS.sub(b"", piece + _END)  # a text that does not end takes the mark of the end with it
        is_cut = not marks.endswith(_END)
        ends_in_escape = (len(piece) - len(piece.rstrip(b"\\"))) % 2
        begun = b'"' + b"\\" * ends_in_escape if is_cut else b""
        yield marks


def read_json(body: bytes, content_type: str) -> Json:
    """Return the JSON value of a body. ApiError 415 for another type, 400 for what JSON has not: NaN, half letters."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        type_sent = f"not {media_type}" if media_type else "and no type was given"
        raise ApiError(415, f"The body must be application/json, {type_sent}.", headers={"Accept": "application/json"})
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_read_finite)
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except UnicodeEncodeError:
        reason = "a text in it holds half of a surrogate pair"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)[:200] if body.strip() else "it is empty"
    raise ApiError(400, f"The body is not valid JSON: {reason}.", hint='Write it as {"name": "value"}.')


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")


def _read_finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


# --- rate limits per person -------------------------------------------------------------------------------------------

PEOPLE_REMEMBERED = 10_000  # people remembered; a full bucket is as good as none


class Rates:
    """A bucket of `per_minute` predictions for every person, filled steadily. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # name -> what was left, when

    def spend(self, name: str, per_minute: int) -> None:
        """Take one prediction; RateError says after how many seconds there is one."""
        per_second = per_minute / 60
        with self._lock:
            now = self._clock()
            left, at = self._buckets.get(name, (float(per_minute), now))
            left = min(float(per_minute), left + (now - at) * per_second)
            if left < 1:
                wait_s = (1 - left) / per_second
                raise RateError(
                    f"You may ask for {per_minute} predictions a minute, and these were more.",
                    hint="Wait a moment, or raise predictions_per_minute under [limits] in matinee.toml.",
                    retry_after_s=wait_s,
                )
            self._buckets[name] = (left - 1, now)
            self._forget(now, per_second, per_minute)

    def _forget(self, now: float, per_second: float, per_minute: int) -> None:
        if len(self._buckets) > PEOPLE_REMEMBERED:
            full = [n for n, (left, at) in self._buckets.items() if left + (now - at) * per_second >= per_minute]
            for name in full:
                del self._buckets[name]
