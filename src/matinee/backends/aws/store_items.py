from __future__ import annotations

import math
import struct
from typing import Any

from matinee import store_format
from matinee.backends.aws.store_table import (
    Item,
    Table,
    Write,
    entry_key,
    key_of,
    n,
    plain,
    pool_key,
    run_key,
    s,
    slot_key,
)
from matinee.runs import Entry, Feedback, Pool, Progress, Run, Slot, Status
from matinee.store_format import all_readable, decode, encode, run_body


def woken(table: Table, predictor: str, times: int = 1) -> Write:
    """Return the part of a transaction that wakes a pool."""
    return table.updating(pool_key(predictor), "ADD #wake :times", {":times": n(times)})


# --- conversion to DynamoDB items -------------------------------------------------------------------------------------
# Frozen values to items and back: attributes for what is compared or looked for, JSON text for the rest.
#
# JSON text keeps every number exactly as Python wrote it, whatever DynamoDB's own numbers can hold.

_APART = frozenset({"id", "status", "rev", "inputs", "result"})  # attributes of their own


def run_changes(run: Run) -> Item:
    """Return the attributes that a change of a run writes; what has its default is left out, since bytes are billed."""
    changes = {"run_status": s(run.status.value), "rev": n(run.rev), "body": s(run_body(run, _APART))}
    return changes | ({} if run.result is None else {"result": s(encode(run.result))})


def run_item(run: Run, turn: int | None = None) -> Item:
    """Return the item of a new run; `turn` of its queue entry if it has one."""
    kind, user = "N" if run.parent else "U", plain(run.user)
    item: Item = {
        **run_key(run.id),
        **run_changes(run),
        "id": s(run.id),
        "predictor": s(run.predictor),
        "inputs": s(encode(run.inputs)),
        "list_user": s(f"{kind}#{user}"),
        "list_predictor": s(f"{'N' if run.parent else 'P'}#{run.predictor}"),
    }
    if turn is not None:
        item |= {"turn": n(turn), "open_user": s(f"U#{user}")}
    return item


def run_from(item: Item) -> Run:
    """Read the run. Raises what `store_format.readable` expects."""
    return store_format.run_from(
        item["body"]["S"],
        id=item["id"]["S"],
        status=Status(item["run_status"]["S"]),
        rev=int(item["rev"]["N"]),
        inputs=decode(item["inputs"]["S"]),
        result=decode(item["result"]["S"]) if "result" in item else None,
    )


def name_of(item: Item) -> str:
    """Return what an item is called in the log: its key."""
    return f"The item {item['pk']['S']} {item['sk']['S']}"


def entry_changes(entry: Entry) -> Item:
    """Return the attributes that a change of an entry writes."""
    return {
        "visible_at": n(entry.visible_at),
        "owner": s(entry.owner),
        "attempt": n(entry.attempt),
        "progress": s(progress_text(entry.progress)),
        "cancel_requested": {"BOOL": entry.cancel_requested},
        "rev": n(entry.rev),
    }


def entry_item(entry: Entry) -> Item:
    """Return the item of an entry where it now belongs."""
    return {**key_of(entry), "user": s(plain(entry.user)), **entry_changes(entry)}


def entry_from(item: Item) -> Entry:
    """Read the entry: predictor, turn and run id are in its key."""
    _, turn, run_id = item["sk"]["S"].split("#", 2)
    fraction, message = decode(item["progress"]["S"])
    return Entry(
        predictor=item["pk"]["S"].partition("#")[2],
        run_id=run_id,
        user=item["user"]["S"],
        fair_share_rank=int(turn),
        visible_at=float(item["visible_at"]["N"]),
        owner=item["owner"]["S"],
        attempt=int(item["attempt"]["N"]),
        progress=Progress(fraction, message),
        cancel_requested=item["cancel_requested"]["BOOL"],
        rev=int(item["rev"]["N"]),
    )


def new_entry(run: Run, turn: int) -> Item:
    """Return the item of a run's first entry: visible since ever, so due whatever the clock of who looks says."""
    return entry_item(Entry(run.predictor, run.id, run.user, turn, visible_at=0.0))


def progress_text(progress: Progress) -> str:
    """Return progress as text; a fraction that is no number is unknown."""
    fraction = progress.fraction
    known = fraction is not None and math.isfinite(fraction)
    return encode([fraction if known else None, plain(progress.message)])


def place(entry: Entry) -> tuple[int, bool]:
    """Return what finds an entry again: its turn, and whether it was ever claimed."""
    return entry.fair_share_rank, entry.attempt > 0


def entry_key_of(run: Run, turn: int) -> dict[str, dict[str, str]]:
    """Return where the entry of a run as read is: claiming moves both."""
    return entry_key(run.predictor, run.id, turn, claimed=run.attempt > 0)


def slot_item(slot: Slot) -> Item:
    """Return the item of a taken slot."""
    rest = {"version": s(plain(slot.version)), "handle": s(plain(slot.handle))}
    times = {"taken_at": n(slot.taken_at), "renewed_at": n(slot.renewed_at)}
    return {**slot_key(slot.predictor, slot.number), "token": s(slot.token), **rest, **times}


def pool_from(predictor: str, items: list[Item]) -> Pool:
    """Read the items of a pool's partition."""
    taken = [item for item in items if item["sk"]["S"].startswith("SLOT#")]
    slots = tuple(all_readable(lambda item: _slot_from(predictor, item), taken, name_of))
    head: dict[str, Any] = next((item for item in items if item["sk"]["S"] == "POOL"), {})
    wake, turn = (int(head.get(name, {}).get("N", 0)) for name in ("wake", "turn"))
    return Pool(predictor, wake, turn, head.get("note", {}).get("S", ""), slots)


def _slot_from(predictor: str, item: Item) -> Slot:
    return Slot(
        predictor=predictor,
        number=int(item["sk"]["S"].partition("#")[2]),
        token=item["token"]["S"],
        version=item["version"]["S"],
        taken_at=float(item["taken_at"]["N"]),
        handle=item["handle"]["S"],
        renewed_at=float(item["renewed_at"]["N"]),
    )


def feedback_from(item: Item) -> Feedback:
    """Read what `encode(vars(feedback))` wrote. Raises what `store_format.readable` expects."""
    return store_format.feedback_from(item["body"]["S"])


def feedback_id(feedback_or_time: Feedback | float) -> str:
    """Return text that sorts by when the feedback was given; of a time, the smallest that feedback of then can have.

    The bytes of a double that is not negative sort as it does.
    """
    if isinstance(feedback_or_time, Feedback):
        return f"{_sortable(feedback_or_time.updated_at)}#{feedback_or_time.run_id}#{plain(feedback_or_time.user)}"
    return _sortable(feedback_or_time)


def _sortable(at: float) -> str:
    return struct.pack(">d", max(0.0, at)).hex()
