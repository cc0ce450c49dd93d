"""What the ledger knows of an invoice, and the one function that decides from it."""
