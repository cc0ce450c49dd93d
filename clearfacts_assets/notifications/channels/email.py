"""Alerts as mails in plain text, over the SMTP server that statements leave by."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, localtime, make_msgid
from typing import Any

from clearfacts_assets.notifications.email import ADDRESS, SmtpClient, SmtpServer
from clearfacts_assets.notifications.outbox import NotTold, Send
from clearfacts_assets.notifications.plain_text import body_of, title_of
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.settings import Settings

STEP_SECONDS = 10.0  # most for each step of handing over one alert: all together stay below the outbox's claim
SENDER_NAME = "clearfacts_assets"


def opened(configured: Settings) -> Send | None:
    """None where no alert goes by e-mail, or there is no server."""
    said = configured.email
    if not (said.host and configured.alerts.by_email):
        return None
    password, step = said.password.get_secret_value(), min(said.deadline, STEP_SECONDS)
    server = SmtpServer(said.host, said.port, said.security, said.username, password, step, configured.network.ca_file)

    def send(where: str, message: Mapping[str, Any]) -> None:
        if not ADDRESS.fullmatch(where):
            raise NotTold(f"{where!r} is no address: see alerts.routes", outcome=OutcomeKind.REFUSED)
        with SmtpClient(server) as smtp:
            done = smtp.hand_over(said.sender, where, (), _mail(said.sender, where, message))
        if done.outcome is not OutcomeKind.ACCEPTED:
            # A server or a login at fault would meet the next mail too, whatever it said to this one.
            kind = OutcomeKind.NOT_SENT if done.server else done.outcome
            raise NotTold(f"{said.host}:{said.port} did not take the mail to {where}: {done.answer}", outcome=kind)

    return send


def _mail(sender: str, recipient: str, message: Mapping[str, Any]) -> bytes:
    mail = EmailMessage(SMTP)
    mail["From"], mail["To"] = formataddr((SENDER_NAME, sender)), recipient
    mail["Subject"] = title_of(message)
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    mail.set_content(body_of(message) + "\n")
    return mail.as_bytes()
