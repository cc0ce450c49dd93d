"""How long things are kept: legal holds, and where the audit log was cut.

Version 0110. An entry of the audit log can be deleted when it is not behind the newest cut, which says how far the log
was cut and the hash of the last entry that went: the chain goes on from there. Cuts themselves are only added to.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0110"
down_revision: str | None = "0100"
branch_labels = None
depends_on = None

_CUT = "(SELECT coalesce(max(position), 0) FROM audit_cuts)"
NEW = {
    "sqlite": [
        "DROP TRIGGER audit_logs_no_delete",
        f"CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs WHEN OLD.position > {_CUT} "
        "BEGIN SELECT RAISE(ABORT, 'audit_logs can only be added to'); END",
        *(
            f"CREATE TRIGGER audit_cuts_no_{what.lower()} BEFORE {what} ON audit_cuts "
            "BEGIN SELECT RAISE(ABORT, 'audit_cuts can only be added to'); END"
            for what in ("UPDATE", "DELETE")
        ),
    ],
    "postgresql": [
        "DROP TRIGGER audit_logs_no_change ON audit_logs",
        "CREATE TRIGGER audit_logs_no_change BEFORE UPDATE OR TRUNCATE ON audit_logs "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()",
        "CREATE FUNCTION audit_logs_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF OLD.position > {_CUT} THEN RAISE EXCEPTION 'audit_logs can only be added to'; END IF; "
        "RETURN OLD; END $$",
        "CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs "
        "FOR EACH ROW EXECUTE FUNCTION audit_logs_keep()",
        "CREATE TRIGGER audit_cuts_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_cuts "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()",
    ],
}
OLD = {
    "sqlite": [
        "DROP TRIGGER audit_logs_no_delete",
        "CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs "
        "BEGIN SELECT RAISE(ABORT, 'audit_logs can only be added to'); END",
    ],
    "postgresql": [
        "DROP TRIGGER audit_logs_no_delete ON audit_logs",
        "DROP FUNCTION audit_logs_keep()",
        "DROP TRIGGER audit_logs_no_change ON audit_logs",
        "CREATE TRIGGER audit_logs_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()",
    ],
}


def upgrade() -> None:
    op.create_table(
        "legal_holds",
        sa.Column("id", types.Identifier(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=True),
        sa.Column("party", types.Words(), nullable=True),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("placed_by", types.Words(), nullable=False),
        sa.Column("placed_at", types.UtcDateTime(), nullable=False),
        sa.Column("released_by", types.Words(), nullable=True),
        sa.Column("released_at", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
        sa.UniqueConstraint("name", name=op.f("uq_legal_holds_name")),
    )
    op.create_table(
        "audit_cuts",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_cuts")),
    )
    for statement in NEW[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    # A log that was cut cannot be verified by a program of before, which wants its first entry.
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM audit_cuts")):
        raise RuntimeError(
            "the audit log was cut by retention: a program of before could not verify it; not downgraded"
        )
    for statement in OLD[op.get_bind().dialect.name]:
        op.execute(statement)
    op.drop_table("audit_cuts")
    op.drop_table("legal_holds")
