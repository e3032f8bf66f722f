"""Frozen values to rows and back: columns for what is queried, JSON for the rest."""

from __future__ import annotations

from typing import Any

from matinee import store_format
from matinee.runs import Entry, Feedback, Pool, Progress, Run, Slot, Status
from matinee.store_format import check_bytes, decode, encode, run_body

Row = tuple[Any, ...]

RUN_COLUMNS = "id, predictor, user, status, parent, idempotency_key, rev, inputs, result, body"
ENTRY_COLUMNS = (
    "predictor, run_id, user, turn, visible_at, owner, attempt, "
    "progress_fraction, progress_message, cancel_requested, rev"
)
_ITEM_BYTES = 512  # more than DynamoDB counts of an item beside its values: names and keys
SLOT_COLUMNS = "predictor, number, token, version, taken_at, handle, renewed_at"
FEEDBACK_COLUMNS = "run_id, user, updated_at, body"
_APART = frozenset(RUN_COLUMNS.split(", "))


def body_of(run: Run) -> str:
    """Return the JSON of what no query asks for."""
    return run_body(run, _APART)


def run_row(run: Run) -> Row:
    """Return RUN_COLUMNS. Raises LimitError for a run that is larger than every store takes."""
    row = (
        run.id,
        run.predictor,
        run.user,
        run.status.value,
        run.parent,
        run.idempotency_key,
        run.rev,
        encode(run.inputs),
        encode(run.result),
        body_of(run),
    )
    check_bytes(bytes_of(*row) + _ITEM_BYTES, f"Run {run.id}")
    return row


def run_from(row: Row) -> Run:
    """Read RUN_COLUMNS. Raises what `store_format.readable` expects."""
    run_id, predictor, user, status, parent, key, rev, inputs, result, body = row
    return store_format.run_from(
        body,
        id=run_id,
        predictor=predictor,
        user=user,
        status=Status(status),
        parent=parent,
        idempotency_key=key,
        rev=rev,
        inputs=decode(inputs),
        result=decode(result),
    )


def name_of(row: Row) -> str:
    """Return what a row of RUN_COLUMNS is called in the log."""
    return f"Run {row[0]}"


def feedback_row(feedback: Feedback) -> Row:
    """Return FEEDBACK_COLUMNS. Raises LimitError for what is larger than every store takes."""
    row = (feedback.run_id, feedback.user, feedback.updated_at, encode(vars(feedback)))
    check_bytes(bytes_of(*row) + _ITEM_BYTES, "The feedback")
    return row


def bytes_of(*values: Any) -> int:
    """Return how many bytes the texts among the values have."""
    return sum(len(value.encode("utf-8", "replace")) for value in values if isinstance(value, str))


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


def storable(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 cannot say: a predictor's message may hold anything."""
    return text.encode("utf-8", "replace").decode()
