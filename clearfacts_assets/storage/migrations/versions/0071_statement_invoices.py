"""Invoices of statements. Triggers on both databases hold that rows are only added.

Version 0071.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0071"
down_revision: str | None = "0070"
branch_labels = None
depends_on = None

TABLE = "statement_invoices"


def upgrade() -> None:
    _table()
    said = f"{TABLE} is only added to"
    if op.get_bind().dialect.name == "postgresql":
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{said}')"
        op.execute(f"CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER not_emptied BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT {refuse}")
        return
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {TABLE}_{event.lower()} BEFORE {event} ON {TABLE} FOR EACH ROW "
            f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
        )


def _table() -> None:
    identifier = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        TABLE,
        sa.Column("id", identifier, nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("statement_id", identifier, nullable=False),
        sa.Column("statement", sa.String(length=30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("currency", sa.String(length=20), nullable=False),
        sa.Column("customer", types.Words(), nullable=False),
        sa.Column("issued", sa.Date(), nullable=False),
        sa.Column("due_by", sa.Date(), nullable=False),
        sa.Column("lines", types.Json(none_as_null=True), nullable=False),
        sa.Column("net", types.ExactDecimal(), nullable=False),
        sa.Column("vat", types.ExactDecimal(), nullable=False),
        sa.Column("gross", types.ExactDecimal(), nullable=False),
        sa.Column("vat_category", sa.String(length=2), nullable=False),
        sa.Column("vat_percent", types.ExactDecimal(), nullable=False),
        sa.Column("vat_reason", sa.String(length=40), nullable=False),
        sa.Column("names", sa.String(length=40), nullable=False),
        sa.Column("names_issued", sa.Date(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("file_name", sa.String(length=100), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", types.Words(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('invoice', 'credit_note')", name=op.f("ck_statement_invoices_kind")),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_statement_invoices_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_invoices")),
        sa.UniqueConstraint("number", name=op.f("uq_statement_invoices_number")),
    )
    asks, names = sa.text("names = ''"), sa.text("names <> ''")
    op.create_index(
        "uq_statement_invoices_asked", TABLE, ["statement_id"], unique=True, sqlite_where=asks, postgresql_where=asks
    )
    op.create_index(
        "uq_statement_invoices_names", TABLE, ["names"], unique=True, sqlite_where=names, postgresql_where=names
    )
    op.create_index("ix_statement_invoices_statement", TABLE, ["statement", "id"], unique=False)
    op.create_index(op.f("ix_statement_invoices_period"), TABLE, ["period"], unique=False)


def downgrade() -> None:
    op.drop_table(TABLE)
