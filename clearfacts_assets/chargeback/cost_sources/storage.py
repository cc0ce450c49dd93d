"""Reports of storage: how much each share used, or was given, on a day or in a month.

A row of a daily report is a day of that size, one of a monthly report the month; so both add up to size times time. The
unit has to be said: GiB and GB are not the same, and nobody guesses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clearfacts_assets.chargeback.cost_sources.csv_usage import span_of
from clearfacts_assets.chargeback.cost_sources.opening import refused
from clearfacts_assets.chargeback.cost_sources.usage import Usage, Used
from clearfacts_assets.chargeback.cost_sources.usage_table import Fields, TableExport, as_table, look_at
from clearfacts_assets.chargeback.ports import Limits
from clearfacts_assets.messages import Message

KIND = "storage"
SERVICE = "Storage"
DAILY, MONTHLY = "daily", "monthly"
_SIZE = re.compile(r"(?:^|[\s_(\[])(bytes?|[kmgtp]i?b)[\s)\]]*$", re.IGNORECASE)
_BYTES = re.compile(r"(?:bytes?|[kmgtp]i?b)", re.IGNORECASE)
_USED, _GIVEN = ("used", "usage"), ("quota", "allocated", "provisioned")


class Storage:
    """Recognises what the settings say is one."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def recognises(self, path: Path, head: bytes) -> bool:
        return self._usage.format.kind == KIND

    def open(self, path: Path, limits: Limits) -> TableExport:
        seen, delimiter, header = look_at(path, limits)
        form = self._usage.format
        columns = dict(form.columns)
        columns.setdefault("quantity", _measured(path, header))
        fields = Fields(path, header, columns)
        said = _SIZE.search(fields.column("quantity"))
        unit = form.unit or (said[1] if said else "")
        if not unit and not fields.has("unit"):
            raise refused(
                path,
                "unit_missing",
                Message(
                    "it does not say whether it counts GiB, TiB or GB: name the unit in the column (used_gib), "
                    "in a column unit, or in rates.usage.{source}.unit",
                    {"source": self._usage.source},
                ),
                line=1,
                column=fields.column("quantity"),
            )
        if unit and not _BYTES.fullmatch(unit):
            raise refused(path, "bad_unit", Message("{unit!r} is no size: GiB, TiB, GB ...", {"unit": unit}), line=1)
        if not fields.has("start"):
            raise refused(
                path, "missing_column", Message("no column says the day or the month"), line=1, column="start"
            )
        opened = as_table(path, KIND, seen, delimiter, header)
        return TableExport(opened, seen, delimiter, _Rows(fields, self._usage, unit), self._usage, limits)


def source(usage: Usage) -> Storage:
    return Storage(usage)


def _measured(path: Path, header: Sequence[str]) -> str:
    """The one column that says how much. Raises FileRefused where there are several, or none."""
    plain = {name: _SIZE.sub("", name.strip().lower()).strip(" _([") for name in header}
    used = [name for name, word in plain.items() if word in _USED]
    given = [name for name, word in plain.items() if word in _GIVEN]
    other = [name for name, word in plain.items() if word in ("quantity", "size")]
    found = used + given or other
    if len(found) == 1:
        return found[0]
    lacking = Message("no column says how much: name it in rates.usage.<source>.columns.quantity")
    several = "{columns} both say how much: name it in rates.usage.<source>.columns.quantity"
    why = Message(several, {"columns": " and ".join(found)}) if found else lacking
    raise refused(path, "missing_column", why, line=1)


class _Rows:
    def __init__(self, fields: Fields, usage: Usage, unit: str) -> None:
        self._fields, self._format, self._unit = fields, usage.format, unit

    def used(self, row: Sequence[str]) -> Used:
        fields, form = self._fields, self._format
        said = fields.need(row, "start")
        monthly = form.sampling == MONTHLY or (not form.sampling and len(said) == len("2025-03"))
        start, end = span_of(said, "", "UTC", fields.column("start"))
        if monthly:
            start, end = span_of(start[:7], "", "UTC", fields.column("start"))
        unit = self._unit or fields.need(row, "unit")
        return Used(
            service=form.service or fields.of(row, "service") or SERVICE,
            quantity=fields.quantity(row),
            unit=f"{unit}-{'month' if monthly else 'day'}",
            month=start[:7],
            start=start,
            end=end,
            account=fields.of(row, "account"),
            resource_id=fields.of(row, "resource_id"),
            resource_name=fields.of(row, "resource_name"),
            tags=fields.tags(row),
        )
