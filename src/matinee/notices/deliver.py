"""Delivery: beside the dispatcher, by any number of processes at once.

read all notices → is the run finished? → claim a channel by swapping its document → send → note what became of it

Two dispatchers send once. After a crash between sending and noting it, the message is sent again when the claim has
run out: at least once, under the same id.
"""

from __future__ import annotations

import logging
import os
import re
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from functools import partial

from matinee.errors import InputError
from matinee.manifest import Release
from matinee.notices.subscriptions import (
    KEPT_S,
    NOTICE,
    Channel,
    Message,
    Notice,
    NotSentError,
    Sender,
    notice_from_json,
    notice_to_json,
    notices_of,
)
from matinee.notices.webhook import WebhookSender, read_signing_secret
from matinee.ports import Store
from matinee.project.sections import ANYWHERE, Notices
from matinee.retry import backoff_s
from matinee.runs import Run
from matinee.settings import SMTP_PASSWORD

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
        notice = _note_end(store, notice_from_json(data), now)
        if notice is None or not notice.is_done:
            continue
        for name in list(notice.channels):
            if not _is_due(notice, name, now):  # as it is now: another process may have it meanwhile
                continue
            if room == 0:
                return now
            room -= 1
            notice = _send_channel(store, notice, name, now, senders) or notice
        next_at += [c.next_at for c in notice.channels.values() if c.state == "waiting"]
        _remove_settled(store, notice, now)
    return min(next_at, default=None)


def _note_end(store: Store, notice: Notice, now: float) -> Notice | None:
    """Return the notice with the end of its run noted, None if it is gone."""
    if notice.is_done:
        return notice
    run = store.run(notice.run_id)
    if run is None:
        store.swap_document(NOTICE, notice.key, notice_to_json(notice), None)
        return None
    if not run.status.is_final:
        return notice
    ended = replace(notice, status=run.status.value, done_at=run.finished_at or now)
    return ended if _swap(store, notice, ended) else None


def _is_due(notice: Notice, name: str, now: float) -> bool:
    channel = notice.channels.get(name)
    return channel is not None and channel.state == "waiting" and channel.next_at <= now


def _send_channel(store: Store, notice: Notice, name: str, now: float, senders: Mapping[str, Sender]) -> Notice | None:
    """Claim, send and note; None when somebody else has it."""
    channel = notice.channels[name]
    held = replace(channel, tries=channel.tries + 1, first_at=channel.first_at or now, next_at=now + HOLD_S)
    claimed = notice.with_channel(name, held)
    run = store.run(notice.run_id)
    if run is None or not _swap(store, notice, claimed):
        return None
    outcome = _try_to_send(_message(claimed, held, run, now), held, senders.get(name), now)
    return _note(store, claimed, name, held, outcome)


def _message(notice: Notice, channel: Channel, run: Run, now: float) -> Message:
    return Message(notice.id, notice.user, channel.to, run, notice.link, now)


def _try_to_send(message: Message, channel: Channel, sender: Sender | None, now: float) -> Channel:
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


def _note(store: Store, notice: Notice, name: str, held: Channel, outcome: Channel) -> Notice | None:
    """Write what became of the channel; its person may have changed the rest of the document meanwhile."""
    while True:
        noted = notice.with_channel(name, outcome)
        if _swap(store, notice, noted):
            return noted
        data = store.document(NOTICE, notice.key)
        if data is None or notice_from_json(data).channels.get(name) != held:
            return None
        notice = notice_from_json(data)


def _remove_settled(store: Store, notice: Notice, now: float) -> None:
    is_over = notice.is_settled and (notice.seen_at or now - notice.done_at > KEPT_S)
    if is_over:
        store.swap_document(NOTICE, notice.key, notice_to_json(notice), None)


def _swap(store: Store, old: Notice, new: Notice) -> bool:
    return store.swap_document(NOTICE, old.key, notice_to_json(old), notice_to_json(new))


def open_senders(release: Release, store: Store, environ: Mapping[str, str] = os.environ) -> dict[str, Sender]:
    """Return the channels by name: "email" where a mail server is named, "webhook" where it is allowed."""
    settings = notices_of(release)
    senders: dict[str, Sender] = {}
    if settings.smtp_host:
        title = release.title or release.app
        senders["email"] = SmtpSender(settings, environ.get(SMTP_PASSWORD, ""), title)
    if settings.webhooks:
        senders["webhook"] = WebhookSender(partial(read_signing_secret, store), settings)
    return senders


# --- sending e-mail -----------------------------------------------------------------------------------------------

SMTP_TIMEOUT_S = 10.0
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]+\.)*[A-Za-z0-9-]{1,63}")


def check_email(address: str, settings: Notices) -> str:
    """Return the address; InputError for what is none, or one outside the domains that `[notices]` allows."""
    address = address.strip()
    if len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise InputError("email", "is not an e-mail address")
    domains = settings.email_domains or (parseaddr(settings.sender)[1].rpartition("@")[2],)
    allowed = [domain.lower().removeprefix("@") for domain in domains]
    if ANYWHERE not in allowed and address.rpartition("@")[2].lower() not in allowed:
        raise InputError("email", f"must end with @{' or @'.join(allowed)}")
    return address


class SmtpSender:
    """Sends by SMTP. `password` is for `smtp_user`; `title` is the app's."""

    def __init__(self, settings: Notices, password: str, title: str) -> None:
        self._settings = settings
        self._password = password
        self._title = title

    def send(self, message: Message) -> None:
        """Send one message. An address the server refuses for good is final, and so is one of a domain not allowed."""
        try:
            check_email(message.to, self._settings)
        except InputError as error:
            raise NotSentError(f"The address {error.problems[0].message}.", is_final=True) from error
        try:
            with self._connected() as server:
                server.send_message(self._letter(message))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            is_final = all(code >= 500 for code in codes)
            raise NotSentError(f"The mail server does not take {message.to}.", is_final=is_final) from error
        except smtplib.SMTPAuthenticationError as error:
            raise NotSentError("The mail server refuses the user or the password.") from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotSentError(f"The mail server could not be used: {error}.") from error

    def _connected(self) -> smtplib.SMTP:
        settings, context = self._settings, ssl.create_default_context()
        place = (settings.smtp_host, settings.smtp_port)
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(*place, timeout=SMTP_TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(*place, timeout=SMTP_TIMEOUT_S)
        try:
            if settings.smtp_security == "starttls":
                server.starttls(context=context)
            if settings.smtp_user:
                server.login(settings.smtp_user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        name, sender = parseaddr(self._settings.sender)
        letter["From"] = Address(name or self._title, addr_spec=sender)
        letter["To"] = message.to
        letter["Subject"] = f"{self._title}: {message.subject}"
        letter["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
        letter["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(_text(message))
        return letter


def _text(message: Message) -> str:
    """Return the words of the app alone: what a predictor says is shown in the app, to who may see it."""
    lines = [f"{message.subject}."]
    if message.link:
        lines.append(f"\nLook at it: {message.link}")
    lines.append("\nYou asked to be told when this run is finished.")
    return "\n".join(lines) + "\n"
