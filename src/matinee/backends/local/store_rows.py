"""Frozen values to rows and back: columns for what is queried, JSON for the rest."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from matinee.errors import UsageError
from matinee.runs import Entry, Failure, Feedback, Json, Pool, Progress, Run, Slot, Status

Row = tuple[Any, ...]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
decode = json.JSONDecoder().decode

RUN_COLUMNS = "id, predictor, user, status, parent, idempotency_key, rev, inputs, result, body"
ENTRY_COLUMNS = (
    "predictor, run_id, user, turn, visible_at, owner, attempt, "
    "progress_fraction, progress_message, cancel_requested, rev"
)
SLOT_COLUMNS = "predictor, number, token, version, taken_at, handle, renewed_at"

_IN_COLUMNS = {"id", "predictor", "user", "status", "parent", "idempotency_key", "rev", "inputs", "result", "failure"}
_IN_BODY = tuple(f.name for f in fields(Run) if f.name not in _IN_COLUMNS)


def encode(value: Json) -> str:
    """Return JSON text. Raises UsageError for what JSON cannot carry."""
    try:
        return _encode(value)
    except ValueError as error:
        hint = "Use None for a missing number."
        raise UsageError(f"The value cannot be kept as JSON: {error}.", hint=hint) from error


def run_body(run: Run) -> str:
    """Return the JSON of what no query asks for."""
    values = vars(run)
    body = {name: values[name] for name in _IN_BODY}
    body["failure"] = vars(run.failure) if run.failure else None
    return encode(body)


def run_row(run: Run) -> Row:
    """Return RUN_COLUMNS."""
    return (
        run.id,
        run.predictor,
        run.user,
        run.status.value,
        run.parent,
        run.idempotency_key,
        run.rev,
        encode(run.inputs),
        encode(run.result),
        run_body(run),
    )


def run_from(row: Row) -> Run:
    """Read RUN_COLUMNS. What is missing has its default."""
    run_id, predictor, user, status, parent, key, rev, inputs, result, body = row
    rest: dict[str, Json] = decode(body)
    failure = rest.pop("failure")
    return Run(
        id=run_id,
        predictor=predictor,
        user=user,
        status=Status(status),
        parent=parent,
        idempotency_key=key,
        rev=rev,
        inputs=decode(inputs),
        result=decode(result),
        failure=Failure(**failure) if failure else None,
        **rest,
    )


def entry_row(entry: Entry) -> Row:
    """Return ENTRY_COLUMNS."""
    return (
        entry.predictor,
        entry.run_id,
        entry.user,
        entry.turn,
        entry.visible_at,
        entry.owner,
        entry.attempt,
        entry.progress.fraction,
        storable(entry.progress.message),
        entry.cancel_requested,
        entry.rev,
    )


def entry_from(row: Row) -> Entry:
    """Read ENTRY_COLUMNS."""
    predictor, run_id, user, turn, visible_at, owner, attempt, fraction, message, cancel_requested, rev = row
    progress = Progress(fraction, message)
    return Entry(predictor, run_id, user, turn, visible_at, owner, attempt, progress, bool(cancel_requested), rev)


def slot_row(slot: Slot) -> Row:
    """Return SLOT_COLUMNS."""
    return (slot.predictor, slot.number, slot.token, slot.version, slot.taken_at, slot.handle, slot.renewed_at)


def pool_from(predictor: str, rows: list[Row]) -> Pool:
    """Read wake, turn, note and SLOT_COLUMNS: one row per slot, or one with nothing in the slot's columns."""
    wake, turn, note = rows[0][:3]
    slots = tuple(Slot(*row[3:]) for row in rows if row[4] is not None)
    return Pool(predictor, wake or 0, turn or 0, note or "", slots)


def feedback_from(body: str) -> Feedback:
    """Read what `encode(vars(feedback))` wrote."""
    return Feedback(**decode(body))


def storable(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 cannot say: a predictor's message may hold anything."""
    return text.encode("utf-8", "replace").decode()
