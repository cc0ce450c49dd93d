"""Rows that nobody could read, and that a person mended: they stand as long as a delivery still holds the same
unreadable record.

At most one charge stands for a record: mended again with the same value nothing changes, with another one the older
charge is withdrawn, or reversed where its period is finalized. A later snapshot that holds the record again, character
for character, leaves the charge as it is. Another record in its place asks again: the charge is withdrawn, and the
difference says so.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from clearfacts_assets.chargeback.ingest.rows import LONGEST_KEPT_RECORD
from clearfacts_assets.chargeback.lifecycle import Action, State, require
from clearfacts_assets.storage.chargeback.manual_tables import MendedRecord
from clearfacts_assets.storage.chargeback.refused_records import digest_of_record
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import insert_into

MENDED = 2  # in place of 1 in ``present.matched``: not in the delivery itself, and as good as


def match_mended(connection: Connection, source: str) -> None:
    """Of the charges that the delivery lacks, those stand whose unreadable record it still holds, each record once."""
    found = connection.execute(
        sql(
            "SELECT p.id, m.record FROM present p JOIN mended_records m ON m.charge_id = p.id AND m.source = :source "
            "WHERE p.matched = 0 ORDER BY m.occurrence, p.id"
        ),
        {"source": source},
    ).all()
    if not found:
        return
    held = _held(connection, {bytes(row.record) for row in found})
    stand = []
    for row in found:
        if held[bytes(row.record)] > 0:
            held[bytes(row.record)] -= 1
            stand.append({"id": row.id, "mended": MENDED})
    if stand:
        connection.execute(sql("UPDATE present SET matched = :mended WHERE id = :id"), stand)


def _held(connection: Connection, wanted: set[bytes]) -> Counter[bytes]:
    """How often the delivery holds each of these records. One that was too long to be kept whole is never the same."""
    records = connection.execute(sql("SELECT record FROM staged_refusals WHERE record <> ''")).scalars()
    digests = (digest_of_record(one) for one in records if len(one) < LONGEST_KEPT_RECORD)
    return Counter(one for one in digests if one in wanted)


def pair_mended(connection: Connection, period: str) -> None:
    """A row that mends a record anew is what became of the charge that stood for it: fills ``pairs``."""
    connection.execute(
        sql(
            "INSERT INTO pairs (seq, old_id, same_money) SELECT m.seq, m.charge_id, 0 FROM mends m "
            "JOIN staged s ON s.seq = m.seq WHERE s.period = :period AND s.charge_id IS NULL "
            "AND m.charge_id IS NOT NULL"
        ),
        {"period": period},
    )


# The charges that stood for records which rows of this period mend anew.
REPLACED = (
    "SELECT m.charge_id FROM mends m JOIN staged s ON s.seq = m.seq "
    "WHERE s.period = :period AND s.charge_id IS NULL AND m.charge_id IS NOT NULL"
)


def require_replaceable(connection: Connection, period: str, *, late: bool) -> None:
    """What is finalized is reversed with the period's other late rows. Raises NotAllowed where what stands for a record
    is in a period that allows no import."""
    found = connection.execute(
        sql(
            "SELECT DISTINCT c.period, c.origin_period, p.state FROM charges c "  # noqa: S608
            f"JOIN billing_periods p ON p.name = c.period WHERE c.withdrawn_by IS NULL AND c.id IN ({REPLACED})"
        ),
        {"period": period},
    ).all()
    for row in found:
        if not (late and row.origin_period == period and row.state == State.FINALIZED):
            require(row.period, State(row.state), Action.IMPORT)


def remember_mended(connection: Connection, source: str, import_id: int, before: int) -> None:
    """After the charges of the delivery were inserted: which of them stands for which refused record. ``before`` is the
    highest id of a charge before this import."""
    values = [
        {"source": source, "import_id": import_id, **row._mapping}
        for row in connection.execute(_POSTED, {"import": import_id, "before": before})
    ]
    if values:
        statement = insert_into(connection, MendedRecord.__table__).values(values)
        newest = {name: statement.excluded[name] for name in ("charge_id", "refusal_id", "import_id")}
        keys = ["source", "record", "occurrence"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=newest))


_POSTED = sql(
    "SELECT m.record, m.occurrence, m.refusal_id, COALESCE(s.charge_id, c.id) AS charge_id FROM mends m "
    "JOIN staged s ON s.seq = m.seq JOIN staged_files f ON f.number = s.file LEFT JOIN charges c "
    "ON c.id > :before AND c.import_id = :import AND c.import_file = f.id AND c.row = s.row AND c.kind <> 'reversal' "
    "WHERE COALESCE(s.charge_id, c.id) IS NOT NULL"
)
