"""Rows into the ledger of charges: staged ones as they are, finalized ones with the opposite sign."""

from __future__ import annotations

from sqlalchemy import Connection

from clearfacts_assets.chargeback.ingest.row_totals import SUMMED
from clearfacts_assets.chargeback.ingest.rows import STAGED
from clearfacts_assets.storage.chargeback.difference import Scope
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.decimal_sums import negative_of

_COPIED = [name for name in STAGED if name not in ("period", "row", "line")]


def insert_staged(connection: Connection, scope: Scope, import_id: int, which: str, behind: str = "") -> int:
    """The staged rows (``s``) that the condition finds, as charges of the scope, in the order of their files. Returns
    how many there are now."""
    named, copied = (", ".join(f'{prefix}"{name}"' for name in _COPIED) for prefix in ("", "s."))
    old = "COALESCE(s.corrects, (SELECT old_id FROM pairs WHERE pairs.seq = s.seq))" if scope.late else "s.corrects"
    statement = sql(
        f"INSERT INTO charges (period, origin_period, kind, source, import_id, import_file, row, line, "  # noqa: S608
        f"occurrence, corrects, {named}) SELECT :posted, :period, '{scope.kind}', :source, :import, f.id, "
        f"s.row, s.line, s.occurrence, {old}, {copied} FROM staged s JOIN staged_files f ON f.number = s.file "
        f"WHERE {which} ORDER BY s.seq {behind}"
    )
    return connection.execute(statement, {**scope.values, "import": import_id}).rowcount


def reverse(connection: Connection, scope: Scope, import_id: int, which: str) -> None:
    """What was finalized and is gone: the same with the opposite sign, in the next open period. ``which`` selects the
    ids of charges."""
    kept = [name for name in _COPIED if name not in SUMMED]
    negated = ", ".join(negative_of(connection, f'c."{name}"') for name in SUMMED)
    named = ", ".join(f'"{name}"' for name in (*kept, *SUMMED))
    copied = ", ".join(f'c."{name}"' for name in kept)
    connection.execute(
        sql(
            f"INSERT INTO charges (period, origin_period, kind, source, import_id, import_file, row, line, "  # noqa: S608
            f"occurrence, corrects, {named}) SELECT :posted, :period, 'reversal', c.source, :import, "
            f"c.import_file, c.row, c.line, c.occurrence, c.id, {copied}, {negated} "
            f"FROM charges c WHERE c.id IN ({which}) AND c.withdrawn_by IS NULL AND NOT EXISTS "
            "(SELECT 1 FROM charges r WHERE r.corrects = c.id AND r.kind = 'reversal' AND r.withdrawn_by IS NULL)"
        ),
        {**scope.values, "import": import_id},
    )
