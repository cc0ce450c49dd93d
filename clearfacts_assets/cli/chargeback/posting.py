"""What the commands of e-mails share: how mails are made and handed over, as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clearfacts_assets.cli.chargeback.shared import now

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.chargeback.statements.mailing import Letter, MailedStatement
    from clearfacts_assets.notifications.email import SmtpServer
    from clearfacts_assets.storage.chargeback.issuing.mail_rows import Mail, Posting
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox


def problem_of(address: str) -> str:
    """Why nothing can be sent to the address; empty where it can."""
    from clearfacts_assets.notifications.email import ADDRESS

    if not address:
        return "there is no address: clearfacts chargeback emails resend ID --to ADDRESS"
    if not ADDRESS.fullmatch(address) or ".." in address:
        return "the address is none: clearfacts chargeback emails resend ID --to ADDRESS"
    return ""


def posting() -> Posting:
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing.mail_rows import Posting

    said = load()
    domain = said.email.sender.rpartition("@")[2] or "localhost"
    return Posting(domain, said.email.copies, said.statements.send_zero, bool(said.email.test_recipient))


def subject_of(period: str, statements: Sequence[MailedStatement]) -> str:
    from clearfacts_assets.chargeback.statements.mailing import subject_line
    from clearfacts_assets.settings import load

    said = load()
    return subject_line(said.email.subject, period, said.statements.organisation, statements)


def server() -> SmtpServer:
    from clearfacts_assets.notifications.email import SmtpServer
    from clearfacts_assets.settings import load

    said, network = load().email, load().network
    return SmtpServer(
        said.host,
        said.port,
        said.security,
        said.username,
        said.password.get_secret_value(),
        said.deadline,
        network.ca_file,
    )


def letters(box: MailBox) -> Callable[[int], Letter]:
    """The letter of a mail, with its PDFs read."""

    def letter_of(id_: int) -> Letter:
        mail = box.mail(id_)
        return letter(mail, box.statements(mail.statement_ids))

    return letter_of


def letter(mail: Mail, statements: Sequence[MailedStatement]) -> Letter:
    from clearfacts_assets.chargeback.statements.mailing import Letter
    from clearfacts_assets.settings import load

    said = load()
    size = sum(len(one.pdf) for one in statements)
    links = {}
    if size > said.email.attachment_bytes:
        links = {
            one.number: said.email.link.format(address=said.public_address, number=one.number) for one in statements
        }
    test = said.email.test_recipient if mail.test else ""
    return Letter(
        message_id=mail.message_id,
        at=mail.created_at,
        sender=said.email.sender or "statements@localhost",
        sender_name=said.email.sender_name or said.statements.organisation,
        reply_to=said.email.reply_to,
        recipient=test or mail.recipient,
        name=mail.name,
        copies=() if test else mail.copies,
        subject=f"[Test] {mail.subject}" if test else mail.subject,
        period=mail.period,
        statements=statements,
        organisation=said.statements.organisation,
        contact=said.statements.contact,
        accent=said.statements.accent,
        links=links,
        instead_of=mail.recipient if test else "",
        templates=said.statements.templates,
    )


def enqueue_and_send(engine: Engine, period: str, *, actor: str, dry_run: bool = False) -> dict[str, Any]:
    """Want a mail for all that stands and was never in one; send what is due. Says what came of it."""
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    box = MailBox(engine)
    if dry_run:
        would = box.would_send(period, posting())
        return {"would_send": {email: [one["number"] for one in those] for email, those in would.items()}}
    wanted = box.want(period, posting(), valid=problem_of, subject_of=subject_of, actor=actor, now=now())
    if not load().email.host:
        return {"wanted": len(wanted), "stopped": "email.host is not set: the mails wait"}
    return {"wanted": len(wanted), **send(engine, period)}


def send(engine: Engine, period: str | None) -> dict[str, Any]:
    """Send what is due."""
    from clearfacts_assets.chargeback.statements.sending import send_due
    from clearfacts_assets.notifications.email import Postman
    from clearfacts_assets.settings import load
    from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

    said, box = load().email, MailBox(engine)
    with Postman(server()) as postman:
        found = send_due(
            box,
            postman,
            letters(box),
            now,
            attempts=said.attempts,
            test_recipient=said.test_recipient,
            period=period,
        )
    return found.as_result()
