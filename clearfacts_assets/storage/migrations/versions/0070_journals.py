"""Journals: batches with their lines, the statements that each books, what the general ledger answered.

Version 0070. Triggers on both databases hold that a batch begins as a draft, that it leaves only when debit is credit
and both are what its lines come to, that neither it nor its lines change afterwards, and that its state goes along its
life alone. On PostgreSQL a deferred one says the same of every line at the end of the transaction.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0070"
down_revision: str | None = "0080"
branch_labels = None
depends_on = None

ADDED_TO_ONLY = ("journal_answers", "journal_events")
MAY_CHANGE = {
    "journal_batches": ("state", "format", "file_name", "file_sha256", "posted_reference"),
    "journal_statements": ("released_by",),
}
WAYS = "('draft', 'exported'), ('draft', 'reversed'), ('exported', 'posted'), ('exported', 'reversed'), " \
    "('posted', 'reversed')"  # fmt: skip
_SIDES = "(SELECT COALESCE(sum(units), 0) FROM journal_lines WHERE batch_id = NEW.id AND side = '{side}')"
_UNBALANCED = (
    f"NEW.debit <> NEW.credit OR NEW.debit <> {_SIDES.format(side='D')} OR NEW.credit <> {_SIDES.format(side='C')} "
    "OR NEW.lines <> (SELECT count(*) FROM journal_lines WHERE batch_id = NEW.id)"
)
_NO_WAY = f"OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (VALUES {WAYS})"
NOT_BALANCED = "a batch leaves only when it balances"


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        _triggers_of_postgresql()
    else:
        _triggers_of_sqlite()


def _facts(table: str) -> str:
    columns = sa.inspect(op.get_bind()).get_columns(table)
    return ", ".join(column["name"] for column in columns if column["name"] not in MAY_CHANGE[table])


def _triggers_of_sqlite() -> None:
    def refuse(name: str, event: str, table: str, message: str, when: str = "") -> None:
        condition = f"WHEN {when} " if when else ""
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition}"
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )

    for table in ADDED_TO_ONLY:
        refuse(f"{table}_update", "UPDATE", table, f"{table} is only added to")
        refuse(f"{table}_delete", "DELETE", table, f"{table} is only added to")
    for table in MAY_CHANGE:
        refuse(f"{table}_facts", f"UPDATE OF {_facts(table)}", table, f"{table}: what was booked stays")
        refuse(f"{table}_delete", "DELETE", table, f"{table} are never deleted")
    refuse("journal_lines_update", "UPDATE", "journal_lines", "a line of a journal never changes")
    refuse("journal_lines_delete", "DELETE", "journal_lines", "a line of a journal is never deleted")
    left = "(SELECT state FROM journal_batches WHERE id = NEW.batch_id) <> 'draft'"
    refuse("journal_lines_left", "INSERT", "journal_lines", "a batch that has left gets no further lines", left)
    refuse("journal_batches_begin", "INSERT", "journal_batches", "a batch begins as a draft", "NEW.state <> 'draft'")
    refuse("journal_batches_way", "UPDATE OF state", "journal_batches", "there is no such way of a batch", _NO_WAY)
    leaves = f"OLD.state = 'draft' AND NEW.state <> 'reversed' AND ({_UNBALANCED})"
    refuse("journal_batches_balance", "UPDATE OF state", "journal_batches", NOT_BALANCED, leaves)


def _triggers_of_postgresql() -> None:
    for table in ADDED_TO_ONLY:
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{table} is only added to')"
        op.execute(f"CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER not_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")
    for table in MAY_CHANGE:
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{table}: what was booked stays')"
        op.execute(f"CREATE TRIGGER facts BEFORE UPDATE OF {_facts(table)} ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER kept BEFORE DELETE ON {table} FOR EACH ROW {refuse}")
    refuse = "EXECUTE FUNCTION chargeback_refuse('a line of a journal never changes')"
    op.execute(f"CREATE TRIGGER lines BEFORE UPDATE OR DELETE ON journal_lines FOR EACH ROW {refuse}")
    op.execute(f"CREATE TRIGGER not_emptied BEFORE TRUNCATE ON journal_lines FOR EACH STATEMENT {refuse}")
    refuse = "EXECUTE FUNCTION chargeback_refuse('a batch begins as a draft')"
    op.execute(
        f"CREATE TRIGGER begin BEFORE INSERT ON journal_batches FOR EACH ROW WHEN (NEW.state <> 'draft') {refuse}"
    )
    op.execute(
        "CREATE FUNCTION journal_batch_moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {_NO_WAY} THEN RAISE EXCEPTION 'there is no such way of a batch'; END IF; "
        f"IF OLD.state = 'draft' AND NEW.state NOT IN ('draft', 'reversed') AND ({_UNBALANCED}) "
        f"THEN RAISE EXCEPTION '{NOT_BALANCED}'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER moves BEFORE UPDATE OF state ON journal_batches FOR EACH ROW "
        "EXECUTE FUNCTION journal_batch_moves()"
    )
    op.execute(
        "CREATE FUNCTION journal_line_comes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT 1 FROM new_lines n JOIN journal_batches b ON b.id = n.batch_id WHERE b.state <> 'draft') "
        "THEN RAISE EXCEPTION 'a batch that has left gets no further lines'; END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER comes AFTER INSERT ON journal_lines REFERENCING NEW TABLE AS new_lines FOR EACH STATEMENT "
        "EXECUTE FUNCTION journal_line_comes()"
    )
    # Whatever is done in between: at the end of a transaction no batch that it added stands unbalanced.
    op.execute(
        "CREATE FUNCTION journal_batch_ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {_UNBALANCED} THEN RAISE EXCEPTION '{NOT_BALANCED}'; END IF; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON journal_batches DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION journal_batch_ends()"
    )


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _tables() -> None:
    op.create_table(
        "journal_batches",
        sa.Column("id", _id(), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("currency", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("journal_date", sa.Date(), nullable=False),
        sa.Column("accounting_date", sa.Date(), nullable=False),
        sa.Column("fiscal_year", sa.Integer(), nullable=False),
        sa.Column("fiscal_period", sa.Integer(), nullable=False),
        sa.Column("description", types.Words(), nullable=False),
        sa.Column("reverses", _id(), nullable=True),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("suspended", types.Json(none_as_null=True), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_by", types.Words(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("file_name", sa.String(length=100), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("posted_reference", types.Words(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('charges', 'reversal', 'transfer', 'accrual')", name=op.f("ck_journal_batches_kind")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'exported', 'posted', 'reversed')", name=op.f("ck_journal_batches_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_batches")),
        sa.UniqueConstraint("number", name=op.f("uq_journal_batches_number")),
        sa.UniqueConstraint("period", "position", name=op.f("uq_journal_batches_period_position")),
    )
    stands = sa.text("kind = 'accrual' AND state <> 'reversed'")
    takes_back = sa.text("kind = 'reversal' AND state <> 'reversed'")
    for name, columns, where in (
        ("uq_journal_batches_accrual", ["period", "currency"], stands),
        ("uq_journal_batches_reverses", ["reverses"], takes_back),
    ):
        op.create_index(name, "journal_batches", columns, unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "journal_lines",
        sa.Column("batch_id", _id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("pair", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(length=1), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("fund_org", types.Words(), nullable=False),
        sa.Column("account", types.Words(), nullable=False),
        sa.Column("segments", sa.Text(), nullable=False),
        sa.Column("description", types.Words(), nullable=False),
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("statement", sa.String(length=30), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("pi_email", types.Words(), nullable=False),
        sa.Column("project_id", types.Words(), nullable=False),
        sa.Column("instead_of", types.Words(), nullable=False),
        sa.CheckConstraint("side IN ('D', 'C')", name=op.f("ck_journal_lines_side")),
        sa.CheckConstraint("units > 0", name=op.f("ck_journal_lines_units")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["journal_batches.id"], name=op.f("fk_journal_lines_batch_id_journal_batches")
        ),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_journal_lines")),
    )
    op.create_table(
        "journal_statements",
        sa.Column("batch_id", _id(), nullable=False),
        sa.Column("statement_id", _id(), nullable=False),
        sa.Column("sign", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("released_by", _id(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["journal_batches.id"], name=op.f("fk_journal_statements_batch_id_journal_batches")
        ),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_journal_statements_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("batch_id", "statement_id", "sign", name=op.f("pk_journal_statements")),
    )
    booked = sa.text("sign = 1 AND released_by IS NULL")
    op.create_index(
        "uq_journal_statements_booked",
        "journal_statements",
        ["number"],
        unique=True,
        sqlite_where=booked,
        postgresql_where=booked,
    )
    op.create_index("ix_journal_statements_released_by", "journal_statements", ["released_by"], unique=False)
    op.create_index(op.f("ix_journal_statements_statement_id"), "journal_statements", ["statement_id"], unique=False)
    op.create_table(
        "journal_answers",
        sa.Column("id", _id(), nullable=False),
        sa.Column("batch_id", _id(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("message", types.Words(), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["journal_batches.id"], name=op.f("fk_journal_answers_batch_id_journal_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_answers")),
    )
    op.create_index(op.f("ix_journal_answers_batch_id"), "journal_answers", ["batch_id"], unique=False)
    op.create_table(
        "journal_events",
        sa.Column("id", _id(), nullable=False),
        sa.Column("batch_id", _id(), nullable=False),
        sa.Column("event", sa.String(length=15), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["journal_batches.id"], name=op.f("fk_journal_events_batch_id_journal_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_events")),
    )
    op.create_index(op.f("ix_journal_events_batch_id"), "journal_events", ["batch_id"], unique=False)


def downgrade() -> None:
    for table in ("journal_events", "journal_answers", "journal_statements", "journal_lines", "journal_batches"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for name in ("journal_batch_moves", "journal_line_comes", "journal_batch_ends"):
            op.execute(f"DROP FUNCTION {name}()")
