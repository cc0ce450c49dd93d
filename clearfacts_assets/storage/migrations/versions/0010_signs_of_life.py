"""Signs of life of runs: whether one died is seen by whoever watches, on whatever machine it ran.

Version 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0010"
down_revision: str | None = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_heartbeats",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("process", types.Json(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("began_at", types.UtcDateTime(), nullable=False),
        sa.Column("beat_at", types.UtcDateTime(), nullable=False),
        sa.Column("lost_at", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_heartbeats")),
    )


def downgrade() -> None:
    op.drop_table("run_heartbeats")
