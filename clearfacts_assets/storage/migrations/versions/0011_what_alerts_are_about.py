"""What alerts are about, as data, and in which order they were written: neither is read out of subjects and times.

Version 0011, after 0010. Alerts that are there get both from their subjects, in the order of their times; those whose
time has not come yet were written under a wrong clock, and come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0011"
down_revision: str | None = "0010"
branch_labels = None
depends_on = None

_alerts = sa.table(
    "alerts",
    sa.column("id", sa.Uuid()),
    sa.column("subject", sa.String()),
    sa.column("created_at", types.UtcDateTime()),
    sa.column("kind", sa.String()),
    sa.column("about", types.Words()),
    sa.column("at", types.UtcDateTime()),
    sa.column("number", sa.Integer()),
)


def upgrade() -> None:
    op.add_column("alerts", sa.Column("kind", sa.String(length=20), server_default="other", nullable=False))
    op.add_column("alerts", sa.Column("about", types.Words(), nullable=True))
    op.add_column("alerts", sa.Column("at", types.UtcDateTime(), nullable=True))
    op.add_column("alerts", sa.Column("members", types.Json(), nullable=True))
    op.add_column("alerts", sa.Column("number", sa.Integer(), server_default="0", nullable=False))
    op.create_index(op.f("ix_alerts_kind_number"), "alerts", ["kind", "number"])
    connection, now = op.get_bind(), datetime.now(UTC)
    known = connection.execute(sa.select(_alerts.c.id, _alerts.c.subject, _alerts.c.created_at)).all()
    for number, row in enumerate(sorted(known, key=lambda row: (row.created_at <= now, row.created_at)), start=1):
        values = {**_read(row.subject), "number": number}
        connection.execute(sa.update(_alerts).where(_alerts.c.id == row.id).values(values))


def downgrade() -> None:
    op.drop_index(op.f("ix_alerts_kind_number"), "alerts")
    for column in ("number", "members", "at", "about", "kind"):
        op.drop_column("alerts", column)


def _read(subject: str) -> Mapping[str, Any]:
    """What the versions before wrote into subjects."""
    kind, _, rest = subject.partition(":")
    if kind == "job":
        return {"kind": "job", "about": rest}
    if kind == "waiting" and (moment := _moment(rest)):
        return {"kind": "waiting", "at": moment}
    if kind == "due-left":
        return {"kind": "due-left", "about": rest.partition(":")[0]}
    if kind == "health":
        system, _, changed = rest.partition(":")
        way, _, moment_written = changed.partition(":")
        if way in ("down", "up") and (moment := _moment(moment_written)):
            return {"kind": f"health-{way}", "about": system, "at": moment}
    return {"kind": "other"}


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
