"""Chargeback: imports, charges, decisions, periods, the registry; and what no program can change there.

Version 0020, after 0011. Triggers on both databases hold that what a charge says never changes, that nothing of a
finalized period changes, and that evidence (decisions, events, tag sets, attributions, original rows) is only added to.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0020"
down_revision: str | None = "0011"
branch_labels = None
depends_on = None

# What a charge says. The other columns (attribution, flags, status, withdrawn_by) say where it stands.
FACTS = [
    "id",
    "period",
    "origin_period",
    "kind",
    "source",
    "import_id",
    "import_file",
    "row",
    "line",
    "account",
    "sub_account",
    "fingerprint",
    "occurrence",
    "category",
    "charge_class",
    "currency",
    "billed",
    "effective",
    "contracted",
    "list",
    "listed",
    "amount",
    "charge_start",
    "charge_end",
    "service",
    "resource_id",
    "resource_name",
    "sku",
    "quantity",
    "unit",
    "invoice_id",
    "issuer",
    "tag_set",
    "read_attribution",
    "read_flags",
    "corrects",
]
ADDED_TO_ONLY = (
    "billing_period_events",
    "charge_decisions",
    "cost_attributions",
    "cost_row_chunks",
    "cost_tag_sets",
)
KEYS = {
    "billing_period_events": ["id"],
    "charge_decisions": ["id"],
    "cost_attributions": ["digest"],
    "cost_row_chunks": ["import_file", "first_row"],
    "cost_tag_sets": ["digest"],
    "billing_periods": ["name"],
}


def _finalized(period: str) -> str:
    return f"(SELECT state FROM billing_periods WHERE name = {period}) = 'finalized'"


def _sqlite(name: str, event: str, table: str, message: str, when: str = "") -> None:
    condition = f"WHEN {when} " if when else ""
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition}"
        f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _triggers_of_sqlite() -> None:
    finalized = "the period is finalized: nothing in it changes"
    # INSERT OR REPLACE deletes without asking the triggers of DELETE: a row that is there already is refused as well.
    there = "(NEW.id > 0 AND EXISTS (SELECT 1 FROM charges WHERE id = NEW.id))"
    _sqlite("charges_insert", "INSERT", "charges", finalized, f"{_finalized('NEW.period')} OR {there}")
    _sqlite("charges_update", "UPDATE", "charges", finalized, _finalized("OLD.period"))
    _sqlite("charges_delete", "DELETE", "charges", "charges are never deleted, only withdrawn")
    _sqlite("charges_facts", f"UPDATE OF {', '.join(FACTS)}", "charges", "what a charge says never changes")
    _sqlite(
        "charges_withdrawn",
        "UPDATE OF withdrawn_by",
        "charges",
        "a withdrawn charge stays withdrawn",
        "OLD.withdrawn_by IS NOT NULL",
    )
    _sqlite(
        "decisions_finalized",
        "INSERT",
        "charge_decisions",
        finalized,
        _finalized("(SELECT period FROM charges WHERE id = NEW.charge_id)"),
    )
    for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
        _sqlite(f"totals_{event.lower()}", event, "charge_totals", finalized, _finalized(f"{row}.period"))
    _sqlite("periods_insert", "INSERT", "billing_periods", "a period begins open", "NEW.state <> 'open'")
    _sqlite("periods_delete", "DELETE", "billing_periods", "periods are never deleted")
    _sqlite("periods_finalized", "UPDATE", "billing_periods", finalized, "OLD.state = 'finalized'")
    _sqlite("periods_name", "UPDATE OF name", "billing_periods", "a period keeps its name")
    _sqlite(
        "periods_state",
        "UPDATE",
        "billing_periods",
        "a period is closed before it is finalized",
        "OLD.state = 'open' AND NEW.state = 'finalized'",
    )
    for table in ADDED_TO_ONLY:
        _sqlite(f"{table}_update", "UPDATE", table, f"{table} is only added to")
        _sqlite(f"{table}_delete", "DELETE", table, f"{table} is only added to")
    for table, key in KEYS.items():
        same = " AND ".join(f"{name} = NEW.{name}" for name in key)
        there = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"
        if table in ("cost_attributions", "cost_tag_sets"):
            # Adding what is there already is harmless and usual; replacing it by something else is not.
            columns = ("tags",) if table == "cost_tag_sets" else ("pi_email", "project_id", "fund_org", "account_code")
            differs = " OR ".join(f"{name} IS NOT NEW.{name}" for name in columns)
            there = f"EXISTS (SELECT 1 FROM {table} WHERE {same} AND ({differs}))"
        _sqlite(f"{table}_replace", "INSERT", table, f"{table}: this row is there already", there)


def _triggers_of_postgresql() -> None:
    facts = ", ".join(f"OLD.{name}" for name in FACTS)
    new_facts = ", ".join(f"NEW.{name}" for name in FACTS)
    op.execute(
        """
        CREATE FUNCTION chargeback_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION chargeback_finalized(period_name text) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT 1 FROM billing_periods WHERE name = period_name AND state = 'finalized') THEN
                RAISE EXCEPTION 'the period is finalized: nothing in it changes'
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
        END $$
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION chargeback_keep_charge() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                PERFORM chargeback_finalized(NEW.period);
                RETURN NEW;
            END IF;
            PERFORM chargeback_finalized(OLD.period);
            IF ({facts}) IS DISTINCT FROM ({new_facts}) THEN
                RAISE EXCEPTION 'what a charge says never changes' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            IF OLD.withdrawn_by IS NOT NULL AND NEW.withdrawn_by IS DISTINCT FROM OLD.withdrawn_by THEN
                RAISE EXCEPTION 'a withdrawn charge stays withdrawn'
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION chargeback_keep_total() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP <> 'INSERT' THEN PERFORM chargeback_finalized(OLD.period); END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            PERFORM chargeback_finalized(NEW.period);
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION chargeback_keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM chargeback_finalized((SELECT period FROM charges WHERE id = NEW.charge_id));
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION chargeback_keep_period() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'INSERT' AND NEW.state <> 'open' THEN
                RAISE EXCEPTION 'a period begins open' USING ERRCODE = 'integrity_constraint_violation';
            ELSIF TG_OP = 'UPDATE' THEN
                IF OLD.state = 'finalized' OR OLD.name <> NEW.name THEN
                    RAISE EXCEPTION 'the period is finalized: nothing in it changes'
                        USING ERRCODE = 'integrity_constraint_violation';
                ELSIF OLD.state = 'open' AND NEW.state = 'finalized' THEN
                    RAISE EXCEPTION 'a period is closed before it is finalized'
                        USING ERRCODE = 'integrity_constraint_violation';
                END IF;
            END IF;
            RETURN NEW;
        END $$
        """
    )
    for table, events, function in (
        ("charges", "INSERT OR UPDATE", "chargeback_keep_charge()"),
        ("charge_totals", "INSERT OR UPDATE OR DELETE", "chargeback_keep_total()"),
        ("charge_decisions", "INSERT", "chargeback_keep_decision()"),
        ("billing_periods", "INSERT OR UPDATE", "chargeback_keep_period()"),
    ):
        op.execute(f"CREATE TRIGGER keep BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}")
    never = {"charges": "DELETE", "billing_periods": "DELETE", **dict.fromkeys(ADDED_TO_ONLY, "UPDATE OR DELETE")}
    for table, events in never.items():
        refuse = f"EXECUTE FUNCTION chargeback_refuse('{table} is only added to')"
        op.execute(f"CREATE TRIGGER only_added_to BEFORE {events} ON {table} FOR EACH ROW {refuse}")
        op.execute(f"CREATE TRIGGER not_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")


def upgrade() -> None:
    _tables()
    if op.get_bind().dialect.name == "postgresql":
        _triggers_of_postgresql()
    else:
        _triggers_of_sqlite()


def _tables() -> None:
    op.create_table(
        "billing_exceptions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", types.Words(), nullable=False),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("valid_to", sa.String(length=10), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_exceptions")),
    )
    op.create_table(
        "billing_periods",
        sa.Column("name", sa.String(length=7), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("changed_at", types.UtcDateTime(), nullable=False),
        sa.Column("finalized_position", sa.Integer(), nullable=True),
        sa.Column("finalized_rows", sa.BigInteger(), nullable=True),
        sa.Column("previous_hash", sa.String(length=64), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.CheckConstraint("state IN ('open', 'closed', 'finalized')", name=op.f("ck_billing_periods_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_billing_periods")),
        sa.UniqueConstraint("finalized_position", name=op.f("uq_billing_periods_finalized_position")),
    )
    op.create_table(
        "charge_decisions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("charge_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("note", types.Words(), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("before", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("attribution_before", sa.LargeBinary(length=16), nullable=False),
        sa.Column("attribution", sa.LargeBinary(length=16), nullable=False),
        sa.Column("carried_from", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_decisions")),
    )
    op.create_index(op.f("ix_charge_decisions_charge_id"), "charge_decisions", ["charge_id"], unique=False)
    op.create_table(
        "charge_totals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("attribution", sa.LargeBinary(length=16), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("billed", types.ExactDecimal(), nullable=False),
        sa.Column("effective", types.ExactDecimal(), nullable=False),
        sa.Column("contracted", types.ExactDecimal(), nullable=False),
        sa.Column("list", types.ExactDecimal(), nullable=False),
        sa.Column("listed", types.ExactDecimal(), nullable=False),
        sa.Column("amount", types.ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_totals")),
    )
    op.create_index(op.f("ix_charge_totals_period"), "charge_totals", ["period"], unique=False)
    op.create_table(
        "charges",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("origin_period", sa.String(length=7), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("import_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("import_file", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sub_account", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=16), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("charge_class", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("billed", types.ExactDecimal(), nullable=True),
        sa.Column("effective", types.ExactDecimal(), nullable=True),
        sa.Column("contracted", types.ExactDecimal(), nullable=True),
        sa.Column("list", types.ExactDecimal(), nullable=True),
        sa.Column("listed", types.ExactDecimal(), nullable=False),
        sa.Column("amount", types.ExactDecimal(), nullable=False),
        sa.Column("charge_start", sa.String(length=20), nullable=False),
        sa.Column("charge_end", sa.String(length=20), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("resource_name", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("tag_set", sa.LargeBinary(length=16), nullable=False),
        sa.Column("read_attribution", sa.LargeBinary(length=16), nullable=False),
        sa.Column("attribution", sa.LargeBinary(length=16), nullable=False),
        sa.Column("read_flags", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("corrects", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("withdrawn_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charges")),
    )
    op.create_index(
        "ix_charges_attribution",
        "charges",
        ["period", "attribution"],
        unique=False,
        sqlite_where=sa.text("withdrawn_by IS NULL"),
        postgresql_where=sa.text("withdrawn_by IS NULL"),
    )
    op.create_index(
        "ix_charges_corrects",
        "charges",
        ["corrects"],
        unique=False,
        sqlite_where=sa.text("corrects IS NOT NULL"),
        postgresql_where=sa.text("corrects IS NOT NULL"),
    )
    op.create_index(
        "ix_charges_late",
        "charges",
        ["origin_period", "source"],
        unique=False,
        sqlite_where=sa.text("kind <> 'charge'"),
        postgresql_where=sa.text("kind <> 'charge'"),
    )
    op.create_index(
        "ix_charges_period",
        "charges",
        ["period", "id"],
        unique=False,
        sqlite_where=sa.text("withdrawn_by IS NULL"),
        postgresql_where=sa.text("withdrawn_by IS NULL"),
    )
    op.create_index(
        "ix_charges_waiting",
        "charges",
        ["period", "id"],
        unique=False,
        sqlite_where=sa.text("status <> 'clear' AND withdrawn_by IS NULL"),
        postgresql_where=sa.text("status <> 'clear' AND withdrawn_by IS NULL"),
    )
    op.create_index(
        "uq_charges_identity",
        "charges",
        ["period", "fingerprint", "source", "occurrence", "kind", "origin_period"],
        unique=True,
        sqlite_where=sa.text("withdrawn_by IS NULL"),
        postgresql_where=sa.text("withdrawn_by IS NULL"),
    )
    op.create_table(
        "cost_attributions",
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("pi_email", types.Words(), nullable=False),
        sa.Column("project_id", types.Words(), nullable=False),
        sa.Column("fund_org", types.Words(), nullable=False),
        sa.Column("cost_center", types.Words(), nullable=False),
        sa.Column("account_code", types.Words(), nullable=False),
        sa.Column("reference_1", types.Words(), nullable=False),
        sa.Column("reference_2", types.Words(), nullable=False),
        sa.Column("origin", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_cost_attributions")),
    )
    op.create_index(op.f("ix_cost_attributions_fund_org"), "cost_attributions", ["fund_org"], unique=False)
    op.create_index(op.f("ix_cost_attributions_pi_email"), "cost_attributions", ["pi_email"], unique=False)
    op.create_index(op.f("ix_cost_attributions_project_id"), "cost_attributions", ["project_id"], unique=False)
    op.create_table(
        "cost_sources",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("display_name", types.Words(), nullable=False),
        sa.Column("pattern", types.Words(), nullable=False),
        sa.Column("basis", sa.String(length=20), nullable=False),
        sa.Column("credit_fund_org", types.Words(), nullable=False),
        sa.Column("account_code", types.Words(), nullable=False),
        sa.Column("decimal_comma", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cost_sources")),
    )
    op.create_table(
        "cost_tag_sets",
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_cost_tag_sets")),
    )
    op.create_table(
        "investigators",
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("name", types.Words(), nullable=False),
        sa.Column("institution", types.Words(), nullable=False),
        sa.PrimaryKeyConstraint("email", name=op.f("pk_investigators")),
    )
    op.create_table(
        "registry_aliases",
        sa.Column("kind", sa.String(length=15), nullable=False),
        sa.Column("alias", sa.String(length=500), nullable=False),
        sa.Column("name", types.Words(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "alias", name=op.f("pk_registry_aliases")),
    )
    op.create_table(
        "research_funds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fund_org", sa.String(length=500), nullable=False),
        sa.Column("name", types.Words(), nullable=False),
        sa.Column("budget", types.ExactDecimal(), nullable=True),
        sa.Column("currency", sa.String(length=10), nullable=False),
        sa.Column("award_end", sa.String(length=10), nullable=False),
        sa.Column("may_charge", types.Json(none_as_null=True), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("valid_to", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_research_funds")),
        sa.UniqueConstraint("fund_org", "valid_from", name=op.f("uq_research_funds_fund_org_valid_from")),
    )
    op.create_table(
        "research_projects",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.String(length=500), nullable=False),
        sa.Column("pi_email", types.Words(), nullable=False),
        sa.Column("fund_org", types.Words(), nullable=False),
        sa.Column("account_code", types.Words(), nullable=False),
        sa.Column("cost_center", types.Words(), nullable=False),
        sa.Column("overrides", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("valid_to", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_research_projects")),
        sa.UniqueConstraint("project_id", "valid_from", name=op.f("uq_research_projects_project_id_valid_from")),
    )
    op.create_table(
        "billing_period_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("reason", types.Words(), nullable=False),
        sa.Column("details", types.Json(none_as_null=True), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["period"], ["billing_periods.name"], name=op.f("fk_billing_period_events_period_billing_periods")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_period_events")),
    )
    op.create_index(op.f("ix_billing_period_events_period"), "billing_period_events", ["period"], unique=False)
    op.create_table(
        "cost_imports",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=True),
        sa.Column("rules_digest", sa.String(length=64), nullable=False),
        sa.Column("content_digest", sa.String(length=64), nullable=False),
        sa.Column("actor", types.Words(), nullable=False),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("difference", types.Json(none_as_null=True), nullable=False),
        sa.Column("scopes", types.Json(none_as_null=True), nullable=False),
        sa.Column("withdrawn_at", types.UtcDateTime(), nullable=True),
        sa.Column("withdrawn_reason", types.Words(), nullable=True),
        sa.ForeignKeyConstraint(["source"], ["cost_sources.name"], name=op.f("fk_cost_imports_source_cost_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cost_imports")),
    )
    op.create_index(op.f("ix_cost_imports_content_digest"), "cost_imports", ["content_digest"], unique=False)
    op.create_index(op.f("ix_cost_imports_source"), "cost_imports", ["source"], unique=False)
    op.create_table(
        "cost_import_files",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("import_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", types.Words(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("dialect", types.Words(), nullable=False),
        sa.Column("dataset", sa.String(length=30), nullable=False),
        sa.Column("version", sa.String(length=10), nullable=False),
        sa.Column("header", types.Json(none_as_null=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("tie_out", types.Json(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["cost_imports.id"], name=op.f("fk_cost_import_files_import_id_cost_imports")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cost_import_files")),
    )
    op.create_index(op.f("ix_cost_import_files_import_id"), "cost_import_files", ["import_id"], unique=False)
    op.create_index(op.f("ix_cost_import_files_sha256"), "cost_import_files", ["sha256"], unique=False)
    op.create_table(
        "cost_refusals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("import_file", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("column", types.Words(), nullable=False),
        sa.Column("value", types.Words(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("message", types.Words(), nullable=False),
        sa.Column("record", types.Words(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_file"], ["cost_import_files.id"], name=op.f("fk_cost_refusals_import_file_cost_import_files")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cost_refusals")),
    )
    op.create_index(op.f("ix_cost_refusals_import_file"), "cost_refusals", ["import_file"], unique=False)
    op.create_table(
        "cost_row_chunks",
        sa.Column("import_file", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_row", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_file"], ["cost_import_files.id"], name=op.f("fk_cost_row_chunks_import_file_cost_import_files")
        ),
        sa.PrimaryKeyConstraint("import_file", "first_row", name=op.f("pk_cost_row_chunks")),
    )


def downgrade() -> None:
    op.drop_table("cost_row_chunks")
    op.drop_table("cost_refusals")
    op.drop_table("cost_import_files")
    op.drop_table("cost_imports")
    op.drop_table("billing_period_events")
    op.drop_table("research_projects")
    op.drop_table("research_funds")
    op.drop_table("registry_aliases")
    op.drop_table("investigators")
    op.drop_table("cost_tag_sets")
    op.drop_table("cost_sources")
    op.drop_table("cost_attributions")
    op.drop_table("charges")
    op.drop_table("charge_totals")
    op.drop_table("charge_decisions")
    op.drop_table("billing_periods")
    op.drop_table("billing_exceptions")
    if op.get_bind().dialect.name == "postgresql":
        for function in (
            "refuse()",
            "finalized(text)",
            "keep_charge()",
            "keep_total()",
            "keep_decision()",
            "keep_period()",
        ):
            op.execute(f"DROP FUNCTION chargeback_{function}")
