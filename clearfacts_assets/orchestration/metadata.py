"""What an operator reads on a materialization: tables and numbers. Numbers plot themselves in Dagster's UI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import dagster as dg

from clearfacts_assets import settings
from clearfacts_assets.money import plain

LONGEST_TABLE = 50  # rows shown; the commands that list have them all
LONGEST_CELL = 300  # characters


def table(columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> dg.MetadataValue[Any]:
    """A table with column names and Dagster types (``string``, ``int``, ``float``), the first rows only; or "none".

    Amounts are shown without exponent.
    """
    names = list(columns)
    records = [
        dg.TableRecord({name: _cell(value) for name, value in zip(names, row, strict=True)})
        for row, _ in zip(rows, range(LONGEST_TABLE), strict=False)
    ]
    if not records:
        return dg.MetadataValue.text("none")
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()])
    return dg.MetadataValue.table(records, schema=schema)


def _cell(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = plain(value) if isinstance(value, Decimal) else str(value)
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def links(job_id: UUID) -> dict[str, dg.UrlMetadataValue | dg.TextMetadataValue]:
    """The run's page at the address that people use, and the command that shows the same job in a terminal."""
    return {
        "run": dg.MetadataValue.url(f"{settings.load().public_address}/runs/{job_id}"),
        "show": dg.MetadataValue.text(f"clearfacts jobs show {job_id}"),
    }
