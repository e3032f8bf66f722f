"""Which addresses of the web a webhook may call: none inside a private network, unless the app's owner allows it.

A name is resolved once, every address it has is judged, and the connection goes to one of exactly these: a name server
that answers differently the second time changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from matinee.errors import InputError
from matinee.notices.sender import NotSentError

LONGEST_URL = 2000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Target:
    """A URL taken apart. `path` has the query."""

    is_https: bool
    host: str
    port: int
    path: str


def check_url(url: str, *, allow_private: bool) -> Target:
    """Return the parts of an https URL (http too where private addresses are allowed); InputError for any other."""
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
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_https, host, port or (443 if is_https else 80), path)


def resolve(target: Target, *, allow_private: bool) -> str:
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
    """Whether anybody on the internet could call it, also when an IPv6 address only wraps an IPv4 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if not all(is_public(ip) for ip in inner if ip is not None):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast and not address.is_unspecified


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
