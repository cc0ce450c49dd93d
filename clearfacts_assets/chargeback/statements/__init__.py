"""Statements: what is due becomes a document with amounts in cents, a life, and a way to who has to pay."""
