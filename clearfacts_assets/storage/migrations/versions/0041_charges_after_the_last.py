"""A new charge is looked at after it is there, and comes after all charges of earlier imports.

SQLite copies each row once more for a trigger BEFORE INSERT, which is a tenth of an import. A trigger AFTER INSERT does
without; but where ``INSERT OR REPLACE`` took an older charge away, it cannot see that one any more. So each import
says which charge was the last one: what has no greater id replaced one of them.

Version 0041, after 0040.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision: str | None = "0040"
branch_labels = None
depends_on = None

MESSAGE = "the period is finalized: nothing in it changes"
FINALIZED = "EXISTS (SELECT 1 FROM billing_periods WHERE name = NEW.period AND state = 'finalized')"
REPLACES = "NEW.id <= (SELECT max(last_charge) FROM cost_imports)"
THERE = "(NEW.id > 0 AND EXISTS (SELECT 1 FROM charges WHERE id = NEW.id))"
KEPT = {
    "cost_imports_delete": "BEFORE DELETE ON cost_imports FOR EACH ROW",
    "cost_imports_last": "BEFORE UPDATE OF last_charge ON cost_imports FOR EACH ROW WHEN OLD.last_charge IS NOT NULL",
}


def upgrade() -> None:
    op.add_column("cost_imports", sa.Column("last_charge", sa.BigInteger(), nullable=True))
    op.create_index("ix_cost_imports_last_charge", "cost_imports", ["last_charge"])
    op.execute(
        "UPDATE cost_imports SET last_charge = (SELECT max(id) FROM charges) "
        "WHERE id = (SELECT max(id) FROM cost_imports)"
    )
    if op.get_bind().dialect.name == "sqlite":
        _trigger("AFTER", f"{FINALIZED} OR {REPLACES}")
        for name, event in KEPT.items():
            op.execute(f"CREATE TRIGGER {name} {event} BEGIN SELECT RAISE(ABORT, 'an import stays as it was'); END")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in KEPT:
            op.execute(f"DROP TRIGGER {name}")
        _trigger("BEFORE", f"{FINALIZED} OR {THERE}")
    op.drop_index("ix_cost_imports_last_charge", "cost_imports")
    op.drop_column("cost_imports", "last_charge")


def _trigger(when: str, condition: str) -> None:
    op.execute("DROP TRIGGER IF EXISTS charges_insert")
    op.execute(
        f"CREATE TRIGGER charges_insert {when} INSERT ON charges FOR EACH ROW WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
    )
