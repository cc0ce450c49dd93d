"""Numbers of invoices are indexed by their beginning: a number of any length is kept, and stops no run.

Version 0007, after 0006. A row of PostgreSQL's index holds 2,704 bytes. No data changes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None

NAME = "ix_invoices_number"


def upgrade() -> None:
    op.drop_index(NAME, table_name="invoices")
    op.create_index(NAME, "invoices", [sa.text("substr(number, 1, 250)")], unique=False)


def downgrade() -> None:
    op.drop_index(NAME, table_name="invoices")
    op.create_index(NAME, "invoices", ["number"], unique=False)
