"""Sessions, refresh tokens and API keys; the audit log becomes a chain to which one can only add.

Version 0002, after 0001. Entries that are there already are chained in the order of their times.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

FIRST = "0" * 64


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.Column("ended_at", types.UtcDateTime(), nullable=True),
        sa.Column("ended_because", sa.String(length=50), nullable=True),
        sa.CheckConstraint("kind IN ('browser', 'api')", name=op.f("ck_sessions_kind")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", types.UtcDateTime(), nullable=False),
        sa.Column("used_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_refresh_tokens_session_id_sessions"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_refresh_tokens")),
    )
    op.create_index(op.f("ix_refresh_tokens_session_id"), "refresh_tokens", ["session_id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", types.Json(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.Column("revoked_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_api_keys_created_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        sa.UniqueConstraint("name", name=op.f("uq_api_keys_name")),
    )
    op.add_column("audit_logs", sa.Column("position", sa.Integer(), nullable=True))
    op.add_column("audit_logs", sa.Column("previous_hash", sa.String(length=64), nullable=True))
    op.add_column("audit_logs", sa.Column("hash", sa.String(length=64), nullable=True))
    _chain()
    with op.batch_alter_table("audit_logs") as table:
        table.alter_column("position", existing_type=sa.Integer(), nullable=False)
        table.alter_column("previous_hash", existing_type=sa.String(length=64), nullable=False)
        table.alter_column("hash", existing_type=sa.String(length=64), nullable=False)
        table.create_unique_constraint(op.f("uq_audit_logs_position"), ["position"])
    for statement in REFUSE[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    for statement in ALLOW[op.get_bind().dialect.name]:
        op.execute(statement)
    with op.batch_alter_table("audit_logs") as table:
        table.drop_constraint(op.f("uq_audit_logs_position"), type_="unique")
        table.drop_column("hash")
        table.drop_column("previous_hash")
        table.drop_column("position")
    op.drop_table("api_keys")
    op.drop_table("refresh_tokens")
    op.drop_table("sessions")


def _chain() -> None:
    """Position and hashes for the entries of version 0001, by the rule of storage/audit.py as it was then."""
    log = sa.table(
        "audit_logs",
        sa.column("id", sa.Uuid()),
        sa.column("user_id", sa.Uuid()),
        sa.column("action", sa.String()),
        sa.column("resource_type", sa.String()),
        sa.column("resource_id", sa.String()),
        sa.column("details", types.Json()),
        sa.column("ip_address", types.IpAddress),
        sa.column("user_agent", types.Words()),
        sa.column("created_at", types.UtcDateTime()),
        sa.column("position", sa.Integer()),
        sa.column("previous_hash", sa.String()),
        sa.column("hash", sa.String()),
    )
    connection = op.get_bind()
    previous = FIRST
    rows = connection.execute(sa.select(log).order_by(log.c.created_at, log.c.id)).mappings().all()
    for position, row in enumerate(rows, start=1):
        values: dict[str, Any] = {**row, "position": position, "previous_hash": previous}
        values.pop("hash")
        values["created_at"] = values["created_at"].isoformat()
        values["ip_address"] = None if values["ip_address"] is None else str(values["ip_address"])
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        connection.execute(
            sa.update(log).where(log.c.id == row["id"]).values(position=position, previous_hash=previous, hash=digest)
        )
        previous = digest


REFUSE = {
    "sqlite": [
        f"CREATE TRIGGER audit_logs_no_{what.lower()} BEFORE {what} ON audit_logs "
        "BEGIN SELECT RAISE(ABORT, 'audit_logs can only be added to'); END"
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION audit_logs_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit_logs can only be added to'; END $$",
        "CREATE TRIGGER audit_logs_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()",
    ],
}
ALLOW = {
    "sqlite": [f"DROP TRIGGER audit_logs_no_{what}" for what in ("update", "delete")],
    "postgresql": ["DROP TRIGGER audit_logs_no_change ON audit_logs", "DROP FUNCTION audit_logs_refuse()"],
}
