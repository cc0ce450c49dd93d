"""What became of delivered documents, deliveries held for their receiver, and leases among processes.

Version 0003, after 0002. Nothing that is held so far is held for its receiver.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("held_for", sa.String(length=20), nullable=True))
    op.create_table(
        "delivered_documents",
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", types.Words(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=True),
        sa.Column("document_type", types.Words(), nullable=True),
        sa.Column("document_date", types.Words(), nullable=True),
        sa.Column("payment_state", types.Words(), nullable=True),
        sa.Column("asked_at", types.UtcDateTime(), nullable=False),
        sa.Column("answered_at", types.UtcDateTime(), nullable=True),
        sa.Column("changed_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint("status IN ('found', 'missing')", name=op.f("ck_delivered_documents_status")),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_delivered_documents_delivery_id_deliveries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_delivered_documents")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("until", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_table("delivered_documents")
    op.drop_column("deliveries", "held_for")
