"""Statements and their mails in the database: numbers, versions, what was printed, what was sent, what was objected."""
