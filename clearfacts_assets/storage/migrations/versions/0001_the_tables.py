"""Users, jobs, invoices, audit log, configuration (columns are a contract); deliveries, their attempts; alert outbox.

Version 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from clearfacts_assets.storage import types

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("channel", sa.String(length=100), nullable=False),
        sa.Column("message", types.Json(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", types.Words(), nullable=True),
        sa.Column("not_before", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("sent_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'sent', 'given_up')", name=op.f("ck_alerts_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("subject", name=op.f("uq_alerts_subject")),
    )
    op.create_index(op.f("ix_alerts_created_at"), "alerts", ["created_at"], unique=False)
    op.create_index(op.f("ix_alerts_state_not_before"), "alerts", ["state", "not_before"], unique=False)
    op.create_table(
        "configuration",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_encrypted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration")),
        sa.UniqueConstraint("key", name=op.f("uq_configuration_key")),
    )
    op.create_index(op.f("ix_configuration_key"), "configuration", ["key"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("destination", sa.String(length=50), nullable=False),
        sa.Column("receiver", types.Words(), nullable=False),
        sa.Column("supplier", types.Words(), nullable=False),
        sa.Column("document_type", sa.String(length=20), nullable=False),
        sa.Column("number", types.Words(), nullable=False),
        sa.Column("issue_year", sa.Integer(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("forced_by", types.Words(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", types.UtcDateTime(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", types.UtcDateTime(), nullable=True),
        sa.Column("document_id", types.Words(), nullable=True),
        sa.Column("reason", types.Words(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("delivered_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint("state <> 'delivered' OR delivered_at IS NOT NULL", name=op.f("ck_deliveries_delivered")),
        sa.CheckConstraint(
            "state <> 'sending' OR (run_id IS NOT NULL AND lease_until IS NOT NULL)", name=op.f("ck_deliveries_sending")
        ),
        sa.CheckConstraint(
            "state IN ('ready', 'held', 'sending', 'waiting', 'unknown', 'delivered', 'rejected', 'parked', 'waived')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("key_digest", "revision", name=op.f("uq_deliveries_key_digest_revision")),
    )
    op.create_index(op.f("ix_deliveries_content_sha256"), "deliveries", ["content_sha256"], unique=False)
    op.create_index(op.f("ix_deliveries_run_id"), "deliveries", ["run_id"], unique=False)
    op.create_index(op.f("ix_deliveries_state_not_before"), "deliveries", ["state", "not_before"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.String(length=150), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=20), server_default="user", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("resource_type", sa.String(length=100), nullable=False),
        sa.Column("resource_id", sa.String(length=255), nullable=True),
        sa.Column("details", types.Json(), nullable=False),
        sa.Column("ip_address", types.IpAddress, nullable=True),
        sa.Column("user_agent", types.Words(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_audit_logs_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_logs")),
    )
    op.create_index(op.f("ix_audit_logs_action"), "audit_logs", ["action"], unique=False)
    op.create_index(op.f("ix_audit_logs_created_at"), "audit_logs", ["created_at"], unique=False)
    op.create_index(op.f("ix_audit_logs_user_id"), "audit_logs", ["user_id"], unique=False)
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("correlation_id", types.Words(), nullable=True),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("reason", types.Words(), nullable=True),
        sa.Column("response", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_delivery_attempts_delivery_id_deliveries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
        sa.UniqueConstraint("delivery_id", "fence", name=op.f("uq_delivery_attempts_delivery_id_fence")),
    )
    op.create_index(op.f("ix_delivery_attempts_started_at"), "delivery_attempts", ["started_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_type", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("triggered_by", sa.Uuid(), nullable=True),
        sa.Column("started_at", types.UtcDateTime(), nullable=True),
        sa.Column("completed_at", types.UtcDateTime(), nullable=True),
        sa.Column("error_message", types.Words(), nullable=True),
        sa.Column("metadata", types.Json(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("partition_key", sa.String(length=10), nullable=True),
        sa.Column("correlation_id", types.Words(), nullable=True),
        sa.CheckConstraint("job_type IN ('scheduled', 'manual')", name=op.f("ck_jobs_job_type")),
        sa.CheckConstraint("status IN ('pending', 'running', 'completed', 'failed')", name=op.f("ck_jobs_status")),
        sa.ForeignKeyConstraint(["triggered_by"], ["users.id"], name=op.f("fk_jobs_triggered_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_created_at"), "jobs", ["created_at"], unique=False)
    op.create_index(op.f("ix_jobs_job_type"), "jobs", ["job_type"], unique=False)
    op.create_index(op.f("ix_jobs_partition_key"), "jobs", ["partition_key"], unique=False)
    op.create_index(op.f("ix_jobs_status"), "jobs", ["status"], unique=False)
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", types.Words(), nullable=False),
        sa.Column("ubl_data", types.Words(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("clearfacts_response", types.Json(), nullable=True),
        sa.Column("error_message", types.Words(), nullable=True),
        sa.Column("processed_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("source_updated_at", types.UtcDateTime(), nullable=True),
        sa.Column("content_sha256", sa.String(length=64), nullable=True),
        sa.Column("decision", sa.String(length=10), nullable=True),
        sa.Column("report", types.Json(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.Column("document_type", sa.String(length=20), nullable=True),
        sa.Column("number", types.Words(), nullable=True),
        sa.Column("issue_date", sa.Date(), nullable=True),
        sa.Column("supplier", types.Words(), nullable=True),
        sa.Column("customer", types.Words(), nullable=True),
        sa.Column("parties", types.Json(), nullable=True),
        sa.Column("payable_amount", types.ExactDecimal(), nullable=True),
        sa.Column("currency", types.Words(), nullable=True),
        sa.CheckConstraint("decision IN ('accept', 'hold', 'reject')", name=op.f("ck_invoices_decision")),
        sa.CheckConstraint("status IN ('pending', 'sent', 'failed', 'duplicate')", name=op.f("ck_invoices_status")),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_invoices_delivery_id_deliveries")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_invoices_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("job_id", "invoice_id", name=op.f("uq_invoices_job_id_invoice_id")),
    )
    op.create_index(op.f("ix_invoices_content_sha256"), "invoices", ["content_sha256"], unique=False)
    op.create_index(op.f("ix_invoices_created_at"), "invoices", ["created_at"], unique=False)
    op.create_index(op.f("ix_invoices_delivery_id"), "invoices", ["delivery_id"], unique=False)
    op.create_index(op.f("ix_invoices_invoice_id"), "invoices", ["invoice_id"], unique=False)
    op.create_index(op.f("ix_invoices_job_id"), "invoices", ["job_id"], unique=False)
    op.create_index(op.f("ix_invoices_processed_at"), "invoices", ["processed_at"], unique=False)
    op.create_index(op.f("ix_invoices_status"), "invoices", ["status"], unique=False)


def downgrade() -> None:
    op.drop_table("invoices")
    op.drop_table("jobs")
    op.drop_table("delivery_attempts")
    op.drop_table("audit_logs")
    op.drop_table("users")
    op.drop_table("deliveries")
    op.drop_table("configuration")
    op.drop_table("alerts")
