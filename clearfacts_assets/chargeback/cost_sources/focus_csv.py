"""FOCUS as delimited text: .csv and .csv.gz in the encodings and with the separators that real exports have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clearfacts_assets.chargeback.cost_sources.foreign import named_for_what_it_is
from clearfacts_assets.chargeback.cost_sources.opening import Survey, refused, survey, text_of
from clearfacts_assets.chargeback.cost_sources.records import DELIMITERS, Records, headers_of
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.focus import (
    NAMES,
    NEEDED,
    Dataset,
    canonical_name,
    dataset_of,
    version_of,
)
from clearfacts_assets.chargeback.ports import Batch, Limits, Opened
from clearfacts_assets.messages import Message


class FocusCsv:
    """Recognises everything that is text, since a header tells the rest."""

    def recognises(self, path: Path, head: bytes) -> bool:
        return not head.startswith(b"PAR1")

    def open(self, path: Path, limits: Limits) -> CsvExport:
        with named_for_what_it_is(path, limits):
            seen = survey(path, limits)
            delimiter, written = _header(path, seen, limits)
        columns = tuple(canonical_name(name) for name in written)
        check_columns(path, columns)
        dialect = " ".join(filter(None, ("csv", DELIMITERS[delimiter], seen.encoding, "gzip" if seen.packed else "")))
        dataset = dataset_of(columns)
        opened = Opened(
            path, path.name, seen.sha256, seen.size, dialect, written, columns, dataset, version_of(columns)
        )
        return CsvExport(opened, seen, delimiter, limits)


def source(usage: Usage) -> FocusCsv:
    return FocusCsv()


class CsvExport:
    """One opened file of delimited text."""

    def __init__(self, opened: Opened, seen: Survey, delimiter: str, limits: Limits) -> None:
        self.opened = opened
        self._seen, self._delimiter, self._limits = seen, delimiter, limits

    def batches(self) -> Iterator[Batch]:
        with text_of(self.opened.path, self._seen) as stream:
            records = Records(stream, self._delimiter, self.opened.name, self.opened.written, self._limits)
            yield from records.batches()


def _header(path: Path, seen: Survey, limits: Limits) -> tuple[str, tuple[str, ...]]:
    """The delimiter under which the header names most FOCUS columns, and the header."""
    found: dict[str, tuple[str, ...]] = {}
    for delimiter, row in headers_of(path, seen, limits):
        found[delimiter] = tuple(row)
    known = {delimiter: sum(canonical_name(name) in NAMES for name in row) for delimiter, row in found.items()}
    best = max(known, key=lambda delimiter: known[delimiter], default=",")
    if not known.get(best) and dataset_of([canonical_name(n) for n in found.get(best, ())]) is Dataset.COST_AND_USAGE:
        raise refused(path, "no_header", Message("its first line names no column of FOCUS"), line=1)
    return best, found[best]


def check_columns(path: Path, columns: tuple[str, ...]) -> None:
    """Raises FileRefused where a header names a column twice, or lacks one without which nothing can be charged."""
    if dataset_of(columns) is not Dataset.COST_AND_USAGE:
        return
    twice = [name for name, count in Counter(name.lower() for name in columns if name).items() if count > 1]
    if twice:
        named = ", ".join(sorted({name for name in columns if name.lower() in twice}))
        raise refused(
            path,
            "duplicate_column",
            Message("the header names {named} more than once", {"named": named}),
            line=1,
            column=named,
        )
    for name in NEEDED:
        if name not in columns:
            raise refused(
                path, "missing_column", Message("the header has no {name}", {"name": name}), line=1, column=name
            )
