"""Tables of use: delimited text whose columns are named by the settings, or by their own usual names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from clearfacts_assets.chargeback.cells import BadCell, text_of
from clearfacts_assets.chargeback.cost_sources.opening import Survey, refused, survey
from clearfacts_assets.chargeback.cost_sources.opening import text_of as text_in
from clearfacts_assets.chargeback.cost_sources.records import DELIMITERS, Records, headers_of
from clearfacts_assets.chargeback.cost_sources.usage import Usage, Used, opened_as, priced, refusal
from clearfacts_assets.chargeback.model import TAG_FIELDS
from clearfacts_assets.chargeback.ports import Batch, Limits, Opened
from clearfacts_assets.messages import Message
from clearfacts_assets.money import BadAmount, parse_amount

# Under which names a field is looked for where the settings name no column.
USUAL: Mapping[str, tuple[str, ...]] = {
    "quantity": ("quantity", "usage", "used", "amount", "hours", "tokens"),
    "unit": ("unit", "units"),
    "service": ("service", "service_name", "servicename"),
    "start": ("start", "date", "day", "month", "period"),
    "end": ("end",),
    "account": ("account",),
    "resource_id": ("resource_id", "resource", "path", "share", "volume", "vm", "id"),
    "resource_name": ("resource_name", "name"),
    "pi_email": ("pi_email", "pi", "owner"),
    "project_id": ("project_id", "project"),
    "fund_org": ("fund_org", "fund"),
    **{name: (name,) for name in TAG_FIELDS[3:]},
}


class Fields:
    """Which column holds which field, and a row by its fields."""

    def __init__(self, path: Path, written: Sequence[str], columns: Mapping[str, str]) -> None:
        """Raises FileRefused where a column that the settings name is not there."""
        known = {name.strip().lower(): place for place, name in reversed(list(enumerate(written)))}
        self.written, self.path, self._places = tuple(written), path, dict[str, int]()
        for field, names in USUAL.items():
            wanted = (columns[field].strip().lower(),) if field in columns else names
            place = next((known[name] for name in wanted if name in known), None)
            if place is not None:
                self._places[field] = place
            elif field in columns:
                raise refused(
                    path,
                    "missing_column",
                    Message("the header has no {columns}", {"columns": columns[field]}),
                    line=1,
                    column=field,
                )
        if unknown := set(columns) - set(USUAL):
            raise refused(
                path,
                "unknown_field",
                Message("a table of use has no {unknown}", {"unknown": ", ".join(sorted(unknown))}),
                line=1,
            )

    def has(self, field: str) -> bool:
        return field in self._places

    def column(self, field: str) -> str:
        """As the file names it."""
        return self.written[self._places[field]] if field in self._places else ""

    def of(self, row: Sequence[str], field: str) -> str:
        place = self._places.get(field)
        return text_of(row[place]) if place is not None else ""

    def need(self, row: Sequence[str], field: str) -> str:
        """Raises BadCell where it is empty."""
        value = self.of(row, field)
        if not value:
            raise BadCell("missing", f"there is no {field}", self.column(field) or field)
        return value

    def quantity(self, row: Sequence[str]) -> Decimal:
        """Exact, and not below zero. Raises BadCell."""
        text = self.need(row, "quantity")
        try:
            amount = Decimal(parse_amount(text))
        except BadAmount as error:
            raise BadCell(error.code, str(error), self.column("quantity")) from None
        if amount < 0:
            raise BadCell("negative", "a use is not below zero", self.column("quantity"))
        return amount

    def tags(self, row: Sequence[str]) -> dict[str, str]:
        return {name: value for name in TAG_FIELDS if (value := self.of(row, name))}


class Reading(Protocol):
    """What one kind of table makes of a row."""

    def used(self, row: Sequence[str]) -> Used:
        """Raises BadCell."""
        ...


class TableExport:
    """One opened table."""

    def __init__(
        self, opened: Opened, seen: Survey, delimiter: str, reading: Reading, usage: Usage, limits: Limits
    ) -> None:
        self.opened, self._seen, self._delimiter = opened, seen, delimiter
        self._reading, self._usage, self._limits = reading, usage, limits

    def batches(self) -> Iterator[Batch]:
        with text_in(self.opened.path, self._seen) as stream:
            records = Records(stream, self._delimiter, self.opened.name, self.opened.written, self._limits)
            for batch in records.batches():
                yield self._taken(batch)

    def _taken(self, batch: Batch) -> Batch:
        taken = Batch(batch.first_row, refusals=list(batch.refusals))
        for row, line, text in zip(batch.rows, batch.lines, batch.texts, strict=True):
            try:
                used = priced(self._reading.used(row), self._usage)
            except BadCell as error:
                value = row[self.opened.written.index(error.column)] if error.column in self.opened.written else ""
                taken.refusals.append(refusal(self.opened.name, line, 0, text, error, value))
                continue
            taken.add(used, line, text)
        return taken


def look_at(path: Path, limits: Limits) -> tuple[Survey, str, list[str]]:
    """The file's survey, its delimiter (that with which its header has most columns) and its header. Raises
    FileRefused."""
    seen = survey(path, limits)
    best: tuple[str, list[str]] = (",", [])
    for delimiter, row in headers_of(path, seen, limits):
        if len(row) > len(best[1]):
            best = (delimiter, row)
    if not best[1]:
        raise refused(path, "no_header", Message("there is no header"), line=1)
    return seen, *best


def as_table(path: Path, kind: str, seen: Survey, delimiter: str, header: Sequence[str]) -> Opened:
    """What is known of the table."""
    dialect = " ".join(filter(None, (kind, DELIMITERS[delimiter], seen.encoding, "gzip" if seen.packed else "")))
    return opened_as(kind, path, seen.sha256, seen.size, dialect, tuple(header))
