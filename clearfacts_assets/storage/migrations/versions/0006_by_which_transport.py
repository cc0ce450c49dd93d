"""By which transport an attempt left: what one may have accepted, another one cannot be asked about.

Version 0006, after 0005. Of attempts that are there already nobody knows; what they left in
doubt is given to a person.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery_attempts", sa.Column("transport", sa.String(length=20), nullable=True))


def downgrade() -> None:
    op.drop_column("delivery_attempts", "transport")
