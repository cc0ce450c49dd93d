"""When a person has seen that the destination does not know a delivered document any more.

Version 0100.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0100"
down_revision: str | None = "0071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivered_documents", sa.Column("acknowledged_at", types.UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("delivered_documents", "acknowledged_at")
