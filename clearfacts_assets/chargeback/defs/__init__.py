"""Chargeback in Dagster: what the ledger holds, as assets of a month and a source, with checks, tables and plots."""
