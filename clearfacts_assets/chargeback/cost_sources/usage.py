"""What sources of use (Slurm, storage, any table) share: a row of use becomes a row of FOCUS, priced by the rate card.

The amount is the internal price of the day, since nobody knows yet who pays; the rules price it anew for who does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from clearfacts_assets.chargeback.cells import BadCell, moment_of
from clearfacts_assets.chargeback.focus import Dataset
from clearfacts_assets.chargeback.model import Refusal, month_after
from clearfacts_assets.chargeback.ports import Opened
from clearfacts_assets.chargeback.rates.book import RuleBook
from clearfacts_assets.chargeback.rates.definitions import Rate
from clearfacts_assets.chargeback.rates.pricing import IN_HOUSE, list_price
from clearfacts_assets.chargeback.rates.units import UnitMismatch
from clearfacts_assets.money import plain

COLUMNS = (
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingQuantity",
    "PricingUnit",
    "ListUnitPrice",
    "ListCost",
    "ContractedCost",
    "EffectiveCost",
    "BilledCost",
    "InvoiceIssuerName",
    "ServiceName",
    "SkuId",
    "SubAccountId",
    "ResourceId",
    "ResourceName",
    "Tags",
)


@dataclass(frozen=True)
class UsageFormat:
    """How a source's files say what was used; from the settings.

    ``columns`` names the file's column of each field: quantity, unit, service, start, end, account, resource_id,
    resource_name and the fields of attribution. ``unit`` and ``service`` hold where no column says it; a service may
    name fields in braces (``HPC {partition}``). ``weights`` are Slurm's billing weights by partition (``*``: every
    other): cpu, mem (a GiB), gpu, node or another TRES. ``measure``: their sum, or only the largest.
    """

    kind: str = ""
    service: str = ""
    unit: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    measure: str = "sum"
    timezone: str = "UTC"
    sampling: str = ""  # of storage: daily or monthly


@dataclass(frozen=True)
class Usage:
    """With what a source of use is read: its format, the rate card, and under which tags attribution is looked for."""

    source: str
    format: UsageFormat = field(default_factory=UsageFormat)
    book: RuleBook = field(default_factory=RuleBook)
    tags: Mapping[str, str] = field(default_factory=dict)  # field of attribution -> tag

    def digest(self) -> str:
        """Of what decides how a row is read and priced."""
        said = json.dumps(asdict(self.format), sort_keys=True, default=str)
        return hashlib.sha256(f"{said}{self.book.rates_digest}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Used:
    """One row of use. Moments are ``2025-03-01T00:00:00Z``; ``month`` is the one that it is billed in."""

    service: str
    quantity: Decimal
    unit: str
    month: str
    start: str
    end: str
    account: str = ""
    sub_account: str = ""
    resource_id: str = ""
    resource_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def priced(used: Used, usage: Usage) -> list[str]:
    """The row, as COLUMNS. Raises BadCell where it has no price."""
    day = used.start[:10]
    if used.start[:7] != used.month and not usage.book.rate(used.service, "internal", day):
        day = f"{used.month}-01"
    try:
        found = list_price(usage.book, used.service, used.quantity, used.unit, day)
    except UnitMismatch as error:
        raise BadCell("unit_mismatch", str(error)) from None
    if found is None:
        raise BadCell(
            "no_rate",
            f"{used.service} has no rate on {day}: clearfacts chargeback rates add '{used.service}' --unit ... --price "
            "..., then import the file again",
        )
    rate = found.version.definition
    assert isinstance(rate, Rate)  # noqa: S101 - it was looked up among the rates
    cost = plain(found.list)
    return [
        used.account or usage.source,
        rate.currency,
        f"{used.month}-01T00:00:00Z",
        f"{month_after(used.month)}-01T00:00:00Z",
        "Usage",
        used.start,
        used.end,
        plain(used.quantity),
        used.unit,
        plain(found.quantity),
        rate.unit,
        plain(rate.price),
        cost,
        cost,
        cost,
        cost,
        IN_HOUSE,
        used.service,
        f"{found.version.name} v{found.version.number}",
        used.sub_account,
        used.resource_id,
        used.resource_name,
        json.dumps(_tags(used.tags, usage.tags), ensure_ascii=False) if used.tags else "",
    ]


def _tags(said: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """Fields of attribution under the tags that the settings look for them under."""
    return {named.get(name, name): value for name, value in said.items() if value}


def opened_as(kind: str, path: Path, sha256: str, size: int, dialect: str, written: tuple[str, ...]) -> Opened:
    """What is known of the file."""
    return Opened(path, path.name, sha256, size, dialect, written, COLUMNS, Dataset.COST_AND_USAGE, kind)


def refusal(file: str, line: int, row: int, text: str, error: BadCell, value: str = "") -> Refusal:
    """One row that cannot be taken."""
    return Refusal(file, line, row, error.column, value[:200], error.code, str(error), text)


def in_utc(text: str, zone: str, column: str) -> str:
    """A moment that the file gives in a zone's own time, in UTC. Raises BadCell."""
    try:
        moment = moment_of(text)
    except BadCell as error:
        raise BadCell(error.code, str(error), column) from None
    if not moment or zone == "UTC" or text.strip().endswith(("Z", "z")):
        return moment
    local = datetime.fromisoformat(moment.removesuffix("Z")).replace(tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
