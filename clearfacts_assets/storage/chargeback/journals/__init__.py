"""Journals as they are kept: batches that balance, the statements that each books, what the general ledger answered."""
