"""The trace in which an alert was written, so that its sending is told as part of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0160"
down_revision = "0130"


def upgrade() -> None:
    op.add_column("alerts", sa.Column("traceparent", sa.String(length=60), nullable=True))


def downgrade() -> None:
    op.drop_column("alerts", "traceparent")
