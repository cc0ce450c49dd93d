"""Chargeback: rates and rules with immutable versions, the ledger's lines, and what no program can change there.

Version 0030, after 0020. Triggers on both databases hold that a rule's version never changes, that a line is never
changed or deleted but only withdrawn once, and that nothing is written into a finalized period.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0030"
down_revision: str | None = "0024"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LIVE = sa.text("withdrawn_run IS NULL")
CARRIED = sa.text("withdrawn_run IS NULL AND kind = 'carried'")
OF_RULES = sa.text("withdrawn_run IS NULL AND rule_version IS NOT NULL")
LINE = (
    "period, run_id, charge_id, share, position, step, kind, rule_version, payer, attribution, currency, amount, note"
)
VERSION = "rule_id, number, valid_from, valid_to, definition, note, actor, at"
FINALIZED = "the period is finalized: nothing in it changes"


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        _triggers_of_postgresql()
    else:
        _triggers_of_sqlite()


def _tables() -> None:
    op.create_table(
        "billing_rules",
        sa.Column("id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_rules")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_billing_rules_kind_name")),
    )
    op.create_table(
        "billing_rule_versions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("rule_id", BIG, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("valid_to", sa.String(length=10), nullable=False),
        sa.Column("definition", types.Json(none_as_null=True), nullable=False),
        sa.Column("note", types.Words(), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("approved_by", types.Words(), nullable=True),
        sa.Column("approved_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["billing_rules.id"], name=op.f("fk_billing_rule_versions_rule_id_billing_rules")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_rule_versions")),
        sa.UniqueConstraint("rule_id", "number", name=op.f("uq_billing_rule_versions_rule_id_number")),
    )
    op.create_index(op.f("ix_billing_rule_versions_rule_id"), "billing_rule_versions", ["rule_id"], unique=False)
    op.create_table(
        "ledger_runs",
        sa.Column("id", BIG, nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("inputs", sa.String(length=64), nullable=False),
        sa.Column("charges", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.BigInteger(), nullable=False),
        sa.Column("totals", types.Json(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["period"], ["billing_periods.name"], name=op.f("fk_ledger_runs_period_billing_periods")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_runs")),
    )
    op.create_index(op.f("ix_ledger_runs_period"), "ledger_runs", ["period"], unique=False)
    op.create_table(
        "ledger_lines",
        sa.Column("id", BIG, nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("run_id", BIG, nullable=False),
        sa.Column("charge_id", BIG, nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("rule_version", BIG, nullable=True),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("attribution", sa.LargeBinary(length=16), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", types.ExactDecimal(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("withdrawn_run", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_lines")),
    )
    _index("uq_ledger_lines_place", ["period", "charge_id", "share", "position"], LIVE, unique=True)
    _index("ix_ledger_lines_rule", ["rule_version", "period"], OF_RULES)
    _index("ix_ledger_lines_carried", ["period"], CARRIED)
    _index("ix_ledger_lines_attribution", ["period", "attribution"], LIVE)


def _index(name: str, columns: list[str], where: sa.TextClause, *, unique: bool = False) -> None:
    op.create_index(name, "ledger_lines", columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _sqlite(name: str, event: str, table: str, message: str, when: str = "") -> None:
    condition = f"WHEN {when} " if when else ""
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition}"
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _triggers_of_sqlite() -> None:
    state = "(SELECT state FROM billing_periods WHERE name = {}.period) = 'finalized'"
    there = "(NEW.id > 0 AND EXISTS (SELECT 1 FROM {} WHERE id = NEW.id))"  # INSERT OR REPLACE
    for table, columns, once in (
        ("ledger_lines", LINE, "withdrawn_run"),
        ("billing_rule_versions", VERSION, "approved_by"),
    ):
        _sqlite(f"{table}_facts", f"UPDATE OF id, {columns}", table, f"what {table} say never changes")
        _sqlite(f"{table}_once", f"UPDATE OF {once}", table, f"{once} is set once", f"OLD.{once} IS NOT NULL")
    for table in ("ledger_lines", "billing_rule_versions", "billing_rules", "ledger_runs"):
        _sqlite(f"{table}_delete", "DELETE", table, f"{table} are never deleted")
    _sqlite("billing_rules_update", "UPDATE", "billing_rules", "a rule keeps its kind and name")
    _sqlite("ledger_runs_update", "UPDATE", "ledger_runs", "runs are only added to")
    _sqlite(
        "versions_replace",
        "INSERT",
        "billing_rule_versions",
        "versions are only added to",
        there.format("billing_rule_versions"),
    )
    for table in ("ledger_runs", "ledger_lines"):  # one trigger each: a second one costs as much again
        _sqlite(f"{table}_insert", "INSERT", table, FINALIZED, f"{state.format('NEW')} OR {there.format(table)}")
    _sqlite("ledger_lines_update", "UPDATE", "ledger_lines", FINALIZED, state.format("OLD"))


def _triggers_of_postgresql() -> None:
    op.execute(
        f"""
        CREATE FUNCTION chargeback_keep_lines() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT 1 FROM billing_periods p WHERE p.state = 'finalized'
                       AND p.name IN (SELECT DISTINCT period FROM touched)) THEN
                RAISE EXCEPTION '{FINALIZED}' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    for table, columns, once in (
        ("ledger_lines", LINE, "withdrawn_run"),
        ("billing_rule_versions", VERSION, "approved_by"),
    ):
        old, new = (", ".join(f"{row}.{name}" for name in ("id", *columns.split(", "))) for row in ("OLD", "NEW"))
        op.execute(
            f"""
            CREATE FUNCTION chargeback_keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF ({old}) IS DISTINCT FROM ({new})
                    OR (OLD.{once} IS NOT NULL AND NEW.{once} IS DISTINCT FROM OLD.{once})
                THEN RAISE EXCEPTION 'what {table} say never changes' USING ERRCODE = 'integrity_constraint_violation';
                END IF;
                RETURN NEW;
            END $$
            """
        )
        op.execute(
            f"CREATE TRIGGER keep BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION chargeback_keep_{table}()"
        )
    for table, event, row in (
        ("ledger_lines", "INSERT", "NEW"),
        ("ledger_lines", "UPDATE", "OLD"),
        ("ledger_runs", "INSERT", "NEW"),
    ):
        op.execute(
            f"CREATE TRIGGER keep_{event.lower()} AFTER {event} ON {table} REFERENCING {row} TABLE AS touched "
            "FOR EACH STATEMENT EXECUTE FUNCTION chargeback_keep_lines()"
        )
    never = {
        **dict.fromkeys(("ledger_lines", "billing_rule_versions"), "DELETE"),
        **dict.fromkeys(("billing_rules", "ledger_runs"), "UPDATE OR DELETE"),
    }
    for table, events in never.items():
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{table} are only added to')"
        op.execute(f"CREATE TRIGGER only_added_to BEFORE {events} ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER not_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")


def downgrade() -> None:
    for table in ("ledger_lines", "ledger_runs", "billing_rule_versions", "billing_rules"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for function in ("lines", "ledger_lines", "billing_rule_versions"):
            op.execute(f"DROP FUNCTION chargeback_keep_{function}()")
