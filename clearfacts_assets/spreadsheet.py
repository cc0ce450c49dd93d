"""What spreadsheets take for formulas, so that every CSV that leaves writes it as text.

Source: OWASP, CSV injection; with spaces before the sign and with the wide forms of the signs, which some spreadsheets
drop and fold. An amount is no text: whoever writes one writes it as a number, minus and all, and doesn't ask here.
"""

from __future__ import annotations

BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
MARK = "'"  # what follows it is text
_MAY_COME_FIRST = frozenset((*BEGINS_A_FORMULA, " "))


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take a cell with this text for a formula."""
    # Most text is none, and one look at its first character tells: files have millions of cells.
    return text[:1] in _MAY_COME_FIRST and text.lstrip(" ").startswith(BEGINS_A_FORMULA)


def as_text(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: with an apostrophe before what may be one."""
    return f"{MARK}{text}" if is_formula(text) else text
