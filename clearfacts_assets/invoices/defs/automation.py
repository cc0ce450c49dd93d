"""When things run: the partitions, the jobs over the assets, and the nightly schedule."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.invoices.days import FIRST_DAY, ZONE, day_before
from clearfacts_assets.orchestration.tags import trace_tags, traced_tick

NIGHTLY_HOUR = 2
FOLLOW_UP_HOUR = 6

# One more day than is complete, so that a person can run today's partition by hand.
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone=ZONE.key, end_offset=1)

PIPELINE = ("raw_invoices", "validated_invoices", "processed_invoices", "job_metrics")
CATCHING_UP = "missed_days"  # the sensor that runs what the schedule missed


def run_config_of(retrieval: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run that somebody asks for.

    ``retrieval`` has fields of ``RetrievalRequest``; ``force_processing`` is always among them, for the delivery too.
    """
    force = {"force_processing": retrieval["force_processing"]}
    return {"ops": {"raw_invoices": {"config": dict(retrieval)}, "processed_invoices": {"config": force}}}


daily_processing = dg.define_asset_job(
    "daily_processing",
    selection=dg.AssetSelection.assets(*PIPELINE),
    description="What the ERP created or changed on one day: retrieved, validated, delivered and measured.",
)
DELIVERY_OF_WHAT_IS_DUE = "delivery_of_what_is_due"
delivery_of_what_is_due = dg.define_asset_job(
    DELIVERY_OF_WHAT_IS_DUE,
    selection=dg.AssetSelection.assets(*PIPELINE[1:]),
    description="What earlier runs of a day left: validated, delivered and measured, without asking the ERP again.",
)
manual_trigger = dg.define_asset_job(
    "manual_trigger",
    selection=dg.AssetSelection.assets(*PIPELINE),
    description=(
        "The same, started by a person or through the API. `invoice_ids` (on raw_invoices) takes just these, whatever "
        "their day; `force_processing` sends again what was delivered before, knowingly."
    ),
)
document_follow_up = dg.define_asset_job(
    "document_follow_up",
    selection=dg.AssetSelection.assets("delivered_documents"),
    description="Asks Clearfacts what became of the documents that it has.",
)


@dg.schedule(
    name="nightly",
    job=daily_processing,
    cron_schedule=f"0 {NIGHTLY_HOUR} * * *",
    execution_timezone=ZONE.key,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | list[dg.RunRequest]:
    """Every night at 02:00 in Brussels, the day before. Its run key keeps a tick evaluated twice from running twice.

    With the setting schedule.parts the day is cut into so many runs."""
    day, parts = day_before(context.scheduled_execution_time), settings.load().schedule.parts
    with traced_tick("nightly"):
        if parts == 1:
            return dg.RunRequest(run_key=f"nightly-{day}", partition_key=day, tags=trace_tags())
        return [
            dg.RunRequest(
                run_key=f"nightly-{day}-{number}/{parts}",
                partition_key=day,
                run_config={"ops": {"raw_invoices": {"config": {"part": f"{number}/{parts}"}}}},
                tags=trace_tags(),
            )
            for number in range(1, parts + 1)
        ]


follow_up_schedule = dg.ScheduleDefinition(
    name="follow_up",
    job=document_follow_up,
    cron_schedule=f"0 {FOLLOW_UP_HOUR} * * *",
    execution_timezone=ZONE.key,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every morning at 06:00 in Brussels.",
)
