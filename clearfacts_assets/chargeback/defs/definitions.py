"""All that Dagster sees of chargeback."""

import dagster as dg

from clearfacts_assets.chargeback.defs import assets, automation, journals, ledger_lines, statement_invoices, statements

defs = dg.Definitions(
    assets=[
        assets.charges,
        assets.approved_charges,
        ledger_lines.ledger_lines,
        statements.statements,
        statements.statement_emails,
        journals.gl_journal,
        statement_invoices.statement_invoices,
    ],
    jobs=[
        automation.import_of_charges,
        automation.approval_of_charges,
        ledger_lines.application_of_rules,
        statements.issue_of_statements,
        statements.sending_of_statements,
        journals.export_of_journals,
        statement_invoices.invoicing_of_statements,
    ],
    sensors=[
        automation.delivered_exports,
        automation.ledger_changes,
        journals.journal_currencies,
        journals.accruals_over,
        statement_invoices.statements_finalized,
    ],
)
