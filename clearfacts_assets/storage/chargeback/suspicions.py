"""What only the ledger can know of a staged row: that another source has brought it, which charge it corrects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.model import Flag, Status, flag_text, holds
from clearfacts_assets.storage.chargeback.difference import Scope
from clearfacts_assets.storage.chargeback.sql_text import sql


def suspect_duplicates(connection: Connection, scope: Scope) -> int:
    """The very same row stands in the period under another source: one of the two is too many. Returns how many do."""
    others = connection.execute(
        sql("SELECT 1 FROM charge_totals WHERE period = :posted AND source <> :source LIMIT 1"), scope.values
    ).first()
    if others is None:
        return 0
    found = connection.execute(
        sql(
            "SELECT s.seq, s.flags, s.read_flags, s.status FROM staged s WHERE s.period = :period "
            "AND s.charge_id IS NULL AND EXISTS (SELECT 1 FROM charges c WHERE c.period = :posted "
            "AND c.fingerprint = s.fingerprint AND c.source <> :source AND c.withdrawn_by IS NULL)"
        ),
        scope.values,
    ).all()
    return _restate(connection, ((row, {Flag.SUSPECTED_DUPLICATE}, set()) for row in found))


def link_corrections(connection: Connection, scope: Scope) -> int:
    """A correction names what it corrects where exactly one charge of an earlier month can be meant: the same account,
    resource, SKU and span of use. Where none or several can, a person is asked. Returns how many were linked."""
    # The earlier charges are read once; CROSS JOIN keeps SQLite from reading them once for each correction.
    connection.execute(sql("CREATE TEMPORARY TABLE IF NOT EXISTS corrections (seq bigint, old_id bigint)"))
    connection.execute(sql("DELETE FROM corrections"))
    connection.execute(sql("CREATE INDEX IF NOT EXISTS staged_use ON staged (resource_id, charge_start)"))
    connection.execute(
        sql(
            "INSERT INTO corrections SELECT s.seq, c.id FROM charges c CROSS JOIN staged s "
            "WHERE s.period = :period AND s.charge_id IS NULL AND lower(s.charge_class) = 'correction' "
            "AND s.resource_id <> '' AND s.resource_id = c.resource_id AND s.charge_start = c.charge_start "
            "AND s.charge_end = c.charge_end AND s.sku = c.sku AND s.account = c.account AND c.source = :source "
            "AND c.origin_period < :period AND c.kind <> 'reversal' AND c.charge_class = '' AND c.withdrawn_by IS NULL"
        ),
        scope.values,
    )
    unique = connection.execute(
        sql(
            "SELECT s.seq, s.flags, s.read_flags, s.status, m.old_id FROM staged s JOIN "
            "(SELECT seq, min(old_id) AS old_id FROM corrections GROUP BY seq HAVING count(*) = 1) m ON m.seq = s.seq"
        )
    ).all()
    _restate(connection, ((row, set(), {Flag.CORRECTION_TO_CONFIRM}) for row in unique))
    if unique:
        connection.execute(
            sql("UPDATE staged SET corrects = :old WHERE seq = :seq"),
            [{"seq": row.seq, "old": row.old_id} for row in unique],
        )
    return len(unique)


def _restate(connection: Connection, changes: Iterable[tuple[Any, set[Flag], set[Flag]]]) -> int:
    """Rows with flags more and flags less, and the status that follows."""
    values = []
    for row, more, less in changes:
        flags = flag_text({Flag(code) for code in row.flags.split()} - less | more)
        read_flags = flag_text({Flag(code) for code in row.read_flags.split()} - less | more)
        held = Status.FLAGGED if holds(flags) else Status.CLEAR
        status = row.status if row.status == Status.NOT_BILLED else held.value
        values.append({"seq": row.seq, "flags": flags, "read_flags": read_flags, "status": status})
    if values:
        connection.execute(
            sql("UPDATE staged SET flags = :flags, read_flags = :read_flags, status = :status WHERE seq = :seq"), values
        )
    return len(values)
