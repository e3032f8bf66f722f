"""Where `connect()` is called inside a process that already serves the app: a custom page gets who looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matinee.client.verbs import Verbs

_give: Callable[[], Verbs] | None = None


def provide(give: Callable[[], Verbs] | None) -> None:
    """Have `connect()` return an App on the client that `give` returns, each time it is called; None ends it."""
    global _give
    _give = give


def provided() -> Verbs | None:
    """Return the client for whoever is served now, None outside such a process."""
    return _give() if _give else None
