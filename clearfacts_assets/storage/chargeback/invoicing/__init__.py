"""Invoices of statements as they are kept: what was sent for which version, never changed, only credited."""
