"""Alembic's entry: migrations run on the connection that storage/migrate.py hands over, in its transaction."""

from __future__ import annotations

from alembic import context

import clearfacts_assets.storage.chargeback.import_tables
import clearfacts_assets.storage.chargeback.invoicing.tables
import clearfacts_assets.storage.chargeback.issuing.tables
import clearfacts_assets.storage.chargeback.journals.tables
import clearfacts_assets.storage.chargeback.rates.tables
import clearfacts_assets.storage.chargeback.registry_tables
import clearfacts_assets.storage.chargeback.tables
import clearfacts_assets.storage.invoices.tables
import clearfacts_assets.storage.operations.tables  # noqa: F401 - so that Base knows them all
from clearfacts_assets.storage.base import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("call clearfacts_assets.storage.migrate (or `clearfacts db upgrade`) instead of alembic")

context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
