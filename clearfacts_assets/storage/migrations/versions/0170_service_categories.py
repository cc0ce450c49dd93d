"""Charges and their totals keep FOCUS' ServiceCategory, by which the chart of accounts may tell accounts apart.

Version 0170. Charges that are there already say nothing of it: the empty text, which no rule matches. It never changes,
as all that a charge says.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0170"
down_revision: str | None = "0160"
branch_labels = None
depends_on = None

TABLES = ("charges", "charge_totals")
NEVER = "what a charge says never changes"


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("service_category", sa.Text(), nullable=False, server_default=sa.text("''")))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"""
            CREATE FUNCTION chargeback_keep_category() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.service_category IS DISTINCT FROM OLD.service_category THEN
                    RAISE EXCEPTION '{NEVER}' USING ERRCODE = 'integrity_constraint_violation';
                END IF;
                RETURN NEW;
            END $$
            """
        )
        op.execute(
            "CREATE TRIGGER keep_category BEFORE UPDATE OF service_category ON charges FOR EACH ROW "
            "EXECUTE FUNCTION chargeback_keep_category()"
        )
    else:
        op.execute(
            "CREATE TRIGGER charges_service_category BEFORE UPDATE OF service_category ON charges FOR EACH ROW "
            f"BEGIN SELECT RAISE(ABORT, '{NEVER}'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER keep_category ON charges")
        op.execute("DROP FUNCTION chargeback_keep_category")
    else:
        op.execute("DROP TRIGGER charges_service_category")
    for table in TABLES:
        op.drop_column(table, "service_category")
