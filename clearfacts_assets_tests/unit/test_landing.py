"""The folder into which cost exports are put: what is a delivery, and when it is complete."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from clearfacts_assets.chargeback.defs.automation import deliveries_due
from clearfacts_assets.chargeback.landing import Landed, look

NOW, QUIET = datetime(2026, 11, 2, 9, 0, tzinfo=UTC), timedelta(seconds=120)


def put(folder: Path, name: str, content: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def only(folder: Path) -> Landed:
    (delivery,) = look(folder).deliveries
    return delivery


def due(folder: Path, cursor: str | None, after: timedelta = timedelta()) -> tuple[list[str], dg.SensorResult]:
    result = deliveries_due(look(folder).deliveries, cursor, NOW + after, QUIET)
    return [str(one.partition_key) for one in result.run_requests or []], result


@pytest.mark.parametrize("month", ["2026-09", "BILLING_PERIOD=2026-09"])
def test_a_folder_of_a_source_and_a_month_is_one_delivery_of_all_its_exports(tmp_path: Path, month: str) -> None:
    for name in ("a.csv", "deep/er/b.csv.gz", "c.parquet", "manifest.json", ".hidden.csv"):
        put(tmp_path, f"aws/{month}/{name}")
    delivery = only(tmp_path)
    assert (delivery.source, delivery.month) == ("aws", "2026-09")
    assert [one.name for one in delivery.files] == ["a.csv", "c.parquet", "b.csv.gz"]


def test_what_is_no_delivery_is_named_with_the_reason(tmp_path: Path) -> None:
    put(tmp_path, "aws_2026-09.csv")
    put(tmp_path, "aws/march.csv")
    put(tmp_path, "aws/2026-13/a.csv")
    put(tmp_path, "aws/2026-09/a.csv")
    put(tmp_path, "aws/billing_period=2026-09/a.csv")
    put(tmp_path, "a|b/2026-09/a.csv")
    found = look(tmp_path)
    assert [one.name for one in found.deliveries] == ["aws/2026-09"]
    assert set(found.strays) == {
        "aws_2026-09.csv",
        "aws/march.csv",
        "aws/2026-13",
        "aws/billing_period=2026-09",
        "a|b",
    }


def test_a_delivery_is_imported_once_nothing_has_changed_for_a_while_by_our_clock(tmp_path: Path) -> None:
    file = put(tmp_path, "aws/2026-09/a.csv")
    os.utime(file, (0, 0))  # a copy that kept its old times
    asked, first = due(tmp_path, None)
    assert asked == []
    put(tmp_path, "aws/2026-09/b.csv")  # and another part comes
    asked, second = due(tmp_path, first.cursor, QUIET)
    assert asked == []
    asked, third = due(tmp_path, second.cursor, 2 * QUIET)
    assert asked == ["2026-09|aws"]
    asked, fourth = due(tmp_path, third.cursor, 3 * QUIET)
    assert asked == []
    put(tmp_path, "aws/2026-09/a.csv", "delivered again")
    asked, fifth = due(tmp_path, fourth.cursor, 4 * QUIET)
    assert asked == []
    assert due(tmp_path, fifth.cursor, 5 * QUIET)[0] == ["2026-09|aws"]


def test_the_marker_ends_the_waiting_and_what_comes_after_it_begins_it_again(tmp_path: Path) -> None:
    put(tmp_path, "aws/2026-09/a.csv")
    put(tmp_path, "aws/2026-09/_COMPLETE", "")
    asked, first = due(tmp_path, None)
    assert asked == ["2026-09|aws"]
    marker = tmp_path / "aws/2026-09/_COMPLETE"
    put(tmp_path, "aws/2026-09/b.csv")
    while (tmp_path / "aws/2026-09/b.csv").stat().st_ctime_ns <= marker.stat().st_ctime_ns:
        put(tmp_path, "aws/2026-09/b.csv")
    asked, second = due(tmp_path, first.cursor)
    assert asked == []
    asked, third = due(tmp_path, second.cursor, 10 * QUIET)
    assert asked == []  # whoever writes markers writes another one
    marker.write_text("again")
    assert due(tmp_path, third.cursor, 10 * QUIET)[0] == ["2026-09|aws"]


@pytest.mark.parametrize("left", ["b.csv.part", "b.csv.tmp", "b.csv.filepart"])
def test_a_transfer_under_way_holds_the_delivery_however_long_it_takes(tmp_path: Path, left: str) -> None:
    put(tmp_path, "aws/2026-09/a.csv")
    arriving = put(tmp_path, f"aws/2026-09/{left}")
    _, first = due(tmp_path, None)
    asked, second = due(tmp_path, first.cursor, 10 * QUIET)
    assert asked == []
    arriving.rename(arriving.with_name("b.csv"))
    _, third = due(tmp_path, second.cursor, 10 * QUIET)
    assert due(tmp_path, third.cursor, 11 * QUIET)[0] == ["2026-09|aws"]


def test_a_clock_that_is_set_back_begins_the_waiting_again(tmp_path: Path) -> None:
    put(tmp_path, "aws/2026-09/a.csv")
    _, first = due(tmp_path, None, 100 * QUIET)
    asked, second = due(tmp_path, first.cursor)
    assert asked == []
    assert due(tmp_path, second.cursor, QUIET)[0] == ["2026-09|aws"]


def test_an_empty_folder_and_one_outside_all_months_ask_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "aws/2026-09").mkdir(parents=True)
    put(tmp_path, "aws/1999-01/a.csv")
    put(tmp_path, "aws/1999-01/_COMPLETE")
    assert due(tmp_path, None)[0] == []
