"""What runs by itself: complete deliveries in the landing folder are imported; the catalogue follows the ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs import catalogue, catalogue_checks
from clearfacts_assets.chargeback.defs.partitions import SOURCE_PARTITIONS, is_month, key_of
from clearfacts_assets.chargeback.landing import Landed, look
from clearfacts_assets.chargeback.notifications.cost_exports import tell_of_strays
from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.orchestration.tags import trace_tags, traced_tick
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.overview import last_changes

EVERY = 30  # seconds between two looks
MOST_AT_ONCE, MOST_MONTHS = 10, 10  # imports and months shown by one look; the others are there at the next
LET_IT_TELL = timedelta(minutes=1)  # in which the run or the command that imported shows it itself

import_of_charges = dg.define_asset_job(
    "import_of_charges",
    selection=dg.AssetSelection.assets(catalogue_checks.CHARGES),
    description="Imports what lies in the landing folder for a source and a month, and shows what the ledger holds.",
)
approval_of_charges = dg.define_asset_job(
    "approval_of_charges",
    selection=dg.AssetSelection.assets(catalogue_checks.APPROVED),
    description="Shows what is due in a month, over all sources.",
)


@dataclass(frozen=True, slots=True)
class SeenDelivery:
    """A delivery as the last look saw it: since when it has not changed, and whether a run was asked for."""

    signature: str
    since: datetime
    asked: bool


@dg.sensor(
    name="delivered_exports",
    job=import_of_charges,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def delivered_exports(
    context: dg.SensorEvaluationContext, database: DatabaseResource
) -> dg.SensorResult | dg.SkipReason:
    """Imports each delivery in the landing folder (setting chargeback.landing) once it is complete, and again after it
    changed. Complete: its file _COMPLETE came last, or nothing in it has changed for chargeback.landing_quiet seconds.

    What lies there and is no delivery is told on Slack, once.
    """
    folder = settings.load().chargeback.landing
    if folder is None:
        return dg.SkipReason("There is no landing folder: the setting chargeback.landing is empty.")
    try:
        found = look(folder)
    except OSError as error:
        raise dg.Failure(f"The landing folder {folder} cannot be listed ({error.strerror}): mend it") from error
    now, quiet = datetime.now(UTC), timedelta(seconds=settings.load().chargeback.landing_quiet)
    tell_of_strays(database.engine(), effective_settings(), str(folder), found.strays, now=now)
    with traced_tick("delivered_exports"):
        return deliveries_due(found.deliveries, context.cursor, now, quiet)


def deliveries_due(
    deliveries: tuple[Landed, ...], cursor: str | None, now: datetime, quiet: timedelta
) -> dg.SensorResult:
    """One look: the runs that start now, and what is known of all deliveries."""
    before, kept, requests = _seen(cursor), dict[str, SeenDelivery](), list[dg.RunRequest]()
    sources = set[str]()
    for one in deliveries:
        if not one.files or not is_month(one.month):
            continue
        seen = before.get(one.name)
        if seen is None or seen.signature != one.signature or seen.since > now:  # a clock that was set back
            seen = SeenDelivery(one.signature, now, seen.asked and seen.signature == one.signature if seen else False)
        ready = one.marked or (not one.under_way and not one.waits_for_marker and now - seen.since >= quiet)
        if ready and not seen.asked:
            seen = SeenDelivery(seen.signature, seen.since, True)
            sources.add(one.source)
            key = key_of(one.month, one.source)
            run_key = f"{key}-{one.signature[:16]}"
            requests.append(dg.RunRequest(run_key=run_key, partition_key=key, tags=trace_tags()))
        kept[one.name] = seen
    add = dg.DynamicPartitionsDefinition(name=SOURCE_PARTITIONS).build_add_request(sorted(sources))
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=[add] if sources else [], cursor=_as_cursor(kept)
    )


@dg.sensor(
    name="ledger_changes",
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def ledger_changes(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """The catalogue follows the ledger, whoever changed it, without a run: imports that no run did are shown under
    charges, and what is due in each month in which something changed under approved_charges."""
    return followed(context.instance, database.engine(), context.cursor, datetime.now(UTC))


def followed(instance: dg.DagsterInstance, engine: Engine, cursor: str | None, now: datetime) -> dg.SensorResult:
    """One look: imports to be shown, and months in which something changed."""
    known: dict[str, Any] = json.loads(cursor) if cursor else {"import": 0, "months": {}}
    events: list[Any] = []
    sources = set[str]()
    last = int(known["import"])
    for record in _imports_after(engine, last):
        if now - record.at < LET_IT_TELL:
            break
        last = record.id
        if not catalogue.is_shown(instance, record):
            sources.add(record.source)
            events += catalogue.events_of(engine, record.id)
    months: dict[str, str] = known["months"]
    changed = {name: state for name, state in last_changes(engine).items() if is_month(name)}
    for name in sorted(one for one, state in changed.items() if months.get(one) != state)[:MOST_MONTHS]:
        months[name] = changed[name]
        events += catalogue.events_of_month(engine, name)
    add = dg.DynamicPartitionsDefinition(name=SOURCE_PARTITIONS).build_add_request(sorted(sources))
    return dg.SensorResult(
        asset_events=events,
        dynamic_partitions_requests=[add] if sources else [],
        cursor=json.dumps({"import": last, "months": months}),
    )


def _imports_after(engine: Engine, last: int) -> list[Any]:
    found = ImportRepository(engine).after(last, limit=MOST_AT_ONCE)
    return [one for one in found if one.withdrawn_at is None]


def _seen(cursor: str | None) -> dict[str, SeenDelivery]:
    told = json.loads(cursor) if cursor else {}
    return {
        name: SeenDelivery(signature, datetime.fromisoformat(since), asked)
        for name, (signature, since, asked) in told.items()
    }


def _as_cursor(kept: Mapping[str, SeenDelivery]) -> str:
    return json.dumps({name: [one.signature, one.since.isoformat(), one.asked] for name, one in kept.items()})
