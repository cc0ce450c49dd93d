"""Statements, their charges, what was objected, and the mails that bring them; and what no program can change there.

Version 0040. Triggers on both databases hold that a statement never changes but in its state, and that what was
printed, what happened, what was objected and what a mail server said is only added to.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0040"
down_revision: str | None = "0030"
branch_labels = None
depends_on = None

ADDED_TO_ONLY = ("statement_files", "statement_events", "statement_remarks", "mail_attempts")
MAY_CHANGE = {"statements": ("state",), "statement_charges": ("live",)}


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        _triggers_of_postgresql()
    else:
        _triggers_of_sqlite()


def _facts(table: str) -> list[str]:
    columns = sa.inspect(op.get_bind()).get_columns(table)
    return [column["name"] for column in columns if column["name"] not in MAY_CHANGE[table]]


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
        refuse(f"{table}_facts", f"UPDATE OF {', '.join(_facts(table))}", table, f"{table}: what was printed stays")
        refuse(f"{table}_delete", "DELETE", table, f"{table} are never deleted")
    over = "OLD.state IN ('corrected', 'voided')"
    refuse("statements_over", "UPDATE", "statements", "a statement that counts no more stays so", over)
    refuse("statement_charges_over", "UPDATE", "statement_charges", "what is over stays so", "NOT OLD.live")


def _triggers_of_postgresql() -> None:
    for table in ADDED_TO_ONLY:
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{table} is only added to')"
        op.execute(f"CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER not_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")
    for table in MAY_CHANGE:
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{table}: what was printed stays')"
        facts = ", ".join(_facts(table))
        op.execute(f"CREATE TRIGGER facts BEFORE UPDATE OF {facts} ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER kept BEFORE DELETE ON {table} FOR EACH ROW {refuse}")
    over = "EXECUTE FUNCTION chargeback_refuse('what counts no more stays so')"
    op.execute(
        "CREATE TRIGGER over BEFORE UPDATE ON statements FOR EACH ROW "
        f"WHEN (OLD.state IN ('corrected', 'voided')) {over}"
    )
    op.execute(f"CREATE TRIGGER over BEFORE UPDATE ON statement_charges FOR EACH ROW WHEN (NOT OLD.live) {over}")


def _tables() -> None:
    op.create_table(
        "investigator_delegates",
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("delegate", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("email", "delegate", name=op.f("pk_investigator_delegates")),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("wish", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("recipient", types.Words(), nullable=False),
        sa.Column("name", types.Words(), nullable=False),
        sa.Column("copies", types.Json(none_as_null=True), nullable=False),
        sa.Column("subject", types.Words(), nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", types.UtcDateTime(), nullable=True),
        sa.Column("lease_until", types.UtcDateTime(), nullable=True),
        sa.Column("repeats", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("changed_at", types.UtcDateTime(), nullable=False),
        sa.Column("bytes_sha256", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "state IN ('ready', 'held', 'sending', 'waiting', 'unknown', 'sent', 'refused', 'bounced', 'dropped')",
            name=op.f("ck_mails_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sa.UniqueConstraint("wish", name=op.f("uq_mails_wish")),
    )
    op.create_index(op.f("ix_mails_message_id"), "mails", ["message_id"], unique=False)
    op.create_index(op.f("ix_mails_period"), "mails", ["period"], unique=False)
    op.create_index(op.f("ix_mails_recipient"), "mails", ["recipient"], unique=False)
    op.create_index("ix_mails_state_not_before", "mails", ["state", "not_before"], unique=False)
    op.create_table(
        "statement_numbers",
        sa.Column("subject_key", sa.String(length=64), nullable=False),
        sa.Column("series", sa.String(length=20), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("subject_key", name=op.f("pk_statement_numbers")),
        sa.UniqueConstraint("number", name=op.f("uq_statement_numbers_number")),
        sa.UniqueConstraint("series", "position", name=op.f("uq_statement_numbers_series_position")),
    )
    op.create_table(
        "statements",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.String(length=30), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=15), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("subject_key", sa.String(length=64), nullable=False),
        sa.Column("subject", types.Words(), nullable=False),
        sa.Column("project", types.Words(), nullable=False),
        sa.Column("fund", types.Words(), nullable=False),
        sa.Column("currency", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("listed", types.ExactDecimal(), nullable=False),
        sa.Column("discount", types.ExactDecimal(), nullable=False),
        sa.Column("subsidy", types.ExactDecimal(), nullable=False),
        sa.Column("credit", types.ExactDecimal(), nullable=False),
        sa.Column("due", types.ExactDecimal(), nullable=False),
        sa.Column("exact", types.ExactDecimal(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("charges", sa.Integer(), nullable=False),
        sa.Column("basis", types.Json(none_as_null=True), nullable=False),
        sa.Column("rules", types.Json(none_as_null=True), nullable=False),
        sa.Column("charges_hash", sa.String(length=64), nullable=False),
        sa.Column("inputs_hash", sa.String(length=64), nullable=False),
        sa.Column("pdf_sha256", sa.String(length=64), nullable=False),
        sa.Column("stand_ins", types.Words(), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("replaces", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("issued_on", sa.String(length=10), nullable=False),
        sa.Column("dispute_by", sa.String(length=10), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('investigator', 'sponsor', 'department', 'year')", name=op.f("ck_statements_kind")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'proposed', 'issued', 'corrected', 'voided')", name=op.f("ck_statements_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statements")),
    )
    op.create_index("ix_statements_period_kind", "statements", ["period", "kind"], unique=False)
    op.create_index(op.f("ix_statements_subject"), "statements", ["subject"], unique=False)
    op.create_index(
        "uq_statements_live",
        "statements",
        ["subject_key"],
        unique=True,
        sqlite_where=sa.text("state IN ('proposed', 'issued')"),
        postgresql_where=sa.text("state IN ('proposed', 'issued')"),
    )
    op.create_index(
        "uq_statements_version",
        "statements",
        ["number", "version"],
        unique=True,
        sqlite_where=sa.text("version > 0"),
        postgresql_where=sa.text("version > 0"),
    )
    op.create_table(
        "mail_attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mail_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.String(length=15), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("answer", types.Words(), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["mail_id"], ["mails.id"], name=op.f("fk_mail_attempts_mail_id_mails")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_attempts")),
    )
    op.create_index(op.f("ix_mail_attempts_mail_id"), "mail_attempts", ["mail_id"], unique=False)
    op.create_table(
        "mail_statements",
        sa.Column("mail_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("statement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["mail_id"], ["mails.id"], name=op.f("fk_mail_statements_mail_id_mails")),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_mail_statements_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("mail_id", "statement_id", name=op.f("pk_mail_statements")),
    )
    op.create_index(op.f("ix_mail_statements_statement_id"), "mail_statements", ["statement_id"], unique=False)
    op.create_table(
        "statement_charges",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("statement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("fund", types.Words(), nullable=False),
        sa.Column("cost_center", types.Words(), nullable=False),
        sa.Column("service", types.Words(), nullable=False),
        sa.Column("listed", types.ExactDecimal(), nullable=False),
        sa.Column("exact", types.ExactDecimal(), nullable=False),
        sa.Column("cents", types.ExactDecimal(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_statement_charges_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_charges")),
    )
    op.create_index("ix_statement_charges_statement", "statement_charges", ["statement_id", "line"], unique=False)
    op.create_index(
        "uq_statement_charges_live",
        "statement_charges",
        ["charge_id", "share"],
        unique=True,
        sqlite_where=sa.text("live AND charge_id <> 0"),
        postgresql_where=sa.text("live AND charge_id <> 0"),
    )
    op.create_table(
        "statement_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("statement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.String(length=15), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_statement_events_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_events")),
    )
    op.create_index(op.f("ix_statement_events_statement_id"), "statement_events", ["statement_id"], unique=False)
    op.create_table(
        "statement_files",
        sa.Column("statement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_statement_files_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("statement_id", name=op.f("pk_statement_files")),
    )
    op.create_table(
        "statement_remarks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("statement_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("answers", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("text", types.Words(), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["statements.id"], name=op.f("fk_statement_remarks_statement_id_statements")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_remarks")),
        sa.UniqueConstraint("answers", name=op.f("uq_statement_remarks_answers")),
    )
    op.create_index(op.f("ix_statement_remarks_statement_id"), "statement_remarks", ["statement_id"], unique=False)


def downgrade() -> None:
    op.drop_table("statement_remarks")
    op.drop_table("statement_files")
    op.drop_table("statement_events")
    op.drop_table("statement_charges")
    op.drop_table("mail_statements")
    op.drop_table("mail_attempts")
    op.drop_table("statements")
    op.drop_table("statement_numbers")
    op.drop_table("mails")
    op.drop_table("investigator_delegates")
