"""Claim, send, settle, and what became of it: over ports, without a database or HTTP of its own."""
