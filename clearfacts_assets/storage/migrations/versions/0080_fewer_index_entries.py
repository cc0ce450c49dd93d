"""Fewer entries in indexes for an invoice: each one costs as much as a good part of the row itself.

Version 0080. Indexes that no question uses are gone (deliveries by content and by run, attempts by their start). Those
of columns that are NULL at first hold no NULLs any more: a row enters them once, when it has a value. What the source
shows is unique by delivery and id, in this order, so that this index finds it by delivery, too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0080"
down_revision: str | None = "0090"
branch_labels = None
depends_on = None

UNUSED = (
    ("ix_deliveries_content_sha256", "deliveries", "content_sha256"),
    ("ix_deliveries_run_id", "deliveries", "run_id"),
    ("ix_delivery_attempts_started_at", "delivery_attempts", "started_at"),
)
FILLED_LATER = (
    ("ix_invoices_delivery_id", "delivery_id"),
    ("ix_invoices_processed_at", "processed_at"),
    ("ix_invoices_number", "substr(number, 1, 250)"),
)
IS_CURRENT = sa.text("is_current")


def upgrade() -> None:
    for name, table, _ in UNUSED:
        op.drop_index(name, table_name=table)
    for name, what in FILLED_LATER:
        op.drop_index(name, table_name="invoices")
        filled = sa.text(f"{what} IS NOT NULL")
        op.create_index(name, "invoices", [_held(what)], sqlite_where=filled, postgresql_where=filled)
    op.drop_index("ix_source_versions_delivery_id", table_name="source_versions")
    _unique("source_id", "delivery_id", now=("delivery_id", "source_id"))


def downgrade() -> None:
    _unique("delivery_id", "source_id", now=("source_id", "delivery_id"))
    op.create_index("ix_source_versions_delivery_id", "source_versions", ["delivery_id"])
    for name, what in FILLED_LATER:
        op.drop_index(name, table_name="invoices")
        op.create_index(name, "invoices", [_held(what)])
    for name, table, column in UNUSED:
        op.create_index(name, table, [column])


def _held(what: str) -> str | sa.TextClause:
    return what if what.isidentifier() else sa.text(what)


def _unique(*before: str, now: tuple[str, str]) -> None:
    """Another order of the columns. SQLite copies the table for it; its indexes are made anew, conditions and all."""
    op.drop_index("uq_source_versions_current", table_name="source_versions")
    op.drop_index("ix_source_versions_day", table_name="source_versions")
    with op.batch_alter_table("source_versions") as table:
        table.drop_constraint(f"uq_source_versions_{'_'.join(before)}", type_="unique")
        table.create_unique_constraint(f"uq_source_versions_{'_'.join(now)}", list(now))
    op.create_index(
        "uq_source_versions_current",
        "source_versions",
        ["source_id"],
        unique=True,
        sqlite_where=IS_CURRENT,
        postgresql_where=IS_CURRENT,
    )
    op.create_index("ix_source_versions_day", "source_versions", ["day"])
