"""Tables keep all digits, charts are pictures that any name can stand in."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from clearfacts_assets.chargeback.defs import charts
from clearfacts_assets.chargeback.defs.views import spending_views

LONG = Decimal("0.123456789012345678901234567890123456789")


def rows(value: dg.MetadataValue[Any]) -> list[dict[str, Any]]:
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(one.data) for one in value.records]


def test_tables_are_exact_and_currencies_are_never_added() -> None:
    spent = [
        ("2026-08", "Storage", "genome", "USD", Decimal("2")),
        ("2026-09", "Storage", "genome", "USD", LONG),
        ("2026-09", "Compute", "genome", "USD", Decimal("1e15")),
        ("2026-09", "Compute", "", "USD", Decimal("-3.5")),
        ("2026-09", "Compute", "genome", "EUR", Decimal("7")),
    ]
    found = spending_views(spent, "2026-09", "Due")
    assert rows(found["by project, USD"]) == [
        {"project": "genome", "2026-09": f"1000000000000000{str(LONG)[1:]}", "2026-08": "2", "change": "▲ > 1,000 %"},
        {"project": "(unattributed)", "2026-09": "-3.5", "2026-08": "0", "change": "new"},
    ]
    assert rows(found["by service, EUR"]) == [{"service": "Compute", "2026-09": "7", "2026-08": "0", "change": "new"}]
    assert rows(found["month over month, USD"])[0]["2026-08"] == "2"
    assert next(iter(found)) == "charts, USD"


def test_a_month_in_which_nothing_was_spent_has_no_charts() -> None:
    assert spending_views([], "2026-09", "Due") == {}
    assert spending_views([("2026-08", "Storage", "genome", "USD", Decimal(1))], "2026-09", "Due") == {}


def test_charts_are_wellformed_pictures_whatever_names_say() -> None:
    names = ["<script>alert(1)</script>", "a & b 'c' \"d\"", "\x00\x1b[31m", "年", "x" * 500, "](http://elsewhere)"]
    bars = [(name, 5.0 - place, float(place)) for place, name in enumerate(names)]
    drawn = [
        charts.bars("by <project>", bars, "2026-09", "2026-08"),
        charts.columns("by month", ["2026-08", "2026-09"], {name: [1.0, -2.0] for name in names}),
        charts.bars("nothing", [], "2026-09", "2026-08"),
        charts.columns("nothing", [], {}),
        charts.columns("zero", ["2026-08"], {"a": [0.0]}),
    ]
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {"svg", "rect", "line", "text", "title"}
        told = re.fullmatch(
            r"!\[.*?\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", charts.as_markdown(svg, "a [b]")
        )
        assert told is not None
        assert base64.b64decode(told[1]).decode() == svg


@pytest.mark.parametrize(
    ("most", "lines"),
    [
        (1145.0, ["0", "250", "500", "750", "1,000", "1,250"]),
        (980.0, ["0", "200", "400", "600", "800", "1,000"]),
        (0.07, ["0", "0.02", "0.04", "0.06", "0.08"]),
        (0.4, ["0", "0.10", "0.20", "0.30", "0.40"]),
        (3_100_000.0, ["0", "1.0M", "2.0M", "3.0M", "4.0M"]),
    ],
)
def test_the_grid_of_a_chart_stands_at_round_amounts(most: float, lines: list[str]) -> None:
    root = ElementTree.fromstring(charts.columns("by month", ["2026-09"], {"Compute": [most]}))
    texts = [one.text for one in root.iter() if one.get("text-anchor") == "end"]
    assert texts == lines


def test_what_is_left_of_many_names_is_one_bar() -> None:
    svg = charts.bars("by project", [(f"p{number}", 100.0 - number, 0.0) for number in range(30)], "2026-09", "2026-08")
    assert "20 others" in svg
    assert "p29" not in svg
    assert len(svg) < 10_000
