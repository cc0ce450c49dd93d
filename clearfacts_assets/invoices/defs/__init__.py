"""The invoices in Dagster: assets, checks, jobs, schedules, sensors."""
