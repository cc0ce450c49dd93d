"""By what a refused record is known again: its source, what it says, and how many equal ones come before it in its
delivery. So the same unreadable record in two deliveries is one, as an equal row of two deliveries is one charge; and
at most one charge stands for it, which the key of ``mended_records`` holds.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from clearfacts_assets.chargeback.cost_sources.records import DELIMITER_OF
from clearfacts_assets.chargeback.ingest.canonical import digest
from clearfacts_assets.chargeback.ingest.rows import LONGEST_KEPT_RECORD
from clearfacts_assets.storage.chargeback.sql_text import sql


class Known(NamedTuple):
    """What a refused record of a source is known by."""

    record: bytes
    occurrence: int


class Numbering:
    """Gives the refused records of one delivery, in their order, what they are known by."""

    def __init__(self) -> None:
        self._seen = Counter[bytes]()

    def next(self, record: str) -> Known | None:
        """None for one that was too long to be kept whole: it is never the same as another."""
        if not record or len(record) >= LONGEST_KEPT_RECORD:
            return None
        key = digest_of_record(record)
        self._seen[key] += 1
        return Known(key, self._seen[key] - 1)


def digest_of_record(record: str) -> bytes:
    """Of the record without its line's end, which an editor or the end of a file changes."""
    return digest(record.rstrip("\r\n"))


def cells_of(record: str, dialect: str) -> list[str]:
    """The cells of an original record."""
    delimiter = DELIMITER_OF.get(dialect.split()[1] if " " in dialect else "", ",")
    rows = list(csv.reader(io.StringIO(record), delimiter=delimiter))
    return rows[0] if rows else []


def standing(connection: Connection, source: str) -> Mapping[Known, int]:
    """The charge that stands for each mended record of the source. One that was withdrawn or reversed does not."""
    found = connection.execute(
        sql(
            "SELECT m.record, m.occurrence, m.charge_id FROM mended_records m JOIN charges c ON c.id = m.charge_id "
            "WHERE m.source = :source AND c.withdrawn_by IS NULL AND NOT EXISTS (SELECT 1 FROM charges r "
            "WHERE r.corrects = c.id AND r.kind = 'reversal' AND r.withdrawn_by IS NULL)"
        ),
        {"source": source},
    )
    return {Known(bytes(row.record), row.occurrence): row.charge_id for row in found}
