"""The composition root: all that Dagster sees. Loads with an empty environment and does no I/O."""

from __future__ import annotations

import dagster as dg

from clearfacts_assets import resources
from clearfacts_assets.chargeback.defs import definitions as chargeback
from clearfacts_assets.health import defs as health
from clearfacts_assets.installation import defs as installation
from clearfacts_assets.invoices.defs import definitions as invoices
from clearfacts_assets.orchestration.executor import beating_executor
from clearfacts_assets.orchestration.monitor import lost_runs
from clearfacts_assets.orchestration.run_lines import speak_as_we_do

speak_as_we_do()

defs = dg.Definitions.merge(
    invoices.defs,
    health.defs,
    installation.defs,
    chargeback.defs,
    dg.Definitions(
        sensors=[lost_runs],
        resources=resources.from_settings(),
        # "Materialize" and backfills in the UI run Dagster's own implicit job, which takes the executor from here. One
        # process per run: four short steps are 20 times faster so, and SQLite has one writer anyway.
        executor=beating_executor,
    ),
)
