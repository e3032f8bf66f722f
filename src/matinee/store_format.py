"""What is the same in every store: the number of the format, values as JSON text, limits, rows that cannot be read.

FORMAT grows when an older Matinee could not read what this one writes; a store that is older is migrated, with a copy
beside it, one that is newer is refused. A new field of `Run` is no new format: what is missing has its default, and
what is unknown is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from matinee.dataclass_json import from_json, to_json
from matinee.errors import BackendError, LimitError, UsageError
from matinee.runs import Feedback, Json, Run

FORMAT = 2  # 1: the first one. 2: a body leaves out what has its default; the time of a feedback is a column in SQLite
LARGEST_BYTES = 400 * 1024  # of one value or item: DynamoDB's limit, and therefore also the laptop's
LONGEST_KEY_BYTES = 2048 - len("STATE#")  # of a value's key, as DynamoDB has it
UPDATE = "Update Matinee: pip install -U matinee."

T = TypeVar("T")
V = TypeVar("V")
reported_damage: set[str] = set()  # what the log already says: lists are read again and again
_MOST_REPORTED = 10_000

decode = json.JSONDecoder().decode
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_escaped = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_DEFAULTS = {f.name: f.default for f in fields(Run)}


def encode(value: Json) -> str:
    """Return JSON text that UTF-8 can say. Raises UsageError for what JSON cannot carry."""
    try:
        text = _compact(value)
    except (ValueError, TypeError) as error:
        hint = "Use None for a missing number." if "float values" in str(error) else ""
        raise UsageError(f"The value cannot be kept as JSON: {error}.", hint=hint) from error
    return text if _is_unicode(text) else _escaped(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_bytes(size: int, what: str) -> None:
    """Raise LimitError for a value or item that is larger than every store takes."""
    if size > LARGEST_BYTES:
        raise LimitError(
            f"{what} has {size / 1024:.0f} KB; at most {LARGEST_BYTES // 1024} KB can be kept.",
            hint="Keep large values in files.",
        )


def check_key(key: str, what: str) -> None:
    """Raise LimitError for a key that is longer than every store takes."""
    if len(key.encode()) > LONGEST_KEY_BYTES:
        raise LimitError(f"The key of {what[:60]}… is longer than {LONGEST_KEY_BYTES} bytes.", hint="Shorten it.")


def check_format(found: int, where: str) -> None:
    """Raise BackendError for a store that a newer Matinee has written."""
    if found > FORMAT:
        raise BackendError(newer(found, where), hint=UPDATE)


def newer(found: int, where: str) -> str:
    """Return the sentence that refuses a newer format."""
    return f"{where} was written by a newer Matinee (format {found}, this one reads {FORMAT})."


# --- runs and feedback ------------------------------------------------------------------------------------------


def run_body(run: Run, apart: Collection[str]) -> str:
    """Return the JSON text of the fields that are not kept `apart`; what has its default is left out."""
    values = vars(run)
    body = {
        name: values[name]
        for name, default in _DEFAULTS.items()
        if name not in apart and (default is MISSING or values[name] != default)
    }
    if run.failure:
        body["failure"] = to_json(run.failure)
    return encode(body)


def run_from(body: str, **apart: Any) -> Run:
    """Return the run of a body and of the fields kept apart. Raises what `readable` expects."""
    return from_json(Run, {name: value for name, value in decode(body).items() if name not in apart}, **apart)


def feedback_from(body: str) -> Feedback:
    """Return what `encode(vars(feedback))` wrote. Raises what `readable` expects."""
    return from_json(Feedback, decode(body))


# --- rows that cannot be read -----------------------------------------------------------------------------------


def readable(read: Callable[[T], V], item: T, name: str) -> V | None:
    """Return what `read` makes of an item; None for one that is damaged, which the log names once."""
    try:
        return read(item)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        if name not in reported_damage and len(reported_damage) < _MOST_REPORTED:
            import logging  # rarely needed, and a worker starts in milliseconds

            reported_damage.add(name)
            logging.getLogger(__name__).warning(
                "%s cannot be read and is left out: %s: %s", name, type(error).__name__, error
            )
        return None


def all_readable(read: Callable[[T], V], items: Iterable[T], name: Callable[[T], str]) -> list[V]:
    """Return what `read` makes of the items: one that is damaged hides itself, not the others."""
    found = (readable(read, item, name(item)) for item in items)
    return [value for value in found if value is not None]
