"""What a person decided survives a re-import: it goes over to the row that replaces the one that was decided about,
where amount, currency and attribution are equal and nothing new is to be said of it. Any other changed row asks again.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, insert

from clearfacts_assets.storage.chargeback.difference import Scope
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.chargeback.tables import ChargeDecision


def carry_decisions(connection: Connection, scope: Scope, at: datetime) -> None:
    """After the new charges of the scope were inserted, before they are counted."""
    if connection.execute(sql("SELECT 1 FROM pairs LIMIT 1")).first() is None:
        return
    decided = connection.execute(
        sql(
            "SELECT n.id, n.status AS new_status, n.flags AS new_flags, n.attribution AS new_attribution, "
            "n.amount AS new_amount, o.id AS old_id, o.amount, o.attribution, o.status "
            "FROM pairs p JOIN charges o ON o.id = p.old_id JOIN staged s ON s.seq = p.seq "
            "JOIN charges n ON n.period = :posted AND n.fingerprint = s.fingerprint AND n.source = :source "
            "AND n.occurrence = s.occurrence AND n.origin_period = :period AND n.withdrawn_by IS NULL "
            "AND n.kind <> 'reversal' WHERE o.currency = n.currency AND o.read_attribution = n.read_attribution "
            "AND EXISTS (SELECT 1 FROM charge_decisions d WHERE d.charge_id = o.id)"
        ),
        scope.values,
    ).all()
    for row in decided:
        last = _last(connection, row.old_id)
        asks_anew = set(row.new_flags.split()) - set(last.flags.split())
        if Decimal(row.amount) == Decimal(row.new_amount) and not asks_anew:
            _carry(connection, row, last, at)


def _last(connection: Connection, charge: int) -> Row[Any]:
    query = "SELECT verdict, note, actor, flags FROM charge_decisions WHERE charge_id = :id ORDER BY id DESC LIMIT 1"
    return connection.execute(sql(query), {"id": charge}).one()


def _carry(connection: Connection, row: Row[Any], last: Row[Any], at: datetime) -> None:
    connection.execute(
        sql("UPDATE charges SET status = :status, attribution = :attribution WHERE id = :id"),
        {"id": row.id, "status": row.status, "attribution": row.attribution},
    )
    connection.execute(
        insert(ChargeDecision).values(
            charge_id=row.id,
            verdict=last.verdict,
            note=last.note,
            actor=last.actor,
            at=at,
            flags=row.new_flags,
            before=row.new_status,
            status=row.status,
            attribution_before=row.new_attribution,
            attribution=row.attribution,
            carried_from=row.old_id,
        )
    )
