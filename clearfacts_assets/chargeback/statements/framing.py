"""What all statements have: who says it, which one it is, and the way from the list price to what is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.statements.formatting import money
from clearfacts_assets.chargeback.statements.model import Cents, Subject
from clearfacts_assets.chargeback.statements.trends import Table


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who says it. ``logo`` is a file beside the templates."""

    name: str
    unit: str = ""
    address: tuple[str, ...] = ()
    contact: str = ""
    logo: str = ""
    accent: str = "#1f4e79"
    paper: str = "a4"
    fonts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FundFacts:
    """What is known of a fund. ``charged`` is all that was ever due from it, this period included."""

    fund: str
    name: str = ""
    budget: Decimal | None = None
    charged: Decimal = Decimal(0)
    award_end: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a statement this one: its number and version, its dates, and the version that it replaces."""

    number: str
    version: int
    issued: str  # ISO day
    dispute_by: str
    state: str = "issued"
    replaces: Mapping[str, Any] | None = None  # version, due, by_line of the one before, as `remembered` gave it

    @property
    def version_text(self) -> str:
        return f"version {self.version}" if self.version else "draft"


@dataclass(frozen=True, slots=True)
class About:
    """What a statement says beside its charges."""

    name: str = ""  # of the investigator
    institution: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)  # of each source
    funds: Mapping[str, FundFacts] = field(default_factory=dict)
    history: Table = ()  # of the last 12 months, or of the year
    today: str = ""


def frame(subject: Subject, who: Organisation, identity: Identity, title: str, about: str) -> dict[str, Any]:
    """The variables that every template has."""
    watermark = {"draft": "DRAFT", "proposed": "", "issued": ""}.get(identity.state, "")
    footer = " · ".join(one for one in (who.name, who.unit, who.contact) if one)
    return {
        "kind": subject.kind.value,
        "title": f"{title}: {about}",
        "short-title": title,
        "description": f"{title} for {about}, number {identity.number}, {identity.version_text}",
        "number": identity.number,
        "version": identity.version,
        "version-text": identity.version_text,
        "replaces": {"version": str((identity.replaces or {}).get("version", ""))},
        "state": identity.state,
        "issued": identity.issued,
        "watermark": watermark,
        "period": {"name": subject.period},
        "currency": subject.currency,
        "accent": who.accent,
        "paper": who.paper,
        "fonts": list(who.fonts),
        "lang": "en",
        "warnings": [],
        "organisation": {
            "name": who.name,
            "unit": who.unit,
            "address": list(who.address),
            "contact": who.contact,
            "logo": who.logo,
            "footer": footer,
        },
    }


class Shown:
    """Amounts in one currency, as they are printed."""

    def __init__(self, currency: str) -> None:
        self.currency = currency

    def __call__(self, amount: Decimal) -> str:
        return money(amount, self.currency)

    def or_dash(self, amount: Decimal) -> str:
        return self(amount) if amount else "–"


def ladder(sums: Cents, shown: Shown) -> list[dict[str, str]]:
    """From the list price to what is due; what is nothing is left out, the ends never are."""
    percent = ""
    if sums.listed > 0 and sums.discount < 0:
        percent = f"{(-sums.discount / sums.listed * 100).quantize(Decimal('0.1'))} % of the list price"
    middle = [
        ("Discount", percent, sums.discount),
        ("Subsidy", "paid by others", sums.subsidy),
        ("Credits", "", sums.credit),
    ]
    if sums.discount > 0:
        middle[0] = ("Surcharge", "above the list price", sums.discount)
    rows = [("List price", "", sums.listed), *(one for one in middle if one[2]), ("Amount due", "", sums.due)]
    return [{"label": label, "note": note, "amount": shown(amount)} for label, note, amount in rows]
