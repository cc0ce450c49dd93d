"""Who pays for a resource, whatever its tags say: from when to when, by whom, why.

Version 0060. Who pays names the override by its id, for which PostgreSQL's column was too narrow; SQLite looks at no
lengths. Triggers hold that an override never changes but in its end.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0060"
down_revision: str | None = "0041"
branch_labels = None
depends_on = None

_TABLE = "resource_overrides"
_FACTS = ("resource", "pi_email", "project_id", "fund_org", "account_code", "cost_center", "valid_from")
_WRITTEN = ("reason", "actor", "at")


def upgrade() -> None:
    identifier = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        _TABLE,
        sa.Column("id", identifier, autoincrement=True, nullable=False),
        sa.Column("resource", sa.String(500), nullable=False),
        *(sa.Column(name, types.Words(), nullable=False) for name in _FACTS[1:-1]),
        sa.Column("valid_from", sa.String(10), nullable=False),
        sa.Column("valid_to", sa.String(10), nullable=False),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_overrides")),
    )
    message = "an override never changes but in its end"
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE cost_attributions ALTER COLUMN origin TYPE varchar(40)")
        changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in ("id", *_FACTS, *_WRITTEN))
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{message}')"
        op.execute(f"CREATE TRIGGER facts BEFORE UPDATE ON {_TABLE} FOR EACH ROW WHEN ({changed}) {refuse}")
        op.execute(f"CREATE TRIGGER kept BEFORE DELETE ON {_TABLE} FOR EACH ROW {refuse}")
        return
    columns = ", ".join(("id", *_FACTS, *_WRITTEN))
    for name, what in (("facts", f"UPDATE OF {columns}"), ("kept", "DELETE")):
        op.execute(
            f"CREATE TRIGGER {_TABLE}_{name} BEFORE {what} ON {_TABLE} FOR EACH ROW "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )


def downgrade() -> None:
    op.drop_table(_TABLE)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE cost_attributions ALTER COLUMN origin TYPE varchar(12) USING left(origin, 12)")
