"""English that reaches the desk with its values in it, as it is stored with a refused row or listed in a check: known
again by its shape, so that it can be told in another language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from clearfacts_assets.api.v1.chargeback.dependencies import without_command

LONGEST = 2000  # characters of a text that is looked at; what is longer stays as it is
# Names of values that are texts of ours again, and by what several of them are joined.
NESTED = {"why": "", "stops": "; ", "step": ""}

# The first that fits is taken.
TEXTS = (
    "{column} {value}: {why}",  # of a refused row, with one of the texts below
    # Amounts and cells of a row.
    "the comma may be a decimal one or a thousands one",
    "it is a formula",
    "it is not one exact number",
    "more than {count} digits",
    "{sign} does not go with the currency that is missing",
    "{sign} does not go with the currency {currency}",
    "its year is not between {first} and {last}",
    "it ends on {last}, before it begins",
    "there is no amount, and this source is charged on {basis}",
    "{text} is no elapsed time: d-hh:mm:ss, hh:mm:ss or mm:ss",
    "{text} is no number of seconds",
    "{text} is no TRES",
    "{text} names a column that the file does not have",
    "Elapsed says {said} s and ElapsedRaw {seconds} s",
    "there is no {field}",
    # Records that are no row.
    "a line is longer than the limit",
    "a record of more than {count} lines: a quote may never end",
    "a quote that never ends",
    "quotes that do not fit: {text}",
    "a total, not a charge",
    "the header again: files were put one behind the other",
    "{cells} cells where the header has {width}",
    # What an import would do.
    "{stops}: a snapshot is all of its month",
    "{rows} of {before} charges of {period} would be withdrawn",
    "{amount} of {standing} {currency} of {period} would be withdrawn",
    "{name}: {rows} records of {dataset} are kept, and not billed",
    # What ties a month out, and what it waits for.
    "{number} does not balance: debit {debit}, credit {credit}",
    "{number} is not what it was when it was made: its hash differs",
    "{number} is a draft",
    "{number} was refused by the general ledger",
    "the accrual {number} stands",
    "{step}: {left} ({which})",
    "{step}: {left}",
    # What rules met and could not apply as wished.
    "{service} has no rate on {day}: priced as imported",
    "{service} has no rate on {day}",
    "{service} has no {wanted} rate",
    "{service} is priced in {currency}",
    "{rule}: {of} cannot be priced by {into}",
    "{of} cannot be priced by {into}",
    "{text} is no quantity: no rate and no allowance counts",
    # Notes of ledger lines.
    "no {wanted} rate: the internal one",
    "reverses charge {id}",
    "below {least} {currency}",
    "to {funds}",
    # Values of settings, the first ones as pydantic says them.
    "Input should be a valid integer",
    "Input should be a valid number",
    "Input should be a valid string",
    "Input should be a valid boolean",
    "Input should be greater than or equal to {bound}",
    "Input should be greater than {bound}",
    "Input should be less than or equal to {bound}",
    "Input should be {expected}",
    "it holds characters that cannot be printed",
    "type the new secret; Back brings the first one back",
    "delivery.lease must be at least twice destination.deadline, or another run could take over a call that is under "
    "way: they are {lease} and {deadline} seconds",
    "alerts.routes sends mails, and email.host (the SMTP server) is not set",
    # Told as sentences elsewhere; here they stand in a list.
    "Characters are missing in every font: {missing}.",
    "{number}: Peppol knows no amounts of {places} places ({currency}).",
    "{number}: customers.parties has no {customer!r}.",
    "{where} lacks {missing}.",
)
AMOUNTS = ("amount", "standing", "debit", "credit", "left", "least")
COUNTS = ("rows", "before", "cells", "width", "count")
_SHAPES = {
    **dict.fromkeys(AMOUNTS, r"-?[0-9.]+(?:E[+-]?[0-9]+)?"),
    **dict.fromkeys((*COUNTS, "places"), "[0-9]+"),
    "period": r"[0-9]{4}-[0-9]{2}",
    "column": "[A-Za-z0-9_]+",
    "value": "'.*'|\".*\"",  # as repr() writes it
    "sign": r"\S+",
    "currency": r"[^\s().;:]+",
}
_NAME = re.compile(r"\{([a-z]+)(!r)?\}")


def fitting(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each text of ours that this may be, with the values that stand in it."""
    said = without_command(text)
    if len(said) > LONGEST:
        return
    sentence = f"{said[:1].upper()}{said[1:]}."
    for one, pattern in _patterns():
        if found := pattern.fullmatch(sentence if one.endswith(".") else said):
            yield one, found.groupdict()


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((one, re.compile(_pattern(one), re.DOTALL)) for one in TEXTS)


def _pattern(text: str) -> str:
    pieces = _NAME.split(text)  # text, name, "!r" or None, text, ...
    written = [re.escape(pieces[0])]
    for name, quoted, after in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        value = f"(?P<{name}>{_SHAPES.get(name, '.+?')})"
        written += [f"['\"]{value}['\"]" if quoted else value, re.escape(after)]
    return "".join(written)
