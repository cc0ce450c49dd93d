"""Journals: what statements say, as the general ledger wants it: balanced, by the chart of accounts, posted once."""
