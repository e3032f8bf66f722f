"""Tell me when it is done: what one person asked for, and what is finished and not yet seen by them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace

from matinee.client.core import Client
from matinee.errors import ConflictError, InputError, RateError
from matinee.notices.deliver import check_email
from matinee.notices.subscriptions import (
    NOTICE,
    Channel,
    Notice,
    notice_from_json,
    notice_key,
    notice_to_json,
    notices_of,
)
from matinee.notices.webhook import check_url, read_signing_secret
from matinee.runs import Json, Run

MOST_WAITING = 100  # per person


def tell(client: Client, run_id: str, *, email: str = "", webhook: str = "") -> Notice:
    """Have this client's person told when the run is done: by the badge, and by e-mail and webhook where given.

    Messages link to the run's page below `[notices] url`; without that they have no link. Asking again replaces what
    was asked. Raises InputError (fields "email", "webhook"), ConflictError for a finished run, RateError for too many.
    """
    run = client.run(run_id)
    if run.status.is_final:
        raise ConflictError(f"Run {run.id} is finished.", hint="There is nothing to wait for.")
    channels = _channels(client, email, webhook)
    store = client.backend.store
    documents = store.documents(NOTICE)
    _check_room(documents, client.user, notice_key(run.id, client.user))
    url = notices_of(client.release()).url
    notice = Notice(
        run.id,
        client.user,
        id=f"notice-{secrets.token_hex(16)}",
        predictor=run.predictor,
        created_at=client.clock(),
        link=f"{url}/run?id={run.id}" if url else "",
        channels=channels,
    )
    store.put_document(NOTICE, notice.key, notice_to_json(notice))
    return notice


def _channels(client: Client, email: str, webhook: str) -> dict[str, Channel]:
    settings = notices_of(client.release())
    channels = {}
    if email:
        if not settings.smtp_host:
            raise InputError("email", "is not set up in this app")
        channels["email"] = Channel(check_email(email, settings))
    if webhook:
        if not settings.webhooks:
            raise InputError("webhook", "is not set up in this app")
        check_url(webhook, settings)
        channels["webhook"] = Channel(webhook.strip())
    return channels


def _check_room(documents: Mapping[str, Json], user: str, key: str) -> None:
    mine = sum(data["user"] == user and not data["status"] and other != key for other, data in documents.items())
    if mine >= MOST_WAITING:
        raise RateError(f"You wait for {mine} runs already.", hint="Wait until some of them are finished.")


def stop_telling(client: Client, run_id: str) -> None:
    """Take it back; nothing happens if nothing was asked."""
    client.backend.store.put_document(NOTICE, notice_key(run_id, client.user), None)


def asked(client: Client, run_id: str) -> Notice | None:
    """Return what this person asked for about the run."""
    data = client.backend.store.document(NOTICE, notice_key(run_id, client.user))
    return notice_from_json(data) if data else None


def notices_of_people(client: Client) -> dict[str, tuple[Notice, ...]]:
    """Return everybody's notices by person, for a process that shows badges to many: one read serves all."""
    people: dict[str, list[Notice]] = {}
    for data in client.backend.store.documents(NOTICE).values():
        notice = notice_from_json(data)
        people.setdefault(notice.user, []).append(notice)
    return {user: tuple(notices) for user, notices in people.items()}


def saw(client: Client, run: Run) -> None:
    """Take a finished run off this person's badge: they look at it."""
    notice = asked(client, run.id)
    if notice is None or notice.seen_at or not run.status.is_final:
        return
    done = replace(notice, status=run.status.value, done_at=notice.done_at or run.finished_at or client.clock())
    seen = replace(done, seen_at=client.clock())
    store = client.backend.store
    store.swap_document(NOTICE, notice.key, notice_to_json(notice), None if seen.is_settled else notice_to_json(seen))


def signing_secret(client: Client) -> str:
    """Return the secret that signs this person's webhooks."""
    return read_signing_secret(client.backend.store, client.user)
