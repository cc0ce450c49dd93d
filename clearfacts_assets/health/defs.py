"""What Dagster sees of health: the asset that asks every system, and its clock."""

import dagster as dg

from clearfacts_assets.health.assets import service_health

health_monitoring = dg.define_asset_job(
    "health_monitoring",
    selection=dg.AssetSelection.assets("service_health"),
    description="Asks every system that the nightly run needs whether it answers.",
)

health_schedule = dg.ScheduleDefinition(
    name="health",
    job=health_monitoring,
    cron_schedule="*/10 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every ten minutes.",
)

defs = dg.Definitions(assets=[service_health], jobs=[health_monitoring], schedules=[health_schedule])
