"""What machines share that lay on one machine's disk: uploads that wait for a yes, and which keys are in use.

Version 0190.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0190"
down_revision: str | None = "0180"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_files",
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("piece", sa.Integer(), nullable=False),
        sa.Column("owner", types.Words(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("held_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token", "number", "piece", name="pk_held_files"),
    )
    op.create_index("ix_held_files_held_at", "held_files", ["held_at"])
    op.create_table(
        "keys_in_use",
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("since", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name="pk_keys_in_use"),
    )


def downgrade() -> None:
    # Uploads that wait are chosen again; keys are compared no more.
    op.drop_table("keys_in_use")
    op.drop_table("held_files")
