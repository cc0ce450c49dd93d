"""Where invoices come from, one file each. A source gives every document an id that is fit for our database."""

from __future__ import annotations

ID_CHARACTERS = 255  # what the column invoices.invoice_id holds


def is_fit_for_id(text: str) -> bool:
    """Whether a text can be an invoice's id: one line, printable, not too long."""
    return 1 <= len(text) <= ID_CHARACTERS and text.isprintable()
