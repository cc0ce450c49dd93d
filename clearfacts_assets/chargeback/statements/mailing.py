"""A mail with statements, as bytes: HTML and text, PDFs or links. The same mail gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from clearfacts_assets.chargeback.statements.formatting import day, harmless, money, month
from clearfacts_assets.chargeback.statements.model import Subject
from clearfacts_assets.chargeback.statements.typesetting import TEMPLATES
from clearfacts_assets.money import EXACT

LONGEST_SUBJECT = 200  # characters


@dataclass(frozen=True, slots=True)
class MailedStatement:
    """A statement as a mail shows and brings it."""

    number: str
    version: int
    subject: Subject
    listed: Decimal
    due: Decimal
    dispute_by: str
    state: str
    file_name: str
    replaces: bool
    pdf: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails have in common: whom they are from, and how they look."""

    sender: str
    sender_name: str
    organisation: str
    reply_to: str = ""
    contact: str = ""
    accent: str = "#1f4e79"
    templates: Path | None = None  # own ones; ours where one is missing


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One mail, before it is bytes."""

    head: Letterhead
    message_id: str
    at: datetime
    recipient: str
    name: str
    copies: tuple[str, ...]
    subject: str
    period: str
    statements: Sequence[MailedStatement]
    links: dict[str, str] = field(default_factory=dict)  # by number, where the PDFs are too large
    instead_of: str = ""  # in test mode: whom it would have gone to


def sums(statements: Sequence[MailedStatement]) -> str:
    """``1,234.50 USD``; currencies are never added: ``1,234.50 USD, 20.00 EUR``."""
    found: dict[str, Decimal] = {}
    for one in statements:
        found[one.subject.currency] = EXACT.add(found.get(one.subject.currency, Decimal(0)), one.due)
    return ", ".join(f"{money(amount, currency)} {currency}" for currency, amount in sorted(found.items()))


def subject_line(template: str, period: str, organisation: str, statements: Sequence[MailedStatement]) -> str:
    """One line, whatever names have in them."""
    said = template.format(
        month=month(period),
        period=period,
        due=sums(statements),
        organisation=harmless(organisation),
        count=len(statements),
    )
    if any(one.replaces for one in statements):
        said = f"Corrected: {said}"
    return harmless(said)[:LONGEST_SUBJECT]


def variables(outgoing: OutgoingMail) -> dict[str, Any]:
    """What the templates of mails are given; docs/statements.md describes them."""
    return {
        "name": harmless(outgoing.name) or outgoing.recipient,
        "month": month(outgoing.period),
        "organisation": harmless(outgoing.head.organisation),
        "contact": outgoing.head.contact,
        "accent": outgoing.head.accent,
        "instead_of": outgoing.instead_of,
        "due": sums(outgoing.statements),
        "statements": [
            {
                "number": one.number,
                "version": one.version,
                "project": harmless(one.subject.project) or "No project",
                "fund": harmless(one.subject.fund),
                "listed": money(one.listed, one.subject.currency),
                "due": money(one.due, one.subject.currency),
                "currency": one.subject.currency,
                "dispute_by": day(one.dispute_by),
                "proposed": one.state == "proposed",
                "corrected": one.replaces,
                "link": outgoing.links.get(one.number, ""),
            }
            for one in outgoing.statements
        ],
        "linked": bool(outgoing.links),
    }


def bodies(outgoing: OutgoingMail) -> tuple[str, str]:
    """Text and HTML."""
    said = variables(outgoing)
    return _rendered(outgoing, "mail.txt", said), _rendered(outgoing, "mail.html", said)


def message(outgoing: OutgoingMail) -> bytes:
    """RFC 5322, in lines that end with CR LF. Names and subjects cannot add headers: they are one line each."""
    text, html = bodies(outgoing)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _address(outgoing.head.sender_name, outgoing.head.sender)
    mail["To"] = _address(outgoing.name, outgoing.recipient)
    if outgoing.copies:
        mail["Cc"] = [_address("", one) for one in outgoing.copies]
    if outgoing.head.reply_to:
        mail["Reply-To"] = _address("", outgoing.head.reply_to)
    mail["Subject"] = harmless(outgoing.subject)
    mail["Date"] = format_datetime(outgoing.at)
    mail["Message-ID"] = outgoing.message_id
    mail["Auto-Submitted"] = "auto-generated"  # so that absence notes do not answer
    mail.set_content(text)
    mail.add_alternative(html, subtype="html")
    if not outgoing.links:
        for one in outgoing.statements:
            mail.add_attachment(one.pdf, maintype="application", subtype="pdf", filename=one.file_name)
    _set_boundaries(mail, outgoing.message_id)
    return mail.as_bytes()


def _rendered(outgoing: OutgoingMail, name: str, said: dict[str, Any]) -> str:
    folders = [*([outgoing.head.templates] if outgoing.head.templates else []), TEMPLATES]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(said)


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(harmless(name)[:100], local, domain)


def _set_boundaries(mail: MIMEPart, seed: str) -> None:
    """Fixed ones: those that Python makes up differ each time."""
    token = "".join(character for character in seed if character.isalnum())[:40]
    parts = [part for part in mail.walk() if part.is_multipart()]
    for number, part in enumerate(parts):
        part.set_boundary(f"=_{token}_{number}")
