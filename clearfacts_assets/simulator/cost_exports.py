"""The cost exports of a small university, made up for this project: what its cloud and its cluster say a month costs.

The same month gives the same bytes. The flaws are those that real exports have: an amount that nobody can read, tags
that are missing or broken, a list price of zero, a total at the end, an award that has ended.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

SOURCES = ("cloud", "cluster")
_CENT = Decimal("0.01")


class Edition(StrEnum):
    """Which delivery of a month it is."""

    FIRST = "first"
    LATE = "late"  # delivered again later: one row costs more, one is gone, one is new, one is mended
    SHORT = "short"  # broken off in the middle


@dataclass(frozen=True, slots=True)
class _Project:
    name: str
    pi_email: str
    fund: str
    uses: tuple[str, ...]  # services
    size: Decimal  # times the usual amount


PROJECTS = (
    _Project("genome", "ada@bio.example.edu", "BIO-100123", ("Virtual Machines", "Object Storage"), Decimal(3)),
    _Project("genome", "ada@bio.example.edu", "BIO-100123", ("GPU Hours",), Decimal(3)),
    _Project("maize", "barbara@bio.example.edu", "BIO-100456", ("Object Storage", "Backup"), Decimal(1)),
    _Project("crystals", "rosalind@chem.example.edu", "CHE-200100", ("Virtual Machines", "Database"), Decimal(2)),
    _Project("orbits", "katherine@phys.example.edu", "PHY-300700", ("CPU Hours", "GPU Hours"), Decimal(4)),
    _Project("rings", "emmy@math.example.edu", "MAT-400001", ("CPU Hours",), Decimal(1)),
    _Project("tides", "katherine@phys.example.edu", "PHY-300900", ("CPU Hours", "Backup"), Decimal(2)),
)
_PRICES = {
    "Virtual Machines": ("Compute", "Hours", Decimal("0.0475")),
    "Object Storage": ("Storage", "GB-Months", Decimal("0.0213")),
    "Database": ("Databases", "Hours", Decimal("0.1125")),
    "Backup": ("Storage", "GB-Months", Decimal("0.0104")),
    "CPU Hours": ("Compute", "Core-Hours", Decimal("0.0085")),
    "GPU Hours": ("Compute", "GPU-Hours", Decimal("0.6250")),
}
_ON_CLUSTER = ("CPU Hours", "GPU Hours", "Backup")
_COLUMNS = [
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ServiceCategory",
    "ServiceName",
    "ResourceId",
    "ResourceName",
    "SkuId",
    "ConsumedQuantity",
    "ConsumedUnit",
    "PricingQuantity",
    "PricingUnit",
    "ListCost",
    "ContractedCost",
    "BilledCost",
    "EffectiveCost",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "InvoiceId",
    "Tags",
]


def write_month(
    folder: Path, source: str, month: str, *, edition: Edition = Edition.FIRST, flaws: bool = True, surge: bool = False
) -> Path:
    """Write ``cloud_2026-09.csv`` or ``cluster_2026-09.csv`` into the folder. With ``surge`` one project uses six times
    its usual GPU hours."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(_usage(source, month, Decimal(6) if surge else Decimal(1)))
    if flaws:
        rows = _flawed(rows, source, month)
    if edition is Edition.LATE:
        rows = [row | ({"BilledCost": "12.5"} if row["BilledCost"] == "12,5" else {}) for row in rows]
        rows = [_dearer(rows[0]), *rows[2:], _further(rows[0])]
    elif edition is Edition.SHORT:
        rows = rows[: len(rows) // 3]
    path = folder / f"{source}_{month}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_registry(folder: Path) -> dict[str, Path]:
    """The registry as CSV files: projects that tell who pays where tags do not, and funds with their awards' ends."""
    folder.mkdir(parents=True, exist_ok=True)
    projects, funds = folder / "projects.csv", folder / "funds.csv"
    lines = [f"{one.name},{one.pi_email},{one.fund}" for one in PROJECTS if one.name in ("maize", "rings")]
    projects.write_text("\n".join(["project_id,pi_email,fund_org", *lines, ""]), "utf-8")
    budgets = {one.fund: one.size * 400 for one in PROJECTS}
    lines = [f"{fund},{budget:f},USD," for fund, budget in budgets.items()] + ["PHY-300100,500,USD,2026-06-30"]
    funds.write_text("\n".join(["fund_org,budget,currency,award_end", *lines, ""]), "utf-8")
    return {"projects": projects, "funds": funds}


def _usage(source: str, month: str, surge: Decimal) -> Iterator[dict[str, str]]:
    chance = random.Random(f"{source} {month}")  # noqa: S311 - made up, and the same each time
    constant = _constant(source, month)
    number = 0
    for project in PROJECTS:
        for service in project.uses:
            if (service in _ON_CLUSTER) != (source == "cluster"):
                continue
            for week in range(4):
                number += 1
                category, unit, price = _PRICES[service]
                quantity = project.size * chance.randint(400, 700) / (20 if service == "GPU Hours" else 1)
                if project.name == "orbits" and service == "GPU Hours":
                    quantity *= surge
                yield (
                    constant
                    | _priced(price, quantity)
                    | {
                        "ChargePeriodStart": f"{month}-{1 + 7 * week:02d}T00:00:00Z",
                        "ChargePeriodEnd": f"{month}-{8 + 7 * week:02d}T00:00:00Z"
                        if week < 3
                        else constant["BillingPeriodEnd"],
                        "ChargeDescription": f"{service} of {project.name}, week {week + 1}",
                        "ServiceCategory": category,
                        "ServiceName": service,
                        "ResourceId": f"{source}/{project.name}/{service.lower().replace(' ', '-')}",
                        "ResourceName": f"{project.name} {service}",
                        "SkuId": f"SKU-{list(_PRICES).index(service) + 1:03d}",
                        "ConsumedUnit": unit,
                        "PricingUnit": unit,
                        "Tags": json.dumps(
                            {"pi_email": project.pi_email, "project_id": project.name, "fund_org": project.fund}
                        ),
                    }
                )


def _constant(source: str, month: str) -> dict[str, str]:
    year, number = int(month[:4]), int(month[5:])
    following = f"{year + number // 12:04d}-{number % 12 + 1:02d}"
    provider = "Example Cloud" if source == "cloud" else "Research Computing"
    return dict.fromkeys(_COLUMNS, "") | {
        "BillingAccountId": "1000" if source == "cloud" else "2000",
        "BillingAccountName": "Example University",
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{month}-01T00:00:00Z",
        "BillingPeriodEnd": f"{following}-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ProviderName": provider,
        "PublisherName": provider,
        "InvoiceIssuerName": provider,
        "InvoiceId": f"{'EC' if source == 'cloud' else 'RC'}-{month}",
    }


def _priced(price: Decimal, quantity: Decimal) -> dict[str, str]:
    listed = price * quantity
    discounted = listed * Decimal("0.88")
    return {
        "ConsumedQuantity": f"{quantity:f}",
        "PricingQuantity": f"{quantity:f}",
        "ListCost": f"{listed:f}",
        "ContractedCost": f"{discounted:f}",
        "BilledCost": f"{discounted:f}",
        "EffectiveCost": f"{discounted:f}",
    }


def _flawed(rows: list[dict[str, str]], source: str, month: str) -> list[dict[str, str]]:
    """The same with what exports have wrong, each flaw at its place."""
    if source == "cloud":
        _mend(rows, 5, BilledCost="12,5")  # 12.5, or a group of a number
        _mend(rows, 9, Tags=json.dumps({"pi_email": "barbara@bio.example.edu", "project_id": "maize"}))
        _mend(rows, 13, Tags="")
        _mend(rows, 17, Tags=rows[17]["Tags"][:-12])  # cut off
        _mend(rows, 18, ListCost="0")
        tags = json.dumps({"PI_Email": "ada@bio.example.edu", "project_id": "genome", "fund_org": "BIO-100123"})
        credit = {"ChargeCategory": "Credit", "ChargeDescription": "Credit of the provider", "Tags": tags}
        return [*rows, rows[0] | _priced(Decimal("-25"), Decimal(1)) | credit]
    _mend(rows, 17, Tags=json.dumps({"project_id": "rings"}))  # the registry knows who pays
    ended = json.loads(rows[10]["Tags"]) | {"fund_org": "PHY-300100"}
    _mend(rows, 10, Tags=json.dumps(ended))
    total = sum((Decimal(one["BilledCost"]) for one in rows), Decimal(0)).quantize(_CENT)
    return [*rows, dict.fromkeys(_COLUMNS, "") | {"BillingAccountId": "Total", "BilledCost": f"{total:f}"}]


def _mend(rows: list[dict[str, str]], place: int, **said: str) -> None:
    rows[place] = rows[place] | said


def _dearer(row: dict[str, str]) -> dict[str, str]:
    costs = ("ListCost", "ContractedCost", "BilledCost", "EffectiveCost")
    return row | {name: f"{Decimal(row[name]) + Decimal('18.75'):f}" for name in costs}


def _further(row: dict[str, str]) -> dict[str, str]:
    return (
        row
        | _priced(Decimal("0.0475"), Decimal(250))
        | {
            "ChargeDescription": "Virtual Machines of genome, found late",
            "ResourceId": "cloud/genome/late",
            "ResourceName": "genome late",
        }
    )
