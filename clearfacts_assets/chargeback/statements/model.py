"""The words of statements: what a statement is about, the charges on it, the lines that are printed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.money import EXACT, exact_sum

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9@._-]+")
MOST_OF_A_FILE_NAME = 60  # characters of what a file is named after; its number makes it unique


class StatementKind(StrEnum):
    """Whom a statement is for."""

    INVESTIGATOR = "investigator"  # one a project and currency: what is to be paid
    SPONSOR = "sponsor"  # what somebody else paid of others' charges
    DEPARTMENT = "department"  # the sums of a cost centre
    YEAR = "year"  # what an investigator's project was charged in a year, for a grant report

    @property
    def series(self) -> str:
        """What numbers of this kind begin with."""
        return {"investigator": "S", "sponsor": "P", "department": "D", "year": "Y"}[self.value]


class NoSuchStatement(ChargebackError):
    """There is no statement with this number."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What a statement is about. One live statement a subject: two persons with one local part are two subjects.

    ``name`` is the investigator's address, the sponsor or the cost centre; ``fund`` is empty unless a setting gives
    each fund a statement of its own. ``period`` is a month, or a year for a year's statement.
    """

    kind: StatementKind
    period: str
    name: str
    project: str = ""
    fund: str = ""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Relief:
    """A part of a charge that its payer does not pay: an amount below zero, who pays it, and under which name. ``rule``
    is the rule and its version that wrote the ledger's line; ``payer`` is empty where nobody else pays it."""

    label: str
    payer: str
    amount: Decimal
    rule: str = ""


@dataclass(frozen=True, slots=True)
class DueCharge:
    """One payer's share of one charge, as the ledger has it. Exact amounts; ``due`` is what is left to pay."""

    charge_id: int
    share: int  # 0 where one payer pays all of it; 1, 2, ... where funds share it
    fund: str
    cost_center: str
    service: str
    resource_id: str
    resource_name: str
    category: str
    kind: str
    origin_period: str
    source: str
    start: str
    end: str
    quantity: str
    unit: str
    listed: Decimal
    charged: Decimal
    subsidies: tuple[Relief, ...] = ()
    credits: tuple[Relief, ...] = ()
    rounding: Decimal = Decimal(0)  # to whole cents, in ``charged``
    effects: tuple[Relief, ...] = ()  # of rules on the price; in ``listed`` and ``charged`` already
    corrects: int | None = None
    pi_email: str = ""
    project: str = ""

    @property
    def subsidy(self) -> Decimal:
        return exact_sum(one.amount for one in self.subsidies)

    @property
    def credit(self) -> Decimal:
        """A provider's credit is a row of its own and counts here as a whole."""
        given = exact_sum(one.amount for one in self.credits)
        return EXACT.add(given, self.charged) if self.category == "Credit" else given

    @property
    def list_price(self) -> Decimal:
        """With what was rounded, where there is no discount: that is none."""
        if self.category == "Credit":
            return Decimal(0)
        return self.listed if self.exact_discount else EXACT.add(self.listed, self.rounding)

    @property
    def discount(self) -> Decimal:
        """What the price paid is below the list price, as an amount below zero; with what was rounded."""
        return Decimal(0) if self.category == "Credit" else EXACT.subtract(self.charged, self.list_price)

    @property
    def exact_discount(self) -> Decimal:
        """Before anything was rounded: listed + exact_discount + rounding = charged."""
        return EXACT.subtract(EXACT.subtract(self.charged, self.rounding), self.listed)

    @property
    def due(self) -> Decimal:
        return exact_sum((self.charged, *(one.amount for one in (*self.subsidies, *self.credits))))


@dataclass(frozen=True, slots=True)
class Cents:
    """Amounts as they are printed: rounded, and adding up across and down. Reductions are below zero."""

    listed: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    subsidy: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    due: Decimal = Decimal(0)

    def __add__(self, other: Cents) -> Cents:
        add = EXACT.add
        return Cents(
            add(self.listed, other.listed),
            add(self.discount, other.discount),
            add(self.subsidy, other.subsidy),
            add(self.credit, other.credit),
            add(self.due, other.due),
        )


def total(cents: Iterable[Cents]) -> Cents:
    """The sum, a column at a time."""
    found = Cents()
    for one in cents:
        found += one
    return found


def file_name(*parts: str) -> str:
    """A name for a file that no part of it can bend: letters, digits, ``@._-``, no dots at an end, bounded."""
    cleaned = []
    for part in parts:
        ascii_ = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode("ascii")
        one = _NO_FILE_NAME.sub("-", ascii_).strip(".-_")
        cleaned.append(re.sub(r"\.{2,}", ".", one)[:MOST_OF_A_FILE_NAME].rstrip(".-_"))
    return "_".join(part for part in cleaned if part)
