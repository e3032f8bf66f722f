"""A webhook: one POST, signed as the Standard Webhooks specification says (www.standardwebhooks.com).

Headers: `webhook-id` (the same when it is sent again), `webhook-timestamp` (epoch seconds) and `webhook-signature`,
"v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY" by the secret ("whsec_" and base64).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from matinee.errors import InputError
from matinee.notices.addresses import Target, check_url, resolve
from matinee.notices.sender import Message, NotSentError
from matinee.ports import Store

TIMEOUT_S = 10.0
SECRET = "notice-secret"  # noqa: S105 - the kind of document
_PREFIX = "whsec_"
_GONE = 410


def secret_of(store: Store, user: str) -> str:
    """Return the secret that signs this person's webhooks, made when it is first asked for."""
    while (known := store.document(SECRET, user)) is None:
        made = _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        store.swap_document(SECRET, user, None, made)
    return str(known)


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()


class WebhookSender:
    """Sends to the address a person named. `secret_of` gives the secret of a person."""

    def __init__(self, secret_of: Callable[[str], str], *, allow_private: bool = False) -> None:
        self._secret_of = secret_of
        self._allow_private = allow_private

    def send(self, message: Message) -> None:
        """See `Sender`. Redirects are not followed; 410 and a private address are final."""
        try:
            target = check_url(message.to, allow_private=self._allow_private)
        except InputError as error:
            raise NotSentError(f"The address {error.message}.", is_final=True) from error
        body = _body(message)
        timestamp = int(message.at)
        headers = {
            "content-type": "application/json",
            "user-agent": "matinee",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secret_of(message.user), message.id, timestamp, body),
        }
        status = _post(target, resolve(target, allow_private=self._allow_private), body, headers)
        if not 200 <= status < 300:
            raise NotSentError(f"{target.host} answered {status}.", is_final=status == _GONE)


def _body(message: Message) -> bytes:
    run = message.run
    told = {
        "type": "run.finished",
        "timestamp": message.at,
        "data": {
            "run": run.id,
            "predictor": run.predictor,
            "version": run.version,
            "status": run.status.value,
            "failure": run.failure.message if run.status == "failed" and run.failure else None,
            "created_at": run.created_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "link": message.link,
        },
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _post(target: Target, address: str, body: bytes, headers: dict[str, str]) -> int:
    try:
        with _connected(target, address) as connection:
            connection.request("POST", target.path, body, headers)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotSentError(f"{target.host} could not be called: {error or type(error).__name__}.") from error


@contextmanager
def _connected(target: Target, address: str) -> Iterator[http.client.HTTPConnection]:
    """Give a connection to exactly this address, ended after TIMEOUT_S however slowly it answers."""
    made = http.client.HTTPSConnection if target.is_https else http.client.HTTPConnection
    connection = made(target.host, target.port, timeout=TIMEOUT_S)
    connection.sock = _socket(target, address)
    watchdog = threading.Timer(TIMEOUT_S, _end, (connection.sock,))
    watchdog.daemon = True
    watchdog.start()
    try:
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.do_handshake()
        yield connection
    finally:
        watchdog.cancel()
        connection.close()


def _socket(target: Target, address: str) -> socket.socket:
    plain = socket.create_connection((address, target.port), TIMEOUT_S)
    if not target.is_https:
        return plain
    context = ssl.create_default_context()
    return context.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)


def _end(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
