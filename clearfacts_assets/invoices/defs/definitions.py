"""All that Dagster sees of the invoices."""

import dagster as dg

from clearfacts_assets.invoices.defs import assets, automation, checks, document_status, resources
from clearfacts_assets.invoices.defs.sensors import alerts, due_deliveries, missed_days, waiting_statements

defs = dg.Definitions(
    assets=[
        assets.raw_invoices,
        assets.validated_invoices,
        assets.processed_invoices,
        assets.job_metrics,
        document_status.delivered_documents,
    ],
    asset_checks=[checks.retrieval_is_complete, checks.no_delivery_is_unknown, checks.nothing_is_nowhere],
    jobs=[
        automation.daily_processing,
        automation.delivery_of_what_is_due,
        automation.manual_trigger,
        automation.document_follow_up,
    ],
    schedules=[automation.nightly, automation.follow_up_schedule],
    sensors=[
        alerts.job_failed,
        alerts.job_completed,
        alerts.alert_dispatch,
        due_deliveries.due_deliveries,
        missed_days.missed_days,
        waiting_statements.waiting_statements,
    ],
    resources=resources.from_settings(),
)
