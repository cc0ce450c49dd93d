"""Our database as commands open it: with the settings of this call, and with the rows of dead runs closed first."""

from __future__ import annotations

from sqlalchemy import Engine


def open_database() -> Engine:
    """An engine on our database. Jobs that look unfinished are first compared with Dagster, which knows."""
    from clearfacts_assets.cli.startup import ready
    from clearfacts_assets.storage.database import open_engine
    from clearfacts_assets.storage.invoices.jobs import JobRepository

    engine = open_engine(ready().business_database_url)
    # Dagster is imported only when there is something to ask it: it takes most of a second.
    if JobRepository(engine).unfinished():
        from dagster import DagsterInstance

        from clearfacts_assets.invoices.defs.runs import reconcile

        with DagsterInstance.get() as instance:
            reconcile(instance, engine)
    return engine
