"""When the source gave a row: a job that goes on with an earlier job's rows does not make them any newer.

Version 0021, after 0020. NULL in rows of before: their ``created_at`` says it, as it did until now.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0021"
down_revision: str | None = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("retrieved_at", types.UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("invoices", "retrieved_at")
