"""Whom a dev reaches: this machine alone, or the network around it, and then never without sign-in."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from matinee.access.modes import check_reach, is_this_machine, make_sign_in
from matinee.access.people import Users, generate_password
from matinee.errors import UsageError
from matinee.project import Auth, Project
from matinee.project.sections import LAN_MODE
from matinee.settings import OWNER_PASSWORD, PASSWORD

EVERYWHERE = "0.0.0.0"  # noqa: S104 - only ever with sign-in
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Reach:
    """Where the UI listens, who may come in, and the passwords made for this one process."""

    host: str
    auth: Auth
    without_sign_in: bool = False
    made: Mapping[str, str] = field(default_factory=dict, repr=False)  # variable → password

    @property
    def own_host(self) -> str:
        """The address under which this machine reaches it."""
        return LOCAL if self.host in (EVERYWHERE, "::", "") else self.host

    @property
    def is_wide(self) -> bool:
        """Whether other machines reach it."""
        return not is_this_machine(self.host)

    def of(self, project: Project) -> Project:
        """Return the app with the sign-in of this process."""
        return replace(project, auth=self.auth)


def reach_of(
    auth: Auth, environ: Mapping[str, str], *, host: str, lan: bool = False, without_sign_in: bool = False
) -> Reach:
    """Return whom the app reaches. UsageError if others could use it unasked, or what sign-in needs is not there.

    `lan`: the whole network, with passwords made for this process where the app has no sign-in of its own.
    """
    if lan and without_sign_in:
        raise UsageError("--lan and --without-sign-in exclude each other.", hint="Leave one of them out.")
    made: dict[str, str] = {}
    if lan:
        host = EVERYWHERE if is_this_machine(host) else host
        if auth.sign_in_mode.is_open:
            auth = replace(auth, mode=LAN_MODE)
            made = {name: generate_password() for name in (PASSWORD, OWNER_PASSWORD) if not environ.get(name)}
    mode = make_sign_in(auth, {**environ, **made}, _no_users)
    mode.check_start()
    check_reach(mode, host, without_sign_in=without_sign_in)
    return Reach(host, auth, without_sign_in, made)


def _no_users() -> Users:
    raise UsageError("Nobody signs in before the app is open.", hint="Start it first.")


def network_address() -> str:
    """Return this machine's address in its network, "" if it has none. Nothing is sent: only a route is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: RFC 5737
            address = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if is_this_machine(address) or address == EVERYWHERE else address


def qr_code(address: str) -> str:
    """Return a QR code of the address, drawn with half blocks, two rows to a line."""
    import segno

    rows = [list(row) for row in segno.make(address, error="l").matrix_iter(border=2)]
    rows += [[0] * len(rows[0])] if len(rows) % 2 else []
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(_BLOCKS[(top, low)] for top, low in zip(*pair, strict=True)) for pair in pairs)


_BLOCKS = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # light modules are drawn: terminals are dark
