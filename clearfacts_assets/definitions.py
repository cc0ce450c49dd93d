"""The composition root: all that Dagster sees. Loads with an empty environment and does no I/O."""

from __future__ import annotations

import dagster as dg

from clearfacts_assets import resources
from clearfacts_assets.chargeback.defs import assets as chargeback
from clearfacts_assets.chargeback.defs import automation as chargeback_automation
from clearfacts_assets.chargeback.defs import journals, statement_invoices
from clearfacts_assets.chargeback.defs import ledger_lines as rules
from clearfacts_assets.chargeback.defs import statements as chargeback_statements
from clearfacts_assets.health import assets as health
from clearfacts_assets.installation import defs as installation
from clearfacts_assets.invoices.defs import assets, automation, checks, document_status
from clearfacts_assets.invoices.defs.sensors import alerts, due_deliveries, missed_days, waiting_statements
from clearfacts_assets.orchestration.executor import beating_executor
from clearfacts_assets.orchestration.monitor import lost_runs
from clearfacts_assets.orchestration.run_lines import speak_as_we_do

speak_as_we_do()

defs = dg.Definitions(
    assets=[
        assets.raw_invoices,
        assets.validated_invoices,
        assets.processed_invoices,
        assets.job_metrics,
        document_status.delivered_documents,
        health.service_health,
        installation.retention,
        chargeback.charges,
        chargeback.approved_charges,
        rules.ledger_lines,
        chargeback_statements.statements,
        chargeback_statements.statement_emails,
        journals.gl_journal,
        statement_invoices.statement_invoices,
    ],
    asset_checks=[checks.retrieval_is_complete, checks.no_delivery_is_unknown, checks.nothing_is_nowhere],
    jobs=[
        automation.daily_processing,
        automation.delivery_of_what_is_due,
        automation.manual_trigger,
        automation.health_monitoring,
        automation.document_follow_up,
        installation.retention_job,
        chargeback_automation.import_of_charges,
        chargeback_automation.approval_of_charges,
        rules.application_of_rules,
        chargeback_statements.issue_of_statements,
        chargeback_statements.sending_of_statements,
        journals.export_of_journals,
        statement_invoices.invoicing_of_statements,
    ],
    schedules=[
        automation.nightly,
        automation.health_schedule,
        automation.follow_up_schedule,
        installation.retention_schedule,
    ],
    sensors=[
        alerts.job_failed,
        alerts.job_completed,
        alerts.alert_dispatch,
        due_deliveries.due_deliveries,
        missed_days.missed_days,
        waiting_statements.waiting_statements,
        lost_runs,
        chargeback_automation.delivered_exports,
        chargeback_automation.ledger_changes,
        journals.journal_currencies,
        journals.accruals_over,
        statement_invoices.statements_finalized,
    ],
    resources=resources.from_settings(),
    # "Materialize" and backfills in the UI run Dagster's own implicit job, which takes the executor from here. One
    # process per run: four short steps are 20 times faster so, and SQLite has one writer anyway.
    executor=beating_executor,
)
