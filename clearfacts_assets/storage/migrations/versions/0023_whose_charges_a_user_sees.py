"""A user may be bound to an investigator, and then sees that one's charges and nothing else.

Version 0023, after 0020.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision: str | None = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("investigator", sa.String(320), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "investigator")
