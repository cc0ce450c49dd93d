"""``charges`` and ``approved_charges``: the ledger as Dagster shows it, and the way in for what lies in the folder.

(No postponed annotations here: Dagster reads them as they are.)
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs import catalogue, catalogue_checks
from clearfacts_assets.chargeback.defs.partitions import (
    MONTHS,
    MONTHS_AND_SOURCES,
    month_and_source,
)
from clearfacts_assets.chargeback.landing import landed
from clearfacts_assets.chargeback.model import ChargebackError, Mode
from clearfacts_assets.chargeback.notifications.cost_exports import tell_of_delivery
from clearfacts_assets.chargeback.ports import Outcome
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.orchestration.tags import SENSOR_TAG, TRIGGERED_BY_TAG
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.chargeback.importing import ImportRequest, import_files
from clearfacts_assets.storage.chargeback.imports import ImportRecord, ImportRepository

GROUP, OWNERS = "chargeback", ["team:research-computing"]


class DeliveryChoice(dg.Config):
    """How the files in the folder are taken."""

    append: bool = False
    withdraw_more: bool = False


@dg.asset(
    partitions_def=MONTHS_AND_SOURCES,
    group_name=GROUP,
    owners=OWNERS,
    kinds={"csv", "pandas"},
    pool="ledger",
    check_specs=[catalogue_checks.EVERY_ROW, catalogue_checks.ATTRIBUTED, catalogue_checks.USUAL],
)
def charges(
    context: dg.AssetExecutionContext, config: DeliveryChoice, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """What a source costs in a month: one charge for each row of its exports, attributed, flagged where it is odd.

    Imports what lies in the landing folder under SOURCE/MONTH, all of it or nothing; files that were imported before
    change nothing. Where nothing lies there, it only shows what the ledger holds: charges come in by
    `clearfacts chargeback ingest` too.

    Configuration: `append` adds the files to what is there, instead of taking them for all of the month;
    `withdraw_more` also withdraws more than the setting chargeback.withdraw_percent allows without a person's word.
    """
    month, source = month_and_source(context.partition_key)
    engine = database.engine()
    outcome = _import(context, engine, month, source, config)
    metadata, checks = catalogue.of_month_and_source(engine, month, source, _record(engine, month, source, outcome))
    if outcome is not None:
        metadata["nothing new"] = outcome.unchanged
    yield dg.MaterializeResult(metadata=metadata, check_results=checks)


def _import(
    context: dg.AssetExecutionContext, engine: Engine, month: str, source: str, config: DeliveryChoice
) -> Outcome | None:
    """Raises Failure, in words; then nothing was imported, and people are told."""
    folder = settings.load().chargeback.landing
    delivery = landed(Path(folder), source, month) if folder and Path(folder).is_dir() else None
    if delivery is None or not delivery.files:
        return None
    run, now = context.run, datetime.now(UTC)
    actor = run.tags.get(TRIGGERED_BY_TAG) or run.tags.get(SENSOR_TAG) or "dagster"
    context.log.info(f"{len(delivery.files)} files of {delivery.name}")
    try:
        wanted = ImportRequest(
            source=source,
            period=month,
            mode=Mode.APPEND if config.append else Mode.SNAPSHOT,
            confirmed=config.withdraw_more,
        )
        configured = settings.load()
        outcome, _ = import_files(
            engine, delivery.files, wanted, configured.chargeback, usage=configured.rates.usage, actor=actor, now=now
        )
        why = "" if outcome.applied else outcome.why
    except (ChargebackError, FileNotFoundError) as error:
        outcome, why = None, str(error)
    refused = outcome.refused if outcome and not outcome.unchanged else 0
    tell_of_delivery(engine, effective_settings(), delivery.name, run.run_id, why=why, refused=refused, now=now)
    if why:
        raise dg.Failure(f"Nothing of {delivery.name} was imported. {why}", allow_retries=False)
    return outcome


def _record(engine: Engine, month: str, source: str, outcome: Outcome | None) -> ImportRecord | None:
    """The import of this run, else the last one that stands."""
    imports = ImportRepository(engine)
    if outcome is not None and outcome.import_id is not None:
        return imports.show(outcome.import_id)
    found = [one for one in imports.list(period=month, source=source) if one.withdrawn_at is None]
    return imports.show(found[0].id) if found else None


@dg.asset(
    partitions_def=MONTHS,
    deps=[charges],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"pandas"},
    check_specs=[catalogue_checks.RECONCILES, catalogue_checks.NOTHING_WAITS],
)
def approved_charges(
    context: dg.AssetExecutionContext, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """What is due in a month, over all sources: what is clear or was approved, and nothing that waits or was rejected.

    Shown anew whenever something changes in the month, whoever changed it: an import, a decision, the registry.
    """
    metadata, checks = catalogue.of_month(database.engine(), context.partition_key)
    yield dg.MaterializeResult(metadata=metadata, check_results=checks)
