"""Each new charge asks for its period's state in an index of the finalized ones alone.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision: str | None = "0021"
branch_labels = None
depends_on = None

MESSAGE = "the period is finalized: nothing in it changes"
# INSERT OR REPLACE deletes without asking the triggers of DELETE: a row that is there already is refused as well.
THERE = "(NEW.id > 0 AND EXISTS (SELECT 1 FROM charges WHERE id = NEW.id))"
STATE = "(SELECT state FROM billing_periods WHERE name = NEW.period) = 'finalized'"
QUICK = "EXISTS (SELECT 1 FROM billing_periods WHERE name = NEW.period AND state = 'finalized')"


def upgrade() -> None:
    op.execute(
        "CREATE UNIQUE INDEX IF NOT EXISTS ix_billing_periods_finalized ON billing_periods (name) "
        "WHERE state = 'finalized'"
    )
    if op.get_bind().dialect.name == "sqlite":
        _trigger(QUICK)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _trigger(STATE)
    op.execute("DROP INDEX IF EXISTS ix_billing_periods_finalized")


def _trigger(finalized: str) -> None:
    op.execute("DROP TRIGGER IF EXISTS charges_insert")
    op.execute(
        f"CREATE TRIGGER charges_insert BEFORE INSERT ON charges FOR EACH ROW WHEN {finalized} OR {THERE} "
        f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    )
