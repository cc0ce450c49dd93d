"""What Dagster's catalogue says of a month: the same whether a run, a command, the API or a page brought the charges.

Each import is shown once: by the run that did it, at once by the command that did it, else by the sensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.chargeback.defs.catalogue_checks import (
    APPROVED,
    CHARGES,
    attributed,
    every_row,
    flags_of,
    nothing_waits,
    reconciles,
    steps_of,
    usual,
)
from clearfacts_assets.chargeback.defs.partitions import (
    SOURCE_PARTITIONS,
    is_month,
    key_of,
)
from clearfacts_assets.chargeback.defs.statement_views import STATEMENTS, of_statements
from clearfacts_assets.chargeback.defs.views import Metadata, spending_views
from clearfacts_assets.chargeback.model import CHANGES
from clearfacts_assets.money import plain
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.storage.chargeback.imports import ImportRecord, ImportRepository
from clearfacts_assets.storage.chargeback.overview import spending
from clearfacts_assets.storage.chargeback.periods import NoSuchPeriod, PeriodRepository
from clearfacts_assets.storage.chargeback.reconciling import reconcile
from clearfacts_assets.storage.chargeback.totals import Totals

IMPORT = "import"  # under which a materialization names the import that it shows
LOOKED_BACK = 50  # materializations of a partition among which an import is looked for


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
        "flags": table({"flag": "string", "charges": "int"}, flags_of(totals)),
        **spending_views(spending(engine, month, source=source), month, f"Charged by {source}"),
        "look": f"clearfacts chargeback charges list -p {month} -s {source}",
    }
    return metadata, [
        every_row(engine, month, source),
        attributed(engine, month, source, totals),
        usual(engine, month, source, totals),
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
    metadata: Metadata = {
        "dagster/row_count": sum(one.charges for one in totals.values()),
        "state": state,
        "hash": sealed,
        "waiting for a decision": sum(one.flagged_charges for one in totals.values()),
        **{f"due, {currency}": float(one.due) for currency, one in totals.items()},
        "exact": _exact(totals, ("due", "list", "discount", "flagged", "rejected", "not_billed", "unattributed")),
        "from provider to due": steps_of(reconciled),
        **spending_views(spending(engine, month, due_only=True), month, "Due"),
        "look": f"clearfacts chargeback month -p {month}",
    }
    return metadata, [
        reconciles(month, reconciled),
        nothing_waits(month, totals),
    ]


def events_of(engine: Engine, import_id: int) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The events that show an import which no run did. Periods without a partition are not shown."""
    record = ImportRepository(engine).show(import_id)
    for month in _months(record):
        metadata, checks = of_month_and_source(engine, month, record.source, record)
        key = key_of(month, record.source)
        yield dg.AssetMaterialization(CHARGES, metadata=metadata, partition=key)
        yield from _evaluations(CHARGES, checks)


def events_of_month(engine: Engine, month: str) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """The events that show what is due in a month, and the statements that say so, without a run."""
    metadata, checks = of_month(engine, month)
    yield dg.AssetMaterialization(APPROVED, metadata=metadata, partition=month)
    yield from _evaluations(APPROVED, checks)
    metadata, checks = of_statements(engine, month)
    if metadata["dagster/row_count"]:
        yield dg.AssetMaterialization(STATEMENTS, metadata=metadata, partition=month)
        yield from _evaluations(STATEMENTS, checks)


def _evaluations(asset: str, checks: Sequence[dg.AssetCheckResult]) -> Iterator[dg.AssetCheckEvaluation]:
    for check in checks:
        yield dg.AssetCheckEvaluation(
            dg.AssetKey(asset),
            str(check.check_name),
            check.passed,
            metadata=check.metadata,
            severity=check.severity,
            description=check.description,
        )


def is_shown(instance: dg.DagsterInstance, record: ImportRecord) -> bool:
    """Whether the catalogue shows the import already."""
    months = _months(record)
    return all(_shows(instance, key_of(month, record.source), record.id) for month in months)


def show(engine: Engine, import_id: int) -> bool:
    """Show an import in this installation's catalogue, once. Returns whether it was not shown before."""
    with dg.DagsterInstance.get() as instance:
        record = ImportRepository(engine).show(import_id)
        if is_shown(instance, record):
            return False
        instance.add_dynamic_partitions(SOURCE_PARTITIONS, [record.source])
        for event in events_of(engine, import_id):
            instance.report_runless_asset_event(event)
    return True


def _months(record: ImportRecord) -> list[str]:
    """Where the import's charges are billed."""
    posted = {str(told["posted"]) for told in record.difference.values()}
    return sorted(one for one in posted if is_month(one))


def _shows(instance: dg.DagsterInstance, key: str, import_id: int) -> bool:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(CHARGES), asset_partitions=[key]), limit=LOOKED_BACK
    )
    for record in found.records:
        event = record.asset_materialization
        said = event.metadata.get(IMPORT) if event else None
        if said is not None and said.value == import_id:
            return True
    return False


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
