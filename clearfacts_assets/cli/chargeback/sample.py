"""A sample month for whoever looks at the system for the first time: made-up exports, with the months before them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

MONTHS_BEFORE = 3  # from which on an anomaly can be told


def load_sample(engine: Engine, month: str) -> int:
    """Import what the made-up cloud and cluster cost in the month and before it. Returns how many charges came in; a
    second time none."""
    from clearfacts_assets.chargeback.model import months_up_to
    from clearfacts_assets.settings import load
    from clearfacts_assets.simulator.cost_exports import SOURCES, write_month
    from clearfacts_assets.storage.chargeback.importing import ImportRequest, import_files

    came = 0
    with TemporaryDirectory(prefix="clearfacts-sample-") as folder:
        for one in months_up_to(month, MONTHS_BEFORE + 1):
            for source in SOURCES:
                file = write_month(Path(folder), source, one, surge=one == month)
                wanted, now = ImportRequest(source=source, period=one), datetime.now(UTC)
                outcome, _ = import_files(
                    engine, [file], wanted, load().chargeback, usage={}, actor="clearfacts demo", now=now
                )
                came += 0 if outcome.unchanged else outcome.rows
    return came
