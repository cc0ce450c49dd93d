"""Files of a folder that are finished: what is in them was taken and settled, so that nobody has to open them again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0210"
down_revision = "0190"


def upgrade() -> None:
    op.create_table(
        "finished_files",
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("finished_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_finished_files")),
    )


def downgrade() -> None:
    op.drop_table("finished_files")
