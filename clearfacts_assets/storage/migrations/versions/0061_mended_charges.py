"""Which charges a person made of which refused record, so that a later delivery which still holds it leaves them.

Version 0061, after 0060.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision: str | None = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    identifier = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "mended_charges",
        sa.Column("charge_id", identifier, autoincrement=False, nullable=False),
        sa.Column("record", sa.LargeBinary(16), nullable=False),
        sa.Column("refusal_id", identifier, nullable=False),
        sa.Column("import_id", identifier, nullable=False),
        sa.ForeignKeyConstraint(
            ["refusal_id"], ["cost_refusals.id"], name=op.f("fk_mended_charges_refusal_id_cost_refusals")
        ),
        sa.ForeignKeyConstraint(
            ["import_id"], ["cost_imports.id"], name=op.f("fk_mended_charges_import_id_cost_imports")
        ),
        sa.PrimaryKeyConstraint("charge_id", name=op.f("pk_mended_charges")),
    )


def downgrade() -> None:
    op.drop_table("mended_charges")
