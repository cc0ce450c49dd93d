"""One history an invoice: what is known of each version, what the source shows of it, and wishes that were granted.

Version 0009, after 0008. What stands in the states and attempts of before is written into the flags from which states
follow now; which version the source shows under each of its ids is taken from the newest row of each id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

from clearfacts_assets.storage import types

revision = "0009"
down_revision: str | None = "0008"
branch_labels = None
depends_on = None

FLAGS = ("waived", "replaced", "refused", "in_doubt", "in_doubt_before", "may_repeat", "given_up")
STATES = ("ready", "held", "sending", "waiting", "unknown", "delivered", "rejected", "parked", "waived")
NEW_STATES = (*STATES, "superseded", "withdrawn")
IS_CURRENT = sa.text("is_current")


def upgrade() -> None:
    with _deliveries_with(NEW_STATES) as table:
        table.add_column(sa.Column("held_because", types.Words(), nullable=True))
        table.add_column(sa.Column("day", sa.String(length=10), nullable=True))
        table.add_column(sa.Column("ordered", sa.String(length=100), nullable=True))
        for name in FLAGS:
            table.add_column(sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("delivery_attempts", sa.Column("proof", sa.String(length=20), nullable=True))
    op.add_column("delivery_attempts", sa.Column("proof_response", types.Json(), nullable=True))
    op.add_column("delivery_attempts", sa.Column("proved_at", types.UtcDateTime(), nullable=True))
    _create_tables()
    _note_what_is_known()
    op.drop_column("deliveries", "forced_by")


def downgrade() -> None:
    op.add_column("deliveries", sa.Column("forced_by", types.Words(), nullable=True))
    op.execute("UPDATE deliveries SET state = 'waived' WHERE state IN ('superseded', 'withdrawn')")
    op.drop_table("delivery_wishes")
    op.drop_table("source_versions")
    for name in ("proof", "proof_response", "proved_at"):
        op.drop_column("delivery_attempts", name)
    with _deliveries_with(STATES) as table:
        for name in ("held_because", "day", "ordered", *FLAGS):
            table.drop_column(name)


def _create_tables() -> None:
    op.create_table(
        "source_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", types.Words(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("source_updated_at", types.UtcDateTime(), nullable=True),
        sa.Column("seen_at", types.UtcDateTime(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=True),
        sa.Column("is_current", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("withdrawn_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_source_versions_delivery_id_deliveries", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_source_versions"),
        sa.UniqueConstraint("source_id", "delivery_id", name="uq_source_versions_source_id_delivery_id"),
    )
    op.create_index(
        "uq_source_versions_current",
        "source_versions",
        ["source_id"],
        unique=True,
        sqlite_where=IS_CURRENT,
        postgresql_where=IS_CURRENT,
    )
    op.create_index("ix_source_versions_delivery_id", "source_versions", ["delivery_id"])
    op.create_index("ix_source_versions_day", "source_versions", ["day"])
    op.create_table(
        "delivery_wishes",
        sa.Column("wish", sa.String(length=100), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_delivery_wishes_delivery_id_deliveries", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("wish", "key_digest", name="pk_delivery_wishes"),
    )


def _note_what_is_known() -> None:
    """The flags from which each version's state follows, as far as states and attempts of before tell them."""
    lost = (
        "EXISTS (SELECT 1 FROM delivery_attempts a WHERE a.delivery_id = deliveries.id AND a.outcome = 'lost' {more})"
    )
    of_this = lost.format(more="AND a.generation = deliveries.generation")
    of_others = lost.format(more="AND a.generation < deliveries.generation")
    accepted = (
        "(SELECT min(a.finished_at) FROM delivery_attempts a "
        "WHERE a.delivery_id = deliveries.id AND a.outcome = 'accepted')"
    )
    statements = [
        f"UPDATE deliveries SET delivered_at = {accepted} WHERE delivered_at IS NULL AND {accepted} IS NOT NULL",
        "UPDATE deliveries SET waived = true WHERE state = 'waived'",
        "UPDATE deliveries SET refused = true WHERE state = 'rejected'",
        "UPDATE deliveries SET given_up = true WHERE state = 'parked'",
        f"UPDATE deliveries SET in_doubt = true WHERE state IN ('unknown', 'parked', 'waiting') AND {of_this}",
        "UPDATE deliveries SET may_repeat = true WHERE state = 'waiting' AND in_doubt",
        "UPDATE deliveries SET in_doubt = true WHERE state = 'unknown'",
        f"UPDATE deliveries SET in_doubt_before = true WHERE delivered_at IS NULL AND {of_others}",
        "UPDATE deliveries SET ordered = 'before 0009' "
        "WHERE generation > 1 AND state IN ('ready', 'waiting', 'sending')",
        "UPDATE deliveries SET held_because = reason WHERE held_for IS NOT NULL",
        "UPDATE deliveries SET day = (SELECT max(j.partition_key) FROM invoices i JOIN jobs j ON j.id = i.job_id "
        "WHERE i.delivery_id = deliveries.id)",
        # Requests that forced a version have sent it: a retry of one of them does not send it again.
        "INSERT INTO delivery_wishes (wish, key_digest, delivery_id, created_at) "
        "SELECT substr(forced_by, 1, 100), key_digest, id, updated_at FROM deliveries d WHERE forced_by IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.key_digest = d.key_digest AND e.revision < d.revision "
        "AND e.forced_by = d.forced_by)",
    ]
    for statement in statements:
        op.execute(statement)
    _note_what_the_source_shows()


def _note_what_the_source_shows() -> None:
    """Each pair of an id and a version once; what the newest row of an id has is what the source shows."""
    connection = op.get_bind()
    identifier = "lower(hex(randomblob(16)))" if connection.dialect.name == "sqlite" else "gen_random_uuid()"
    newest = "ORDER BY coalesce(i.source_updated_at, i.created_at) DESC, i.created_at DESC, i.id DESC"
    op.execute(
        f"""
        INSERT INTO source_versions (id, source_id, delivery_id, source_updated_at, seen_at, day, is_current)
        SELECT {identifier}, invoice_id, delivery_id, source_updated_at, created_at, partition_key, place = 1
        FROM (
            SELECT ranked.*, row_number() OVER (PARTITION BY invoice_id, delivery_id ORDER BY place) AS of_pair
            FROM (
                SELECT i.invoice_id, i.delivery_id, i.source_updated_at, i.created_at, j.partition_key,
                       row_number() OVER (PARTITION BY i.invoice_id {newest}) AS place
                FROM invoices i JOIN jobs j ON j.id = i.job_id WHERE i.delivery_id IS NOT NULL
            ) AS ranked
        ) AS pairs
        WHERE of_pair = 1
        """
    )


@contextmanager
def _deliveries_with(states: tuple[str, ...]) -> Iterator[BatchOperations]:
    """The table with other states; SQLite builds it anew."""
    with op.batch_alter_table("deliveries") as table:
        table.drop_constraint(op.f("ck_deliveries_state"), type_="check")
        table.create_check_constraint(op.f("ck_deliveries_state"), _one_of(states))
        yield table


def _one_of(states: tuple[str, ...]) -> str:
    return f"state IN ({', '.join(repr(state) for state in states)})"
