"""Deliveries and attempts are summed for metrics by slices of the time at which they began.

Version 0180.
"""

from __future__ import annotations

from alembic import op

revision = "0180"
down_revision = "0170"


def upgrade() -> None:
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])
    op.create_index("ix_delivery_attempts_started_at", "delivery_attempts", ["started_at"])


def downgrade() -> None:
    op.drop_index("ix_delivery_attempts_started_at", table_name="delivery_attempts")
    op.drop_index("ix_deliveries_created_at", table_name="deliveries")
