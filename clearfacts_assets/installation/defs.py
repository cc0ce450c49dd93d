"""``retention``: deletes what is older than the settings say, every Sunday; or only tells, in a dry run."""

from datetime import UTC, datetime

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.home import dagster_home
from clearfacts_assets.installation.places import Places
from clearfacts_assets.installation.retention import Expired, Retention
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.accounts.audit import Actor

ACTOR = Actor("retention")


class RetentionConfig(dg.Config):
    """As the launchpad shows it."""

    dry_run: bool = False


@dg.asset(group_name="monitoring", owners=["team:operations"])
def retention(
    context: dg.AssetExecutionContext, config: RetentionConfig, database: DatabaseResource
) -> dg.MaterializeResult[None]:
    """What is kept longer than the settings `retention.*` ask for: deleted, but for what is held or not settled.

    With `dry_run` it is only counted. Each deletion leaves an entry in the audit log.
    """
    configured = settings.load()
    places = Places.of(configured, dagster_home())
    applied = Retention(database.engine(), context.instance, places, configured.retention, ACTOR)
    told = applied.apply(dry_run=config.dry_run, now=datetime.now(UTC))
    return dg.MaterializeResult(metadata=_shown(told, config.dry_run))


def _shown(told: list[Expired], dry_run: bool) -> dict[str, dg.MetadataValue | int | bool]:
    columns = {"kind": "string", "before": "string", "may go": "int", "held": "int", "deleted": "int", "bytes": "int"}
    rows = [(one.kind.value, one.before.isoformat(), one.found, one.held, one.deleted, one.bytes) for one in told]
    return {
        "dry_run": dry_run,
        "kinds": table(columns, rows),
        **{f"{one.kind.value}_deleted": one.deleted for one in told},
    }


retention_job = dg.define_asset_job(
    "retention_of_data",
    selection=dg.AssetSelection.assets("retention"),
    description="Deletes what is older than the settings say, but for what is held or not settled.",
)

retention_schedule = dg.ScheduleDefinition(
    name="retention",
    job=retention_job,
    cron_schedule="0 5 * * 0",
    execution_timezone="Europe/Brussels",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every Sunday at 05:00 in Brussels.",
)

defs = dg.Definitions(assets=[retention], jobs=[retention_job], schedules=[retention_schedule])
