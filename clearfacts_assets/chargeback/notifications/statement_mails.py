"""Mails with statements, made and handed over as the settings say: what commands and API have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent, MailState
from clearfacts_assets.chargeback.statements.mailing import Letterhead, MailedStatement, OutgoingMail, subject_line
from clearfacts_assets.chargeback.statements.sending import send_due
from clearfacts_assets.notifications.email import ADDRESS, SmtpClient, SmtpServer
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.chargeback.issuing.mail_rows import Mail, MailOptions
from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

NO_HOST = "email.host is not set: the mails wait"
Clock = Callable[[], datetime]


class NoMailOfOurs(ChargebackError):
    """A message that is no bounce, or is about no mail of ours."""


def problem_of(address: str) -> str:
    """Why nothing can be sent to the address; empty where it can."""
    if not address:
        return "there is no address: clearfacts chargeback emails resend ID --to ADDRESS"
    if not ADDRESS.fullmatch(address) or ".." in address:
        return "the address is none: clearfacts chargeback emails resend ID --to ADDRESS"
    return ""


def mail_options_of(configured: Settings) -> MailOptions:
    """How mails are made of statements."""
    domain = configured.email.sender.rpartition("@")[2] or "localhost"
    return MailOptions(
        domain,
        problem_of,
        partial(subject_of, configured),
        configured.email.copies,
        configured.statements.send_zero,
        bool(configured.email.test_recipient),
    )


def subject_of(configured: Settings, period: str, statements: Sequence[MailedStatement]) -> str:
    """The subject of a mail with these statements."""
    return subject_line(configured.email.subject, period, configured.statements.organisation, statements)


def server_of(configured: Settings) -> SmtpServer:
    """Where mails are handed over."""
    said = configured.email
    password = said.password.get_secret_value()
    return SmtpServer(
        said.host, said.port, said.security, said.username, password, said.deadline, configured.network.ca_file
    )


def outgoing_mails_of(configured: Settings, box: MailBox) -> Callable[[int], OutgoingMail]:
    """The mail that goes out for a row of the outbox, with its PDFs read."""

    def outgoing_of(id_: int) -> OutgoingMail:
        mail = box.mail(id_)
        return outgoing_mail(configured, mail, box.statements(mail.statement_ids))

    return outgoing_of


def outgoing_mail(configured: Settings, mail: Mail, statements: Sequence[MailedStatement]) -> OutgoingMail:
    """A mail, before it is bytes; with links in place of PDFs where those are too large."""
    size = sum(len(one.pdf) for one in statements)
    links = {}
    if size > configured.email.attachment_bytes:
        links = {
            one.number: configured.email.link.format(address=configured.public_address, number=one.number)
            for one in statements
        }
    test = configured.email.test_recipient if mail.test else ""
    return OutgoingMail(
        head=_letterhead(configured),
        message_id=mail.message_id,
        at=mail.created_at,
        recipient=test or mail.recipient,
        name=mail.name,
        copies=() if test else mail.copies,
        subject=f"[Test] {mail.subject}" if test else mail.subject,
        period=mail.period,
        statements=statements,
        links=links,
        instead_of=mail.recipient if test else "",
    )


def _letterhead(configured: Settings) -> Letterhead:
    email, statements = configured.email, configured.statements
    return Letterhead(
        sender=email.sender or "statements@localhost",
        sender_name=email.sender_name or statements.organisation,
        organisation=statements.organisation,
        reply_to=email.reply_to,
        contact=statements.contact,
        accent=statements.accent,
        templates=statements.templates,
    )


def previews(engine: Engine, configured: Settings, period: str, now: datetime) -> Iterator[tuple[str, OutgoingMail]]:
    """Whom each mail that would be sent is for, and the mail. Nothing is sent, and nothing is marked."""
    box, options = MailBox(engine), mail_options_of(configured)
    names = box.names()
    for number, (email, rows) in enumerate(box.would_send(period, options).items(), start=1):
        statements = box.statements([one["id"] for one in rows])
        subject, message_id = subject_of(configured, period, statements), f"<preview-{number}@localhost>"
        mail = Mail(
            0, period, email, names.get(email, ""), options.copies, subject, message_id, False, MailState.READY, 0,
            now, (),
        )  # fmt: skip
        yield email, outgoing_mail(configured, mail, statements)


def enqueue_and_send(
    engine: Engine, configured: Settings, period: str, *, actor: str, clock: Clock, dry_run: bool = False
) -> dict[str, Any]:
    """Want a mail for all that stands and was never in one; send what is due. Says what came of it."""
    box, options = MailBox(engine), mail_options_of(configured)
    if dry_run:
        would = box.would_send(period, options)
        return {"would_send": {email: [one["number"] for one in those] for email, those in would.items()}}
    wanted = box.want(period, options, actor=actor, now=clock())
    if not configured.email.host:
        return {"wanted": len(wanted), "stopped": NO_HOST}
    return {"wanted": len(wanted), **send(engine, configured, period, clock=clock)}


def send(engine: Engine, configured: Settings, period: str | None, *, clock: Clock) -> dict[str, Any]:
    """Send what is due."""
    said, box = configured.email, MailBox(engine)
    with SmtpClient(server_of(configured)) as smtp:
        found = send_due(
            box,
            smtp,
            outgoing_mails_of(configured, box),
            clock,
            attempts=said.attempts,
            test_recipient=said.test_recipient,
            period=period,
        )
    return found.as_result()


def resend(
    engine: Engine, configured: Settings, id_: int, *, wish: str | None, actor: str, clock: Clock, to: str | None
) -> dict[str, Any]:
    """The same statements once more, knowingly, as another mail; the same wish makes one. Raises NoSuchMail,
    MailNotAllowed."""
    new = MailBox(engine).resend(
        id_,
        wish=f"resend {wish or uuid4().hex}"[:64],
        actor=actor,
        now=clock(),
        recipient=to,
        options=mail_options_of(configured),
    )
    found = send(engine, configured, None, clock=clock) if configured.email.host else {"stopped": NO_HOST}
    return {"id": new, "repeats": id_, **found}


def take_bounce(engine: Engine, content: bytes, *, actor: str, now: datetime) -> int:
    """Record what a mail server sent back; returns the mail that it is about. Raises NoMailOfOurs, MailNotAllowed."""
    from clearfacts_assets.chargeback.statements.bounces import read_bounce

    box, bounce = MailBox(engine), read_bounce(content)
    id_ = box.by_message_id(bounce.message_id) if bounce else None
    if bounce is None or id_ is None:
        raise NoMailOfOurs("it is about no mail of ours")
    box.decide(id_, MailEvent.BOUNCED, actor=actor, now=now, reason=bounce.reason)
    return id_
