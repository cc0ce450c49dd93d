"""The verdicts that Dagster's catalogue shows on a month's charges and on what is due: one check a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.chargeback.defs.partitions import key_of
from clearfacts_assets.chargeback.model import Flag
from clearfacts_assets.money import plain
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.storage.chargeback.charges import ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.overview import completeness
from clearfacts_assets.storage.chargeback.reconciling import Reconciled
from clearfacts_assets.storage.chargeback.totals import Totals

CHARGES, APPROVED = "charges", "approved_charges"
SHOWN = 15  # charges that a check names

EVERY_ROW = dg.AssetCheckSpec(
    "every_row_is_a_charge_or_refused",
    asset=CHARGES,
    description=(
        "File = charges + refused, exactly: all records that the files hold are charges or refused with a reason, and "
        "from the provider's total to what is due no cent is unexplained, neither in all nor in one invoice."
    ),
)
ATTRIBUTED = dg.AssetCheckSpec(
    "every_charge_has_a_payer",
    asset=CHARGES,
    description="No charge is without an investigator. What nobody pays for stays visible here until somebody does.",
)
USUAL = dg.AssetCheckSpec(
    "nothing_costs_far_more_than_usual",
    asset=CHARGES,
    description=(
        "No project pays for a service chargeback.anomaly_factor times the median of the months before, or more, "
        "without somebody having looked at it."
    ),
)
RECONCILES = dg.AssetCheckSpec(
    "provider_to_due_leaves_nothing",
    asset=APPROVED,
    description="From every provider's total to what is due each difference has a name, and nothing is left over.",
)
NOTHING_WAITS = dg.AssetCheckSpec(
    "nothing_waits_for_a_decision",
    asset=APPROVED,
    description="No charge of the month waits for a person. While one does, the month cannot be finalized.",
)


def reconciles(month: str, reconciled: Sequence[Reconciled]) -> dg.AssetCheckResult:
    """Whether each difference from the providers' totals to what is due has a name."""
    return dg.AssetCheckResult(
        check_name=RECONCILES.name,
        passed=not any(one.unexplained for one in reconciled),
        metadata={
            "partition": month,
            "look": f"clearfacts chargeback reconcile -p {month}",
            "steps": steps_of(reconciled),
        },
    )


def nothing_waits(month: str, totals: Mapping[str, Totals]) -> dg.AssetCheckResult:
    """Whether no charge of the month waits for a person."""
    waiting = sum(one.flagged_charges for one in totals.values())
    return dg.AssetCheckResult(
        check_name=NOTHING_WAITS.name,
        passed=not waiting,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "partition": month,
            "waiting": waiting,
            "reasons": table({"flag": "string", "charges": "int"}, flags_of(totals)),
            "decide": f"clearfacts chargeback review list -p {month}",
        },
    )


def every_row(engine: Engine, month: str, source: str) -> dg.AssetCheckResult:
    """Whether every record became a charge or was refused, and no cent is unexplained."""
    found = completeness(engine, month, source)
    return dg.AssetCheckResult(
        check_name=EVERY_ROW.name,
        passed=found.holds,
        metadata={
            "partition": key_of(month, source),
            "records in the files": found.records,
            "taken": found.taken,
            "refused": found.refused,
            "charges of this month, by the files": found.expected,
            "charges of this month, in the ledger": found.charges,
            **{f"unexplained, {currency}": plain(amount) for currency, amount in found.unexplained.items()},
            "invoices that do not add up": table(
                dict.fromkeys(("invoice", "issuer", "exported", "charges", "difference"), "string"),
                [
                    (one["invoice_id"], one["issuer"], one["exported"], one["charges"], one["difference"])
                    for one in found.invoices
                ],
            ),
            "look": f"clearfacts chargeback reconcile -p {month}",
        },
    )


def attributed(engine: Engine, month: str, source: str, totals: Mapping[str, Totals]) -> dg.AssetCheckResult:
    """Whether every charge has an investigator."""
    left = {currency: one.unattributed for currency, one in totals.items()}
    named = _charges(engine, ChargeFilter(period=month, source=source, pi_email=""))
    return dg.AssetCheckResult(
        check_name=ATTRIBUTED.name,
        passed=not named,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "partition": key_of(month, source),
            **{f"without a payer, {currency}": plain(amount) for currency, amount in left.items()},
            "the first ones": _named(named),
            "decide": f"clearfacts chargeback review list -p {month} --reason {Flag.MISSING_PI_EMAIL}",
        },
    )


def usual(engine: Engine, month: str, source: str, totals: Mapping[str, Totals]) -> dg.AssetCheckResult:
    """Whether what costs far more than usual was looked at."""
    odd = ChargeFilter(period=month, source=source, status=("flagged",), flag=Flag.ANOMALY)
    waiting = _charges(engine, odd) if any(one.flags.get(Flag.ANOMALY) for one in totals.values()) else []
    return dg.AssetCheckResult(
        check_name=USUAL.name,
        passed=not waiting,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "partition": key_of(month, source),
            "the first ones": _named(waiting),
            "decide": f"clearfacts chargeback review list -p {month} --reason {Flag.ANOMALY}",
        },
    )


def _charges(engine: Engine, which: ChargeFilter) -> list[dict[str, Any]]:
    return list(ChargeRepository(engine).list(which, limit=SHOWN).items)


def _named(charges: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    columns = ("id", "project_id", "service", "resource_id", "amount", "currency")
    kinds = {"id": "int", **dict.fromkeys(columns[1:], "string")}
    return table(kinds, [[_shown(one[name]) for name in columns] for one in charges])


def _shown(value: object) -> object:
    return plain(value) if isinstance(value, Decimal) else value


def flags_of(totals: Mapping[str, Totals]) -> list[tuple[str, int]]:
    """How many charges have which flag, the most frequent first."""
    counts: dict[str, int] = {}
    for one in totals.values():
        for flag, charges in one.flags.items():
            counts[flag] = counts.get(flag, 0) + charges
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def steps_of(found: Sequence[Reconciled]) -> dg.MetadataValue[Any]:
    """From each provider's total to what is due, a row a step."""
    rows: list[tuple[str, str, str, str]] = []
    for one in found:
        told = [("exported by the provider", one.exported), *one.steps, (f"due, on basis {one.basis}", one.due)]
        told += [("unexplained", one.unexplained)]
        rows += [(one.source, one.currency, name, plain(value)) for name, value in told]
    return table(dict.fromkeys(("source", "currency", "what", "amount"), "string"), rows)
