"""What a month's ledger lines come to is kept with the run that wrote them, so that nobody adds up millions to see it.

Version 0220. The run keeps the sums as its last step. Any other change of the month's lines takes them away, whoever
makes it; a charge that stands elsewhere after the run is noted, whoever moves it. Months to which rules were applied
earlier have no sums: their lines are added up as before, until rules are applied again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0220"
down_revision: str | None = "0210"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FINALIZED = "the period is finalized: nothing in it changes"
_SEALED = "EXISTS (SELECT 1 FROM billing_periods WHERE name = {}.period AND state = 'finalized')"
_SEALED_BEFORE = "(SELECT state FROM billing_periods WHERE name = {}.period) = 'finalized'"
_KEPT = "EXISTS (SELECT 1 FROM ledger_sums WHERE period = {}.period)"
_THERE = "(NEW.id > 0 AND EXISTS (SELECT 1 FROM ledger_lines WHERE id = NEW.id))"  # INSERT OR REPLACE


def upgrade() -> None:
    op.create_table(
        "ledger_sums",
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("last_charge", BIG, nullable=False),
        sa.Column("sums", types.Json(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_ledger_sums")),
    )
    op.create_table(
        "moved_charges",
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("charge_id", BIG, nullable=False),
        sa.PrimaryKeyConstraint("period", "charge_id", name=op.f("pk_moved_charges")),
    )
    if op.get_bind().dialect.name == "postgresql":
        _watch_on_postgresql()
    else:
        _watch_on_sqlite()


def _watch_on_sqlite() -> None:
    """One trigger does both, what it did before and the new: a second one for each row costs as much again."""
    for event, row, refused in (
        ("INSERT", "NEW", f"{_SEALED.format('NEW')} OR {_THERE}"),
        ("UPDATE", "OLD", _SEALED.format("OLD")),
    ):
        name = f"ledger_lines_{event.lower()}"
        op.execute(f"DROP TRIGGER {name}")
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON ledger_lines FOR EACH ROW "
            f"WHEN {refused} OR {_KEPT.format(row)} "
            f"BEGIN SELECT RAISE(ABORT, '{FINALIZED}') WHERE {refused}; "
            f"DELETE FROM ledger_sums WHERE period = {row}.period; END"
        )
    op.execute(
        "CREATE TRIGGER charges_moved AFTER UPDATE OF status, withdrawn_by ON charges FOR EACH ROW "
        "WHEN (OLD.status <> NEW.status OR OLD.withdrawn_by IS NOT NEW.withdrawn_by) "
        f"AND {_KEPT.format('NEW')} "
        "BEGIN INSERT INTO moved_charges (period, charge_id) SELECT NEW.period, NEW.id WHERE NOT EXISTS "
        "(SELECT 1 FROM moved_charges WHERE period = NEW.period AND charge_id = NEW.id); END"
    )


def _watch_on_postgresql() -> None:
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION chargeback_keep_lines() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE named text[];
        BEGIN
            SELECT array_agg(period) INTO named FROM (SELECT DISTINCT period FROM touched) t;
            IF EXISTS (SELECT 1 FROM billing_periods p WHERE p.state = 'finalized' AND p.name = ANY(named)) THEN
                RAISE EXCEPTION '{FINALIZED}' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            IF TG_TABLE_NAME = 'ledger_lines' THEN
                DELETE FROM ledger_sums WHERE period = ANY(named);
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION chargeback_note_moved() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO moved_charges (period, charge_id)
                SELECT period, NEW.id FROM ledger_sums WHERE period = NEW.period
                ON CONFLICT DO NOTHING;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER note_moved BEFORE UPDATE ON charges FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status "
        "OR OLD.withdrawn_by IS DISTINCT FROM NEW.withdrawn_by) EXECUTE FUNCTION chargeback_note_moved()"
    )
    # A new charge comes after all that a run saw. One with a number of its own that does not is looked at as well.
    op.execute(
        f"""
        CREATE FUNCTION chargeback_keep_new_charge() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT 1 FROM billing_periods WHERE name = NEW.period AND state = 'finalized') THEN
                RAISE EXCEPTION '{FINALIZED}' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            IF NEW.id <= (SELECT last_charge FROM ledger_sums WHERE period = NEW.period) THEN
                DELETE FROM ledger_sums WHERE period = NEW.period;
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute("DROP TRIGGER keep ON charges")
    _of_charges("keep", "UPDATE", "chargeback_keep_charge")
    _of_charges("keep_new", "INSERT", "chargeback_keep_new_charge")


def _of_charges(name: str, events: str, function: str) -> None:
    op.execute(f"CREATE TRIGGER {name} BEFORE {events} ON charges FOR EACH ROW EXECUTE FUNCTION {function}()")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name in ("keep", "keep_new", "note_moved"):
            op.execute(f"DROP TRIGGER {name} ON charges")
        _of_charges("keep", "INSERT OR UPDATE", "chargeback_keep_charge")
        op.execute("DROP FUNCTION chargeback_keep_new_charge()")
        op.execute("DROP FUNCTION chargeback_note_moved()")
        op.execute(
            f"""
            CREATE OR REPLACE FUNCTION chargeback_keep_lines() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF EXISTS (SELECT 1 FROM billing_periods p WHERE p.state = 'finalized'
                           AND p.name IN (SELECT DISTINCT period FROM touched)) THEN
                    RAISE EXCEPTION '{FINALIZED}' USING ERRCODE = 'integrity_constraint_violation';
                END IF;
                RETURN NULL;
            END $$
            """
        )
    else:
        op.execute("DROP TRIGGER charges_moved")
        for event, refused in (
            ("INSERT", f"{_SEALED_BEFORE.format('NEW')} OR {_THERE}"),
            ("UPDATE", _SEALED_BEFORE.format("OLD")),
        ):
            name = f"ledger_lines_{event.lower()}"
            op.execute(f"DROP TRIGGER {name}")
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON ledger_lines FOR EACH ROW WHEN {refused} "
                f"BEGIN SELECT RAISE(ABORT, '{FINALIZED}'); END"
            )
    op.drop_table("moved_charges")
    op.drop_table("ledger_sums")
