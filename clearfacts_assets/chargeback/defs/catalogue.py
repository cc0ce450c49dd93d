"""Dagster's catalogue follows the ledger without a run: what a command, the API or a page did is shown there too.

Each import is shown once: by the run that did it, at once by the command that did it, else by the sensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets.chargeback.defs.month_views import APPROVED, CHARGES, IMPORT, of_month, of_month_and_source
from clearfacts_assets.chargeback.defs.partitions import SOURCE_PARTITIONS, is_month, key_of
from clearfacts_assets.chargeback.defs.statement_views import STATEMENTS, of_statements
from clearfacts_assets.storage.chargeback.imports import ImportRecord, ImportRepository

LOOKED_BACK = 50  # materializations of a partition among which an import is looked for


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
