"""E-mail by the mail server that `[notices]` names."""

from __future__ import annotations

import re
import smtplib
import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from matinee.errors import InputError
from matinee.notices.sender import Message, NotSentError
from matinee.project import Notices

TIMEOUT_S = 10.0
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]+\.)*[A-Za-z0-9-]{1,63}")


def check_address(address: str, domains: tuple[str, ...] = ()) -> str:
    """Return the address; InputError for what is none, or one outside `domains` (() = anywhere)."""
    address = address.strip()
    if len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise InputError("email", "is not an e-mail address")
    domain = address.rpartition("@")[2].lower()
    if domains and domain not in {known.lower().removeprefix("@") for known in domains}:
        raise InputError("email", f"must end with @{' or @'.join(known.removeprefix('@') for known in domains)}")
    return address


class SmtpSender:
    """Sends by SMTP. `password` is for `smtp_user`; `title` is the app's."""

    def __init__(self, settings: Notices, password: str, title: str) -> None:
        self._settings = settings
        self._password = password
        self._title = title

    def send(self, message: Message) -> None:
        """See `Sender`. An address the server refuses for good is final."""
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
            server: smtplib.SMTP = smtplib.SMTP_SSL(*place, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(*place, timeout=TIMEOUT_S)
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
    failure = message.run.failure
    lines = [f"{message.subject}."]
    if message.run.status == "failed" and failure:
        lines.append(failure.message)
    if message.link:
        lines.append(f"\nLook at it: {message.link}")
    lines.append("\nYou asked to be told when this run is finished.")
    return "\n".join(lines) + "\n"
