"""From where an app may be reached: the address it listens on, the names it is called by, and no page of another site.

A page can make a browser send requests to any address and, by DNS rebinding, under a name of its own. Both show in the
headers `Host`, `Origin` and `Sec-Fetch-Site`, which no page can forge. Programs send none of the last two.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from typing import TYPE_CHECKING

from matinee.errors import UsageError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from matinee.access.modes import SignIn

ANY_HOST = "*"  # among the names: a proxy stands before the app, or people sign in, so that a name alone opens nothing


def check_reach(mode: SignIn, host: str, *, without_sign_in: bool) -> None:
    """Raise UsageError if the app would be open to others without sign-in, and nobody said so."""
    if mode.is_open and not is_this_machine(host) and not without_sign_in:
        raise UsageError(
            f"Everybody who reaches {host} could use this app: it has no sign-in.",
            hint="Use `matinee dev --lan`, set [auth] mode in matinee.toml, or say --without-sign-in.",
        )


def is_this_machine(host: str) -> bool:
    """Whether an address to listen on, or a name without its port, is this machine's alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def names_of(host: str) -> frozenset[str]:
    """Return the names, beside addresses, of an app that listens on `host`."""
    own = socket.gethostname().lower()
    return frozenset({"localhost"} if is_this_machine(host) else {"localhost", own, f"{own.partition('.')[0]}.local"})


def refusal(headers: Headers, hosts: Collection[str], *, is_page: bool = False) -> str:
    """Return why a request is refused, "" if it is served.

    `hosts` are the names that the app is called by; addresses are always served, for no name leads to them. `is_page`:
    the request asks for a page that changes and exports nothing, so that a link on another site may lead to it.
    """
    named = headers.getlist("host")
    host = named[0].lower() if len(named) == 1 else ""
    if not host or not (ANY_HOST in hosts or _hostname(host) in hosts or _is_address(_hostname(host))):
        return f"This app is not called {host or 'so'}."
    origin = headers.get("origin")
    if origin is not None and not _is_from(origin.lower(), host, hosts):
        return f"Requests of the web page {origin} are not served."
    if is_page or headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return ""
    return "Requests of another site's web page are not served."


def _is_from(origin: str, host: str, hosts: Collection[str]) -> bool:
    """Whether the page is ours, port included: another port of this machine is another program's.

    A proxy may put its own name for the Host; what is named in `hosts` beside this machine is ours too.
    """
    place = origin.partition("://")[2]
    return place == host or (not is_this_machine(_hostname(place)) and _hostname(place) in hosts)


def _hostname(place: str) -> str:
    """Return a host without its port; an IPv6 address without its brackets."""
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.rpartition(":")[0] if ":" in place else place


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
