"""What chargeback tells people: alerts about cost exports and budgets, and mails with statements."""
