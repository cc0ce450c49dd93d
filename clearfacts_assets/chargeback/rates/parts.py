"""Parts of a whole as people write them, exactly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from clearfacts_assets.chargeback.rates.scope import BadRule

LONGEST_PART = 60  # characters


def fraction_of(text: str) -> Fraction:
    """``1/3``, ``40%`` or ``0.4``, exactly. Raises BadRule."""
    written = text.strip()
    if len(written) > LONGEST_PART or "e" in written.lower():  # 1e999999999 would be computed for hours
        raise BadRule("{text!r} is no part: write 1/3, 40% or 0.4", text=text[:LONGEST_PART])
    try:
        if written.endswith("%"):
            return Fraction(Decimal(written[:-1].strip())) / 100
        value = Fraction(written)
    except (ValueError, ZeroDivisionError, ArithmeticError):
        raise BadRule("{text!r} is no part: write 1/3, 40% or 0.4", text=text) from None
    return value
