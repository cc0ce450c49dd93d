"""The walk through two months does what it says, and docs/chargeback.md shows what it prints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sqlalchemy import text

from clearfacts_assets.cli.chargeback.sample import load_sample
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets_tests.fixtures.command import Command

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "chargeback.md"
BEGIN, END = "<!-- walk -->\n", "<!-- end of the walk -->\n"


def test_the_document_shows_what_the_walk_prints(command: Command) -> None:
    shown = command("chargeback", "demo", "--markdown").stdout
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    written, _, after = rest.partition(END)
    if os.environ.get("WRITE_DOCS"):
        DOCUMENT.write_text(f"{before}{BEGIN}\n{shown}{END}{after}", "utf-8")
    assert written.strip() == shown.strip(), "clearfacts chargeback demo --markdown"


def test_the_walk_leaves_nothing_in_the_home_of_whoever_walks(command: Command) -> None:
    command("chargeback", "demo")
    with command.engine().connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM cost_imports")).scalar_one() == 0


def test_the_sample_month_comes_with_months_before_it_and_only_once(migrated_file: Path, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'clearfacts.db')}")
    assert load_sample(engine, "2026-02") == 4 * 48
    assert load_sample(engine, "2026-02") == 0
    periods = PeriodRepository(engine)
    assert [one.name for one in periods.list()] == ["2026-02", "2026-01", "2025-12", "2025-11"]
    assert periods.totals("2026-02")["USD"].flags["anomaly"] == 4
    engine.dispose()
