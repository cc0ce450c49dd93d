"""The parts of an invoice as a person reads them: bounded texts, to be escaped by whoever shows them.

``place`` is where a part stands in the document, by which findings are put beside it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A name, in English, and what the document says."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PrintedParty:
    place: str
    role: str
    name: str
    address: tuple[str, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class PrintedLine:
    place: str
    number: str
    name: str
    description: str
    quantity: str
    price: str
    vat: str
    net: str


@dataclass(frozen=True, slots=True)
class PrintedModifier:
    """An allowance or a charge of the whole document."""

    place: str
    charge: bool
    reason: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedTax:
    place: str
    category: str
    rate: str
    taxable: str
    tax: str
    reason: str


@dataclass(frozen=True, slots=True)
class PrintedAttachment:
    place: str
    name: str
    description: str
    kind: str
    size: int | None  # bytes of the base64 text; None where it is not inside


@dataclass(frozen=True, slots=True)
class PrintedInvoice:
    """The parts of an invoice in the order in which people read them. Amounts are as written, with their currency."""

    credit_note: bool
    number: str
    head: tuple[Fact, ...]
    notes: tuple[str, ...]
    parties: tuple[PrintedParty, ...]
    lines: tuple[PrintedLine, ...]
    more_lines: int
    modifiers: tuple[PrintedModifier, ...]
    taxes: tuple[PrintedTax, ...]
    totals: tuple[Fact, ...]
    totals_place: str
    due: str
    payment: tuple[Fact, ...]
    payment_places: tuple[str, ...]
    attachments: tuple[PrintedAttachment, ...]
