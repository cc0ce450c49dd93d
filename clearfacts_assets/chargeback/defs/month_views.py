"""What Dagster's catalogue says of a month's charges: the same whether a run, a command, the API or a page brought
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.chargeback.defs.partitions import key_of
from clearfacts_assets.chargeback.defs.views import Metadata, spending_views
from clearfacts_assets.chargeback.model import CHANGES, Flag
from clearfacts_assets.money import plain
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.storage.chargeback.charges import ChargeFilter, ChargeRepository
from clearfacts_assets.storage.chargeback.imports import ImportRecord
from clearfacts_assets.storage.chargeback.overview import completeness, spending
from clearfacts_assets.storage.chargeback.periods import NoSuchPeriod, PeriodRepository
from clearfacts_assets.storage.chargeback.reconciling import Reconciled, reconcile
from clearfacts_assets.storage.chargeback.totals import Totals

CHARGES, APPROVED = "charges", "approved_charges"
IMPORT = "import"  # under which a materialization names the import that it shows
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


def of_month_and_source(
    engine: Engine, month: str, source: str, record: ImportRecord | None
) -> tuple[Metadata, list[dg.AssetCheckResult]]:
    """What the catalogue says of the charges of a source in a month, and the verdicts on them."""
    totals = PeriodRepository(engine).totals(month, source=source)
    metadata: Metadata = {
        "dagster/row_count": sum(one.charges for one in totals.values()),
        **_of_import(record, month),
        "waiting for a decision": sum(one.flagged_charges for one in totals.values()),
        **{f"charged, {currency}": float(one.amount) for currency, one in totals.items()},
        "exact": _exact(totals, ("billed", "amount", "list", "flagged", "rejected", "not_billed", "unattributed")),
        "flags": table({"flag": "string", "charges": "int"}, _flags(totals)),
        **spending_views(spending(engine, month, source=source), month, f"Charged by {source}"),
        "look": f"clearfacts chargeback charges list -p {month} -s {source}",
    }
    return metadata, [
        _every_row(engine, month, source),
        _attributed(engine, month, source, totals),
        _usual(engine, month, source, totals),
    ]


def of_month(engine: Engine, month: str) -> tuple[Metadata, list[dg.AssetCheckResult]]:
    """What the catalogue says of what is due in a month, and the verdicts on it."""
    periods = PeriodRepository(engine)
    totals, reconciled = periods.totals(month), reconcile(engine, month)
    try:
        period = periods.get(month)
        state, sealed = period.state, period.hash or "–"
    except NoSuchPeriod:
        state, sealed = "not begun", "–"
    waiting = sum(one.flagged_charges for one in totals.values())
    metadata: Metadata = {
        "dagster/row_count": sum(one.charges for one in totals.values()),
        "state": state,
        "hash": sealed,
        "waiting for a decision": waiting,
        **{f"due, {currency}": float(one.due) for currency, one in totals.items()},
        "exact": _exact(totals, ("due", "list", "discount", "flagged", "rejected", "not_billed", "unattributed")),
        "from provider to due": _steps(reconciled),
        **spending_views(spending(engine, month, due_only=True), month, "Due"),
        "look": f"clearfacts chargeback month -p {month}",
    }
    unexplained = [one for one in reconciled if one.unexplained]
    return metadata, [
        dg.AssetCheckResult(
            check_name=RECONCILES.name,
            passed=not unexplained,
            metadata={
                "partition": month,
                "look": f"clearfacts chargeback reconcile -p {month}",
                "steps": _steps(reconciled),
            },
        ),
        dg.AssetCheckResult(
            check_name=NOTHING_WAITS.name,
            passed=not waiting,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "partition": month,
                "waiting": waiting,
                "reasons": table({"flag": "string", "charges": "int"}, _flags(totals)),
                "decide": f"clearfacts chargeback review list -p {month}",
            },
        ),
    ]


def _of_import(record: ImportRecord | None, month: str) -> Metadata:
    if record is None:
        return {}
    files = [(one["name"], one["rows"], one["refused"], one["dialect"], one["sha256"][:12]) for one in record.files]
    changes = [
        (period, kind, told[kind]["rows"], _money(told[kind]["before"]), _money(told[kind]["after"]))
        for period, told in sorted(record.difference.items())
        if month in (period, told["posted"])
        for kind in CHANGES
        if kind in told and told[kind]["rows"]
    ]
    return {
        IMPORT: record.id,
        "imported by": record.actor,
        "refused rows": record.refused,
        "files": table(
            {"file": "string", "rows": "int", "refused": "int", "read as": "string", "sha256": "string"}, files
        ),
        "what changed": table(
            {"period": "string", "": "string", "charges": "int", "before": "string", "after": "string"}, changes
        ),
    }


def _money(amounts: Mapping[str, str]) -> str:
    return "; ".join(f"{amount} {currency}" for currency, amount in amounts.items())


def _exact(totals: Mapping[str, Totals], names: Sequence[str]) -> dg.MetadataValue[Any]:
    rows = [(name.replace("_", " "), *(plain(getattr(one, name)) for one in totals.values())) for name in names]
    return table({"": "string", **dict.fromkeys(totals, "string")}, rows if totals else [])


def _flags(totals: Mapping[str, Totals]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for one in totals.values():
        for flag, charges in one.flags.items():
            counts[flag] = counts.get(flag, 0) + charges
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _steps(found: Sequence[Reconciled]) -> dg.MetadataValue[Any]:
    rows: list[tuple[str, str, str, str]] = []
    for one in found:
        told = [("exported by the provider", one.exported), *one.steps, (f"due, on basis {one.basis}", one.due)]
        told += [("unexplained", one.unexplained)]
        rows += [(one.source, one.currency, name, plain(value)) for name, value in told]
    return table(dict.fromkeys(("source", "currency", "what", "amount"), "string"), rows)


def _every_row(engine: Engine, month: str, source: str) -> dg.AssetCheckResult:
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


def _attributed(engine: Engine, month: str, source: str, totals: Mapping[str, Totals]) -> dg.AssetCheckResult:
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


def _usual(engine: Engine, month: str, source: str, totals: Mapping[str, Totals]) -> dg.AssetCheckResult:
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
