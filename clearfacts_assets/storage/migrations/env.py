"""Alembic's entry: migrations run on the connection that storage/migrate.py hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from clearfacts_assets.storage.chargeback import tables as chargeback_tables
from clearfacts_assets.storage.tables import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("call clearfacts_assets.storage.migrate (or `clearfacts db upgrade`) instead of alembic")

context.configure(
    connection=connection,
    target_metadata=Base.metadata if chargeback_tables else None,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
