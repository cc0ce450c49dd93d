"""Which part of a day a job took, where a day is cut into parts that several machines take at once.

Version 0111.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0111"
down_revision: str | None = "0110"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("part", sa.String(length=10), nullable=True))
    given = sa.text("part IS NOT NULL")
    op.create_index("ix_jobs_part", "jobs", ["partition_key", "part"], sqlite_where=given, postgresql_where=given)


def downgrade() -> None:
    # A day that was taken in parts counts as missing again, and is run once more: nothing is sent twice.
    op.drop_index("ix_jobs_part", table_name="jobs")
    op.drop_column("jobs", "part")
