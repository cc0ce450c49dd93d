"""FOCUS as Parquet, read in batches by polars, which the ``fast`` extra brings.

Decimals are taken with all their digits, doubles by their shortest text, maps and structs as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearfacts_assets.chargeback.cost_sources.focus_csv import check_columns
from clearfacts_assets.chargeback.cost_sources.opening import digest_of, refused
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.focus import canonical_name, dataset_of, version_of
from clearfacts_assets.chargeback.ports import ROWS_OF_A_BATCH, Batch, Limits, Opened
from clearfacts_assets.messages import Message
from clearfacts_assets.money import EXACT, plain

if TYPE_CHECKING:
    import polars

MAGIC = b"PAR1"


class FocusParquet:
    """Recognises files that begin as Parquet does."""

    def recognises(self, path: Path, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def open(self, path: Path, limits: Limits) -> ParquetExport:
        if find_spec("polars") is None:
            raise refused(
                path, "parquet_not_installed", Message("Parquet needs polars: pip install 'clearfacts-assets[fast]'")
            )
        import polars

        sha256, size = digest_of(path)
        try:
            frame = polars.scan_parquet(path)
            written = tuple(frame.collect_schema().names())
        except polars.exceptions.PolarsError as error:
            raise refused(
                path, "broken_parquet", Message("it cannot be read as Parquet: {error}", {"error": error})
            ) from None
        columns = tuple(canonical_name(name) for name in written)
        check_columns(path, columns)
        opened = Opened(
            path, path.name, sha256, size, "parquet", written, columns, dataset_of(columns), version_of(columns)
        )
        return ParquetExport(opened, frame)


def source(usage: Usage) -> FocusParquet:
    return FocusParquet()


class ParquetExport:
    """One opened Parquet file."""

    def __init__(self, opened: Opened, frame: polars.LazyFrame) -> None:
        self.opened, self._frame = opened, frame

    def batches(self) -> Iterator[Batch]:
        import polars

        number = 1
        try:
            for frame in self._frame.collect_batches(chunk_size=ROWS_OF_A_BATCH, maintain_order=True):
                for piece in frame.iter_slices(ROWS_OF_A_BATCH):
                    rows = [[_text(value) for value in row] for row in piece.iter_rows()]
                    lines = list(range(number, number + len(rows)))
                    texts = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
                    yield Batch(number, lines, rows, texts)
                    number += len(rows)
        except polars.exceptions.PolarsError as error:
            raise refused(
                self.opened.path, "broken_parquet", Message("it cannot be read to its end: {error}", {"error": error})
            ) from None
        if digest_of(self.opened.path)[0] != self.opened.sha256:
            raise refused(
                self.opened.path, "file_changed", Message("the file was changed while it was read: import it again")
            )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return plain(value.normalize(EXACT))
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | dict | tuple):
        return json.dumps(_pairs(value), ensure_ascii=False, default=str)
    return repr(value)


def _pairs(value: Any) -> Any:
    """A map, which arrives as a list of key and value, as an object."""
    if (
        isinstance(value, list | tuple)
        and value
        and all(isinstance(one, dict) and set(one) == {"key", "value"} for one in value)
    ):
        keys = [one["key"] for one in value]
        return {one["key"]: one["value"] for one in value} if len(set(keys)) == len(keys) else list(value)
    return value
