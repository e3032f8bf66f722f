"""What each role really asks for, kept while it happens: a sample of every kind of call, to be asked again.

Asked again with a statement missing, one of a role's calls must be refused, or nothing here needed that statement.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

from matinee.ops.rehearse.front import Call
from matinee.ops.rehearse.wire import Reply

Json = Any
_PER_KIND = 3


class Recorder:
    """A `Player` that answers nothing: it stands first and remembers calls by role and kind."""

    def __init__(self, role_of: Any) -> None:
        self._role_of = role_of
        self._calls: dict[str, dict[str, list[Call]]] = defaultdict(lambda: defaultdict(list))
        self._lock = threading.Lock()

    def wants(self, call: Call) -> bool:
        """See `Player`."""
        return bool(self._role_of(call.key))

    def play(self, call: Call) -> Reply | None:
        """See `Player`."""
        with self._lock:
            known = self._calls[self._role_of(call.key)][kind_of(call)]
            if len(known) < _PER_KIND:
                known.append(call)
        return None

    def roles(self) -> list[str]:
        """Return the ARNs of the roles that asked for something."""
        return sorted(self._calls)

    def kinds(self, role: str) -> list[str]:
        """Return what a role asked for, in words."""
        return sorted(self._calls[role])

    def calls(self, role: str) -> list[Call]:
        """Return a role's samples."""
        return [call for calls in self._calls[role].values() for call in calls]


def kind_of(call: Call) -> str:
    """Return the kind of a call: operation, and roughly on what."""
    parts = urlsplit(call.head.target)
    if call.operation:
        return f"{call.service} {call.operation} {_about(call)}"
    where = "/".join(parts.path.split("/")[:3]) if call.service == "s3" else parts.path
    return f"{call.service} {call.head.method} {where}{'?list' if 'list-type' in parts.query else ''}"


def _about(call: Call) -> str:
    body = json.loads(call.body or b"{}")
    if call.service == "dynamodb":
        key = (body.get("Key") or body.get("Item") or {}).get("pk", {}).get("S", "")
        return f"{key.partition('#')[0]}{body.get('IndexName', '')}"
    return ""
