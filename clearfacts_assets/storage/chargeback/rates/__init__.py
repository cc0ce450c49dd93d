"""Rules with their versions, the runs that apply them, and the ledger's lines."""
