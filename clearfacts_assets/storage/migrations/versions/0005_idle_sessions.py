"""When a browser's session was used last, so that one that nobody uses ends.

Version 0005, after 0004. Sessions that are there already count as used when they began.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("seen_at", types.UtcDateTime(), nullable=True))
    op.execute("UPDATE sessions SET seen_at = created_at")


def downgrade() -> None:
    op.drop_column("sessions", "seen_at")
