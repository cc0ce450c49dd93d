"""Any table of use: hours of machines or instruments, tokens, seats. The settings name its columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from clearfacts_assets.chargeback.cells import BadCell
from clearfacts_assets.chargeback.cost_sources.opening import refused
from clearfacts_assets.chargeback.cost_sources.usage import Usage, Used, in_utc
from clearfacts_assets.chargeback.cost_sources.usage_table import Fields, TableExport, as_table, look_at
from clearfacts_assets.chargeback.model import month_after
from clearfacts_assets.chargeback.ports import Limits
from clearfacts_assets.messages import Message

KIND = "csv_usage"
_MONTH = len("2025-03")


class CsvUsage:
    """Recognises what the settings say is one."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def recognises(self, path: Path, head: bytes) -> bool:
        return self._usage.format.kind == KIND

    def open(self, path: Path, limits: Limits) -> TableExport:
        seen, delimiter, header = look_at(path, limits)
        fields = Fields(path, header, self._usage.format.columns)
        form = self._usage.format
        for field, given in (("quantity", ""), ("start", ""), ("unit", form.unit), ("service", form.service)):
            if not given and not fields.has(field):
                text = "no column is the {field}: name its column in rates.usage.{source}.columns.{field}"
                raise refused(
                    path,
                    "missing_column",
                    Message(text, {"field": field, "source": self._usage.source}),
                    line=1,
                    column=field,
                )
        reading = _Rows(fields, self._usage)
        opened = as_table(path, KIND, seen, delimiter, header)
        return TableExport(opened, seen, delimiter, reading, self._usage, limits)


def source(usage: Usage) -> CsvUsage:
    return CsvUsage(usage)


class _Rows:
    def __init__(self, fields: Fields, usage: Usage) -> None:
        self._fields, self._format = fields, usage.format

    def used(self, row: Sequence[str]) -> Used:
        fields, form = self._fields, self._format
        start, end = span_of(fields.need(row, "start"), fields.of(row, "end"), form.timezone, fields.column("start"))
        return Used(
            service=form.service or fields.need(row, "service"),
            quantity=fields.quantity(row),
            unit=form.unit or fields.need(row, "unit"),
            month=start[:7],
            start=start,
            end=end,
            account=fields.of(row, "account"),
            resource_id=fields.of(row, "resource_id"),
            resource_name=fields.of(row, "resource_name"),
            tags=fields.tags(row),
        )


def span_of(start: str, end: str, zone: str, column: str) -> tuple[str, str]:
    """From when to when: a month (``2025-03``), a day, or two moments. Raises BadCell."""
    if len(start) == _MONTH and start[4] == "-":
        try:
            month = date.fromisoformat(f"{start}-01").isoformat()[:_MONTH]
        except ValueError:
            raise BadCell("bad_date", "it is no month: write 2025-03", column) from None
        return f"{month}-01T00:00:00Z", f"{month_after(month)}-01T00:00:00Z"
    first = in_utc(start, zone, column)
    if end:
        last = in_utc(end, zone, column)
        if last < first:
            raise BadCell("bad_date", f"it ends on {last}, before it begins", column)
        return first, last
    following = datetime.fromisoformat(first.removesuffix("Z")) + timedelta(days=1 if len(start) <= 10 else 0)
    return first, following.strftime("%Y-%m-%dT%H:%M:%SZ")
