"""Delivery: beside the dispatcher, by any number of processes at once.

read all notices → is the run finished? → claim a channel by swapping its document → send → note what became of it

Two dispatchers send once. After a crash between sending and noting it, the message is sent again when the claim has
run out: at least once, under the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from matinee.notices.sender import Message, NotSentError, Sender
from matinee.notices.subscription import KEPT_S, NOTICE, Channel, Notice, from_json, to_json
from matinee.ports import Store
from matinee.retry import backoff_s
from matinee.runs import Run

HOLD_S = 600.0  # how long a claim lasts: longer than MOST messages take
MOST = 20  # messages sent in one look
FIRST_RETRY_S, LONGEST_RETRY_S = 30.0, 3600.0
GIVE_UP_S = 86400.0

log = logging.getLogger(__name__)


def deliver(store: Store, now: float, senders: Mapping[str, Sender]) -> float | None:
    """Tell everybody who is to be told by `now`; return when to look next, None if only the end of a run calls for it.

    Idempotent: what is sent, given up or being sent by another process is left alone.
    """
    next_at: list[float] = []
    room = MOST
    for data in store.documents(NOTICE).values():
        notice = _ended(store, from_json(data), now)
        if notice is None or not notice.is_done:
            continue
        for name in _due(notice, now):
            if room == 0:
                return now
            room -= 1
            notice = _tell(store, notice, name, now, senders) or notice
        next_at += [c.next_at for c in notice.channels.values() if c.state == "waiting"]
        _tidy(store, notice, now)
    return min(next_at, default=None)


def _ended(store: Store, notice: Notice, now: float) -> Notice | None:
    """Return the notice with the end of its run noted, None if it is gone."""
    if notice.is_done:
        return notice
    run = store.run(notice.run_id)
    if run is None:
        store.swap_document(NOTICE, notice.key, to_json(notice), None)
        return None
    if not run.status.is_final:
        return notice
    ended = replace(notice, status=run.status.value, done_at=run.finished_at or now)
    return ended if _swap(store, notice, ended) else None


def _due(notice: Notice, now: float) -> list[str]:
    return [name for name, c in notice.channels.items() if c.state == "waiting" and c.next_at <= now]


def _tell(store: Store, notice: Notice, name: str, now: float, senders: Mapping[str, Sender]) -> Notice | None:
    """Claim, send and note; None when somebody else has it."""
    channel = notice.channels[name]
    held = replace(channel, tries=channel.tries + 1, first_at=channel.first_at or now, next_at=now + HOLD_S)
    claimed = notice.with_channel(name, held)
    run = store.run(notice.run_id)
    if run is None or not _swap(store, notice, claimed):
        return None
    became = _sent(_message(claimed, held, run, now), held, senders.get(name), now)
    return _note(store, claimed, name, held, became)


def _message(notice: Notice, channel: Channel, run: Run, now: float) -> Message:
    return Message(notice.id, notice.user, channel.to, run, notice.link, now)


def _sent(message: Message, channel: Channel, sender: Sender | None, now: float) -> Channel:
    try:
        if sender is None:
            raise NotSentError("This way of telling is not set up any more.", is_final=True)
        sender.send(message)
    except NotSentError as error:
        log.info("The notice %s could not be sent: %s", message.id, error.message)
        wait_s = backoff_s(channel.tries, base_s=FIRST_RETRY_S, cap_s=LONGEST_RETRY_S)
        if error.is_final or now + wait_s - channel.first_at > GIVE_UP_S:
            return replace(channel, state="given_up", why=error.message)
        return replace(channel, next_at=now + wait_s, why=error.message)
    return replace(channel, state="sent", why="")


def _note(store: Store, notice: Notice, name: str, held: Channel, became: Channel) -> Notice | None:
    """Write what became of the channel; its person may have changed the rest of the document meanwhile."""
    while True:
        noted = notice.with_channel(name, became)
        if _swap(store, notice, noted):
            return noted
        data = store.document(NOTICE, notice.key)
        if data is None or from_json(data).channels.get(name) != held:
            return None
        notice = from_json(data)


def _tidy(store: Store, notice: Notice, now: float) -> None:
    is_over = notice.is_settled and (notice.seen_at or now - notice.done_at > KEPT_S)
    if is_over:
        store.swap_document(NOTICE, notice.key, to_json(notice), None)


def _swap(store: Store, old: Notice, new: Notice) -> bool:
    return store.swap_document(NOTICE, old.key, to_json(old), to_json(new))
