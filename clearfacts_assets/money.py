"""Money: an exact amount and its currency, how numbers are read from other people's files, and how they are rounded.

Nothing here is a float. A text is one exact amount or it is refused: see :func:`parse_amount`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

MOST_DIGITS = 60  # of one amount, before and after the point together
FURTHEST_EXPONENT = 60  # 1e60 is a slip of somebody's pen

# Sums keep every digit: a result that does not fit is an error and never a rounded one.
EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
# Rounding is half away from zero, so that a reversal is the exact negative of what it reverses.
_ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)

NO_CURRENCY = "XXX"  # ISO 4217's own code for "no currency is involved"
_NONE = frozenset([NO_CURRENCY, "XTS"])  # XTS is for tests
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
_SIGNS = {
    "$": frozenset(["USD", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN", "TWD", "BRL"]),
    "€": frozenset({"EUR"}),
    "£": frozenset({"GBP"}),
    "¥": frozenset({"JPY", "CNY"}),
}

# A match for texts that are one exact amount as they stand: no leading zeros, no minus before nothing but zeros.
is_plain = re.compile(r"(?!-[0.]+\Z)-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?", re.ASCII).fullmatch
_ALL_PLAIN = re.compile(r"(?:(?:-?(?:0|[1-9][0-9]{0,39}+)(?:\.[0-9]{1,40}+)?+)?+\x1f)*+", re.ASCII).fullmatch
_NEGATIVE_ZERO = re.compile(r"-0(?:\.0*)?\x1f").search
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<grouped>[0-9]{1,3}(?:(?P<mark>[,'’\u00a0\u202f])[0-9]{3})(?:(?P=mark)[0-9]{3})*)|"
    r"(?P<whole>[0-9]*))(?:\.(?P<part>[0-9]*))?(?:[eE](?P<exponent>[+-]?[0-9]{1,6}))?",
    re.ASCII,
)
_MARKS = str.maketrans("", "", ",'’\u00a0\u202f")
_POINT_AND_COMMA = str.maketrans(".,", ",.")
_EITHER_COMMA = "the comma may be a decimal one or a thousands one"


class BadAmount(ValueError):
    """A text that is not one exact amount. ``code`` says in one word why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class CurrenciesDiffer(ArithmeticError):
    """Amounts of two currencies cannot be added."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency (ISO 4217 code, or a provider's word for its credits). Raises TypeError where the
    amount is no Decimal."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"an amount of money is a Decimal, not a {type(self.amount).__name__}")

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise CurrenciesDiffer(f"{self.currency} and {other.currency} cannot be added")
        return Money(EXACT.add(self.amount, other.amount), self.currency)

    def __neg__(self) -> Money:
        return Money(EXACT.minus(self.amount), self.currency)

    def rounded(self) -> Money:
        """To the currency's smallest unit, half away from zero."""
        return Money(rounded(self.amount, self.currency), self.currency)

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"


def is_code(currency: str) -> bool:
    """Whether it has the form of a currency's code (ISO 4217) and is none of those that mean no currency."""
    return len(currency) == 3 and currency.isascii() and currency.isalpha() and currency not in _NONE


def exponent(currency: str) -> int:
    """Decimal places of the currency's smallest unit (ISO 4217); two where the currency is not a known one."""
    return _EXPONENTS.get(currency, 2)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount in the currency's smallest units, half away from zero: 0.5 JPY is 1, -0.005 EUR is -0.01."""
    return amount.quantize(Decimal(1).scaleb(-exponent(currency)), context=_ROUNDING)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum with all digits of each amount; 0 for none."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def plain(amount: Decimal) -> str:
    """The amount without exponent, its zeros kept, never ``-0``."""
    text = format(amount, "f")
    return text[1:] if text.startswith("-") and not amount else text


def normal_text(amount: Decimal | str) -> str:
    """The amount without exponent and without zeros that say nothing: equal for equal amounts."""
    text = plain(amount if isinstance(amount, Decimal) else Decimal(amount))
    return text.rstrip("0").rstrip(".") if "." in text else text


def are_plain(texts: Sequence[str]) -> bool:
    """Whether each of the texts is one exact amount as it stands, or empty; three times as quick as asking one by
    one."""
    joined = "\x1f".join(texts) + "\x1f"
    if "-0" in joined and _NEGATIVE_ZERO(joined):
        return False
    return _ALL_PLAIN(joined) is not None and joined.count("\x1f") == len(texts)


def parse_amount(text: str, currency: str = "", *, decimal_comma: bool = False) -> str:
    """The exact amount that a cell says, as plain text with all its digits. Raises BadAmount.

    Taken: signs, exponents, blanks around, groups of three by comma, apostrophe or no-break space, parentheses or a
    minus behind for negative, the row's own currency as code or sign. Refused, because nobody knows what they mean or
    because they are no numbers: ``1,5``, ``12,34.5``, ``1.2.3``, NaN, infinities, hex, formulas, other digits than
    0 to 9, more than 60 digits. With ``decimal_comma`` point and comma change places.
    """
    if not decimal_comma and is_plain(text):
        return text
    body, negative = _unwrapped(text.strip().replace("\u2212", "-"), currency)
    if decimal_comma:
        body = body.translate(_POINT_AND_COMMA)
    found = _NUMBER.fullmatch(body)
    if found is None or not (found["grouped"] or found["whole"] or found["part"]):
        raise BadAmount(*_why_not(body))
    if negative and found["sign"]:
        raise BadAmount("bad_number", "it is negative twice")
    if found["grouped"] and (found["grouped"][0] == "0" or _may_be_a_decimal_comma(found, decimal_comma)):
        raise BadAmount("ambiguous_comma", _EITHER_COMMA)
    digits = body.translate(_MARKS)
    if len(digits) > MOST_DIGITS or abs(int(found["exponent"] or 0)) > FURTHEST_EXPONENT:
        raise BadAmount("number_too_long", f"more than {MOST_DIGITS} digits")
    amount = Decimal(digits)
    return plain(amount.copy_negate() if negative else amount)


def _unwrapped(text: str, currency: str) -> tuple[str, bool]:
    """Without the currency and without what says negative around a number; and whether that was there."""
    negative = False
    if text.startswith("(") and text.endswith(")"):
        text, negative = text[1:-1].strip(), True
    elif text.endswith("-"):
        text, negative = text[:-1].rstrip(), True
    if currency and text.endswith(currency):
        text = text[: -len(currency)].rstrip()
    elif currency and text.startswith(currency):
        text = text[len(currency) :].lstrip()
    sign = text[1:2] if text[:1] == "-" else text[:1]
    if sign in _SIGNS:
        if currency not in _SIGNS[sign]:
            raise BadAmount("other_currency", f"{sign} does not go with the currency {currency or 'that is missing'}")
        text = text.replace(sign, "", 1).lstrip()
    return text, negative


def _may_be_a_decimal_comma(found: re.Match[str], decimal_comma: bool) -> bool:
    """``1,234`` alone: a thousand and more, or one and a quarter. With a point or a second comma it is clear."""
    return not decimal_comma and found["mark"] == "," and found["grouped"].count(",") == 1 and found["part"] is None


def _why_not(text: str) -> tuple[str, str]:
    if not text:
        return "missing", "there is no amount"
    if text[0] in "=@":
        return "formula", "it is a formula"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text, re.ASCII):
        return "ambiguous_comma", _EITHER_COMMA
    return "bad_number", "it is not one exact number"
