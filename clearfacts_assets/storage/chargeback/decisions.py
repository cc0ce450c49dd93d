"""What people decided about charges, newest first: the log of a review."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from clearfacts_assets.storage.chargeback.tables import Charge, ChargeDecision
from clearfacts_assets.storage.database import reading


def last_decisions(
    engine: Engine, *, period: str | None = None, before: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """At most ``limit`` decisions, only those before this id where one is given, each with its charge's service."""
    wanted = ("id", "charge_id", "verdict", "note", "actor", "at", "before", "status", "flags")
    query = (
        select(*(getattr(ChargeDecision, name) for name in wanted), Charge.service, Charge.period)
        .join(Charge, Charge.id == ChargeDecision.charge_id)
        .order_by(ChargeDecision.id.desc())
        .limit(limit)
    )
    if period is not None:
        query = query.where(Charge.period == period)
    if before is not None:
        query = query.where(ChargeDecision.id < before)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
