"""A webhook: one POST, signed as the Standard Webhooks specification says (www.standardwebhooks.com).

Headers: `webhook-id` (the same when it is sent again), `webhook-timestamp` (epoch seconds) and `webhook-signature`,
"v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY" by the secret ("whsec_" and base64).

It may call no address inside a private network, unless the app's owner allows it. A name is resolved once, every
address it has is judged, and the connection goes to one of exactly these: a name server that answers differently the
second time changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from matinee.errors import InputError
from matinee.notices.subscriptions import Message, NotSentError
from matinee.ports import Store
from matinee.project.sections import Notices

TIMEOUT_S = 10.0
SECRET = "notice-secret"  # noqa: S105 - the kind of document
_PREFIX = "whsec_"
_GONE = 410


def read_signing_secret(store: Store, user: str) -> str:
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

    def __init__(self, secret_of: Callable[[str], str], settings: Notices) -> None:
        self._secret_of = secret_of
        self._settings = settings

    def send(self, message: Message) -> None:
        """Send one message. Redirects are not followed; 410 and a private address are final."""
        try:
            target = check_url(message.to, self._settings)
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
        status = _post(target, resolve_host(target, allow_private=self._settings.private_addresses), body, headers)
        if not 200 <= status < 300:
            raise NotSentError(f"{target.host} answered {status}.", is_final=status == _GONE)


def _body(message: Message) -> bytes:
    run = message.run
    event = {
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
    return json.dumps(event, separators=(",", ":")).encode()


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


# --- which addresses are allowed ----------------------------------------------------------------------------------

LONGEST_URL = 2000
_NOT_PUBLIC_IPV6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible (RFC 4291, deprecated)
        "::ffff:0:0/96",  # IPv4-mapped (RFC 4291)
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 of one's own network (RFC 8215)
        "2001::/32",  # Teredo (RFC 4380)
        "2002::/16",  # 6to4 (RFC 3056)
        "fec0::/10",  # site-local (RFC 3879, deprecated)
    )
)
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Target:
    """A URL taken apart. `path` has the query."""

    is_https: bool
    host: str
    port: int
    path: str


def check_url(url: str, settings: Notices) -> Target:
    """Return the parts of a URL that `[notices]` allows; InputError for any other.

    It is https (http too where private addresses are allowed) and goes to one of `webhook_ports`.
    """
    allow_private = settings.private_addresses
    schemes = ("https", "http") if allow_private else ("https",)
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        host = host.encode("idna").decode() if ":" not in host else host
    except ValueError:
        raise InputError("webhook", "is not an address of the web") from None
    if parts.scheme not in schemes or not host or len(url) > LONGEST_URL or not url.isascii() or not url.isprintable():
        raise InputError("webhook", f"must be an address that starts with {' or '.join(f'{s}://' for s in schemes)}")
    if parts.username is not None or parts.password is not None:
        raise InputError("webhook", "must not hold a user or a password")
    if " " in url.strip():
        raise InputError("webhook", "must not hold spaces")
    if not allow_private and _is_literal(host) and not is_public(ipaddress.ip_address(host)):
        raise InputError("webhook", "leads into a private network")
    is_https = parts.scheme == "https"
    port = port or (443 if is_https else 80)
    if port not in settings.webhook_ports:
        ports = ", ".join(map(str, settings.webhook_ports))
        raise InputError("webhook", f"must go to one of the ports {ports}, not {port}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_https, host, port, path)


def resolve_host(target: Target, *, allow_private: bool) -> str:
    """Return the address to connect to. NotSentError if there is none; for good if one of them is private."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSentError(f"{target.host} is not known.") from error
    addresses = [str(place[0]) for *_, place in found]
    if not allow_private and not all(is_public(ipaddress.ip_address(address)) for address in addresses):
        raise NotSentError(f"{target.host} leads into a private network, which is not allowed.", is_final=True)
    return addresses[0]


def is_public(address: Ip) -> bool:
    """Whether anybody on the internet could call it.

    An IPv6 address that only carries an IPv4 one (mapped, NAT64, 6to4, Teredo) is none: who translates it decides where
    it leads. Neither is one of the site-local prefix, which Python counts as global.
    """
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _NOT_PUBLIC_IPV6):
        return False
    return address.is_global and not address.is_multicast and not address.is_unspecified


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
