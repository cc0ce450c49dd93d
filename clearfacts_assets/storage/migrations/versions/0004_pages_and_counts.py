"""Indexes for what is read most: a job's counts without its rows, pages of jobs and invoices in their order,
and invoices by their number.

Version 0004, after 0003. No data changes.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

# table, before, after
INDEXES = (
    ("jobs", ["created_at"], ["created_at", "id"]),
    ("invoices", ["created_at"], ["created_at", "id"]),
    ("invoices", ["job_id"], ["job_id", "status"]),
)


def upgrade() -> None:
    for table, before, after in INDEXES:
        op.create_index(op.f(_name(table, after)), table, after, unique=False)
        op.drop_index(op.f(_name(table, before)), table_name=table)
    op.create_index(op.f("ix_invoices_number"), "invoices", ["number"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_invoices_number"), table_name="invoices")
    for table, before, after in INDEXES:
        op.create_index(op.f(_name(table, before)), table, before, unique=False)
        op.drop_index(op.f(_name(table, after)), table_name=table)


def _name(table: str, columns: list[str]) -> str:
    return "_".join(["ix", table, *columns])
