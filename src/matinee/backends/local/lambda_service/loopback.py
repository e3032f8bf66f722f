"""Who may speak to the service: programs of this machine, not a web page that somebody has open here.

A page can make a browser send requests to 127.0.0.1, and by DNS rebinding under a name of its own. Both show in the
`Host`, `Origin` and `Sec-Fetch-Site` headers, which a page cannot forge.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from matinee.backends.local.lambda_service.http import Request

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def refusal(request: Request) -> str:
    """Return why the request is refused, "" if it is served."""
    host = request.header(b"host")
    if host.rpartition(":")[0] not in _LOOPBACK and urlsplit(f"//{host}").hostname not in _LOOPBACK:
        return f"Only loopback is served, not the host {host!r}."
    origin = request.header(b"origin")
    if origin and urlsplit(origin).hostname not in _LOOPBACK:
        return f"Requests of the web page {origin!r} are not served."
    if request.header(b"sec-fetch-site") == "cross-site":
        return "Requests of another site's web page are not served."
    return ""
