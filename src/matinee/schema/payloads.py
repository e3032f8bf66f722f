"""Whole payloads that are too large for where they travel: kept in Files, `{"$payload": key}` in their place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from matinee.errors import NotFoundError

Json = Any

if TYPE_CHECKING:

    class PayloadFiles(Protocol):
        """The part of the port Files that payloads need."""

        def put(self, key: str, data: bytes, *, media_type: str = ...) -> int: ...
        def read(self, key: str) -> bytes: ...


def store_large(files: PayloadFiles, key: str, value: Json, limit_bytes: int) -> Json:
    """Return the value, or the reference to it after putting it under `key`, if its JSON is over `limit_bytes`."""
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(data) <= limit_bytes:
        return value
    files.put(key, data, media_type="application/json")
    return {"$payload": key}


def load(files: PayloadFiles, value: Json) -> Json:
    """Return the value, read from Files if it is a reference; NotFoundError if what is there is gone or damaged."""
    if not (isinstance(value, dict) and isinstance(value.get("$payload"), str) and len(value) == 1):
        return value
    try:
        return json.loads(files.read(value["$payload"]))
    except ValueError as error:
        raise NotFoundError(f"The file {value['$payload']} is damaged: it is no JSON.") from error
