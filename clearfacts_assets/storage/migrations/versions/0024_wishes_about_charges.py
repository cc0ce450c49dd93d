"""Changes that are asked for under an id, so that a request that comes twice is carried out once.

Version 0024, after 0023.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0024"
down_revision: str | None = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chargeback_wishes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("answer", types.Json(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chargeback_wishes")),
    )


def downgrade() -> None:
    op.drop_table("chargeback_wishes")
