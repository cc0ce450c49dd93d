"""What a spreadsheet takes for a formula, for every CSV that leaves: one table of it, and text that is none.

Only texts are passed here. An amount stays a number, a negative one too: whoever writes a file knows its columns of
numbers, by their type (``Decimal``, ``int``) or by their name, and writes those as they are. A text that looks like a
negative amount is a text from outside all the same.
"""

from __future__ import annotations

# The wide forms too, which some spreadsheets fold.
_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MAY_BEGIN = frozenset((*_SIGNS, " "))
MARK = "'"  # what follows it is text


def begins_formula(text: str) -> bool:
    """Whether a spreadsheet would compute it; spaces before it do not help."""
    # Nearly every cell ends at its first character.
    return bool(text) and text[0] in _MAY_BEGIN and text.lstrip(" ").startswith(_SIGNS)


def neutralised(text: str) -> str:
    """Text from outside as a cell that no spreadsheet takes for a formula, whatever it begins with."""
    return f"{MARK}{text}" if begins_formula(text) else text
