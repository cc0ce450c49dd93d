"""Whether the source gave all of a day, in a column of its own: by it is decided what counts as withdrawn.

Version 0090. Before, it was one of many notes in ``metadata``.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0090"
down_revision: str | None = "0040"
branch_labels = None
depends_on = None

_JOBS = sa.table("jobs", sa.column("metadata", types.Json()), sa.column("whole_day", sa.Boolean()))


def upgrade() -> None:
    op.add_column("jobs", sa.Column("whole_day", sa.Boolean(), nullable=False, server_default=sa.false()))
    noted = _JOBS.c["metadata"]["whole_day"].as_boolean()
    op.execute(sa.update(_JOBS).where(noted).values(whole_day=True))


def downgrade() -> None:
    # The note still stands in the metadata of rows from before; those from after get it back.
    bind = op.get_bind()
    jobs = sa.table("jobs", sa.column("id", sa.Uuid()), *_JOBS.c)
    for job_id, notes in bind.execute(sa.select(jobs.c.id, jobs.c["metadata"]).where(jobs.c.whole_day)).all():
        bind.execute(sa.update(jobs).where(jobs.c.id == job_id).values(metadata={**notes, "whole_day": True}))
    op.drop_column("jobs", "whole_day")
