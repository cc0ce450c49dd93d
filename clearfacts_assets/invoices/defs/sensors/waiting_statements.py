"""A sensor for the night of statements beside the ERP's: where the nights belong to the Java backend, the invoices that
chargeback made of statements leave each night too.

They are named one by one, so that such a run is no whole day: it says nothing of what the ERP has, and takes back
nothing that the ERP's own run of the day left. With ``source.kind: statements`` the nightly schedule takes them itself;
beside the kinds folder and inbox they are taken with the rest where ``customers.folder`` lies in ``source.folder``.
"""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from sqlalchemy import Engine

from clearfacts_assets import settings
from clearfacts_assets.invoice_settings import SourceSettings
from clearfacts_assets.invoices.days import ZONE, day_before
from clearfacts_assets.invoices.defs.automation import NIGHTLY_HOUR, PIPELINE, daily_processing
from clearfacts_assets.invoices.ports import SourceError
from clearfacts_assets.invoices.sources import SourceOptions, place_of
from clearfacts_assets.invoices.sources.statements import opened
from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG, trace_tags, traced_tick
from clearfacts_assets.resources import DatabaseResource, statement_files
from clearfacts_assets.storage.invoices.taken_files import TakenFiles

NAME, KIND = "waiting_statements", "statements"
EVERY = 900  # seconds between two looks
MOST_AT_ONCE = 2000  # invoices of one night; the others wait for the next


@dg.sensor(
    name=NAME,
    job=daily_processing,
    minimum_interval_seconds=EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def waiting_statements(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SensorResult:
    """Each night from 02:00 on, in Brussels, one run with the statements' invoices that no run has taken; where the
    nights are the Java backend's, and source.folder names the folder of these invoices."""
    with traced_tick(NAME):
        configured = settings.load()
        return statements_night(database.engine(), configured.source, configured.invoice_folder, datetime.now(UTC))


def statements_night(engine: Engine, source: SourceSettings, made_in: Path, now: datetime) -> dg.SensorResult:
    """One look: the night's run, once. ``made_in`` is where chargeback puts its invoices: what else ``source.folder``
    may name, left from before, is nobody's order to send."""
    if place_of(source.kind).setting == "folder" or source.folder is None:
        return dg.SensorResult(skip_reason=f"the source {source.kind} has no statements beside it")
    if source.folder.resolve() != made_in.resolve():
        return dg.SensorResult(skip_reason=f"source.folder is not {made_in}, where invoices of statements are made")
    if now.astimezone(ZONE).hour < NIGHTLY_HOUR:
        return dg.SensorResult(skip_reason=f"the night begins at {NIGHTLY_HOUR:02d}:00")
    try:
        options = SourceOptions(
            place=str(source.folder), memory=TakenFiles(engine), fill_folder=statement_files(engine)
        )
        statements = opened(options)
        if not source.folder.exists():
            return dg.SensorResult(skip_reason=f"no invoice of a statement was ever made: {source.folder} is not there")
        waiting = statements.waiting()
    except SourceError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if not waiting:
        return dg.SensorResult(skip_reason="every statement's invoice was taken")
    day = day_before(now)
    request = dg.RunRequest(
        run_key=f"{NAME}-{day}",
        partition_key=day,
        run_config={
            "ops": {PIPELINE[0]: {"config": {"invoice_ids": waiting[:MOST_AT_ONCE]}}},
            "resources": {"source": {"config": _taking_statements(source)}},
        },
        tags={TRIGGERED_BY_TAG: NAME, **trace_tags()},
    )
    return dg.SensorResult(run_requests=[request])


def _taking_statements(source: SourceSettings) -> dict[str, object]:
    """The whole configuration of the resource ``source``: what a run is given replaces all of it."""
    return {"kind": KIND, "folder": str(source.folder), "page_size": source.page_size}
