"""Entries of the registry as people write them: the rows of a CSV file, and single values. Each is checked, or refused
with its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.attribution.overrides import NAMED
from clearfacts_assets.chargeback.attribution.registry import is_address, normal_name
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.money import BadAmount, parse_amount

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "investigators": ("email", "name", "institution", "aliases"),
    "projects": (
        "project_id",
        "pi_email",
        "fund_org",
        "account_code",
        "cost_center",
        "overrides",
        "valid_from",
        "valid_to",
        "aliases",
    ),
    "funds": ("fund_org", "name", "budget", "currency", "award_end", "may_charge", "valid_from", "valid_to"),
    "overrides": ("resource", *NAMED, "valid_from", "valid_to", "reason"),
}
KEYS = {"investigators": "email", "projects": "project_id", "funds": "fund_org", "overrides": "resource"}
LONGEST = 500  # characters of a name
_LONGEST = {"email": 320, "currency": 10}
MOST_ROWS = 100_000  # of one file

_MANY = ("aliases", "may_charge")
_DAYS = ("valid_from", "valid_to", "award_end")
_YES, _NO = ("1", "true", "yes", "y", "x"), ("", "0", "false", "no", "n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class BadEntry(ChargebackError):
    """A value of the registry that cannot be taken, or a file of them that cannot be read."""


def day_of(text: str | None) -> str:
    """The day as ISO text, empty for none. Raises BadEntry."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise BadEntry("{text!r} is no day: write 2025-03-01", text=text) from None


def entries_of(kind: str, lines: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of a CSV file whose header names the columns; several aliases and may_charge with ``;`` between. Columns
    that the registry does not have are left out.

    Raises BadEntry, which names the line.
    """
    reader = csv.DictReader(lines)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        if KEYS[kind] not in header:
            raise BadEntry(
                "the header has no {key}: its columns are {columns}", key=KEYS[kind], columns=", ".join(COLUMNS[kind])
            )
        rows: list[dict[str, Any]] = []
        for row in reader:
            if len(rows) == MOST_ROWS:
                raise BadEntry("more than {most} rows: import them in parts", most=MOST_ROWS)
            rows.append(_row(kind, row, reader.line_num))
    except csv.Error as error:
        raise BadEntry("line {line}: {error}", line=reader.line_num, error=error) from None
    except UnicodeError:
        raise BadEntry("its bytes are not UTF-8") from None
    return rows


def _row(kind: str, row: Mapping[str | None, Any], line: int) -> dict[str, Any]:
    if None in row:
        raise BadEntry("line {line}: it has more cells than the header", line=line)
    said = {str(name).strip(): (value or "").strip() for name, value in row.items() if name}
    said = {name: value for name, value in said.items() if name in COLUMNS[kind]}
    try:
        return checked(kind, said)
    except BadEntry as error:
        raise BadEntry("line {line}: {error}", line=line, error=error) from None


def checked(kind: str, said: Mapping[str, str]) -> dict[str, Any]:
    """An entry from its texts, ready to be kept. Raises BadEntry."""
    entry: dict[str, Any] = {name: _text(name, value) for name, value in said.items()}
    key = KEYS[kind]
    if not entry.get(key):
        raise BadEntry("there is no {key}", key=key)
    entry |= {name: _READ[name](entry[name]) for name in _READ if name in entry}
    if "budget" in entry:
        entry["budget"] = budget_of(entry["budget"], entry.get("currency", ""))
    for name, longest in _LONGEST.items():
        if len(entry.get(name, "")) > longest:
            raise BadEntry("{name} is longer than {longest} characters", name=name, longest=longest)
    if kind != "investigators":
        entry.setdefault("valid_from", "")
    elif not is_address(entry["email"]):
        raise BadEntry("{email!r} is no address: statements could not be sent there", email=entry["email"])
    return _override(entry) if kind == "overrides" else entry


def _override(entry: dict[str, Any]) -> dict[str, Any]:
    """Raises BadEntry where it says nobody, or not why."""
    if not any(entry.get(name) for name in NAMED):
        raise BadEntry("an override says who pays: {named}", named=", ".join(NAMED))
    if not entry.get("reason"):
        raise BadEntry("an override says why: reason")
    if entry["valid_from"] and entry.get("valid_to") and entry["valid_to"] <= entry["valid_from"]:
        raise BadEntry(
            "it ends on {valid_to}, before or as it begins on {valid_from}",
            valid_to=entry["valid_to"],
            valid_from=entry["valid_from"],
        )
    return entry | {"pi_email": entry.get("pi_email", "").lower()}


def budget_of(text: str, currency: str = "") -> Decimal | None:
    """An exact amount, None for none. Raises BadEntry."""
    try:
        return Decimal(parse_amount(text, currency)) if text else None
    except BadAmount as error:
        raise BadEntry("budget {text!r}: {error}", text=text[:LONGEST], error=error) from None


def alias_of(text: str) -> str:
    """Another name in its normal form. Raises BadEntry."""
    normal = normal_name(_text("alias", text))
    if not normal or len(normal) > LONGEST:
        raise BadEntry("an alias has 1 to {longest} characters", longest=LONGEST)
    return normal


def _text(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise BadEntry("{name} has a character in it that nobody can see", name=name)
    if name not in _MANY and len(value) > LONGEST:
        raise BadEntry("{name} is longer than {longest} characters", name=name, longest=LONGEST)
    if name in _MANY and any(len(one.strip()) > LONGEST for one in value.split(";")):
        raise BadEntry("one of {name} is longer than {longest} characters", name=name, longest=LONGEST)
    return value


def _yes(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise BadEntry("overrides is {text!r}: write yes or no", text=text[:LONGEST])
    return text.lower() in _YES


def _many(text: str) -> list[str]:
    return [one.strip() for one in text.split(";") if one.strip()]


_READ: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(_MANY, _many),
    **dict.fromkeys(_DAYS, day_of),
    "overrides": _yes,
    "email": str.lower,
}
