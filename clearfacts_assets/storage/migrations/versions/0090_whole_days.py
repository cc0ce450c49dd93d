"""Whether the source gave all of a day, in a column of its own: by it is decided what counts as withdrawn.

Version 0090. Before, it was one of many notes in ``metadata``.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0090"
down_revision: str | None = "0061"
branch_labels = None
depends_on = None

_JOBS = sa.table(
    "jobs", sa.column("id", sa.Uuid()), sa.column("metadata", types.Json()), sa.column("whole_day", sa.Boolean())
)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("whole_day", sa.Boolean(), nullable=False, server_default=sa.false()))
    noted = _JOBS.c["metadata"]["whole_day"].as_boolean()
    op.execute(sa.update(_JOBS).where(noted).values(whole_day=True))


def downgrade() -> None:
    # Rows from before still have the note; those from after get it back.
    bind = op.get_bind()
    for job_id, notes in bind.execute(sa.select(_JOBS.c.id, _JOBS.c["metadata"]).where(_JOBS.c.whole_day)).all():
        bind.execute(sa.update(_JOBS).where(_JOBS.c.id == job_id).values(metadata={**notes, "whole_day": True}))
    op.drop_column("jobs", "whole_day")
