"""What people look at: exact tables and rounded charts of a month, by service, by project, month over month.

pandas turns rows into tables; amounts stay Decimal in it, added with all their digits. Currencies are never added: each
has tables and charts of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import dagster as dg

from clearfacts_assets.chargeback.defs import charts
from clearfacts_assets.chargeback.model import month_before, months_up_to
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.orchestration.metadata import table

if TYPE_CHECKING:
    import pandas

MONTHS_SHOWN = 6  # in the table of months
MONTHS_DRAWN = 13  # a year, and the month that it is compared with
UNNAMED = "(unattributed)"
_COLUMNS = ["period", "service", "project", "currency", "amount"]

Spent = Sequence[tuple[str, str, str, str, Decimal]]
Metadata = dict[str, Any]


def spending_views(spent: Spent, month: str, words: str) -> Metadata:
    """Tables and charts of each currency that the month has, the one with most lines first. ``words`` says what is
    shown: charged, or due."""
    import pandas

    frame = pandas.DataFrame(list(spent), columns=_COLUMNS)
    frame["service"] = frame["service"].replace("", "(no service)")
    frame["project"] = frame["project"].replace("", UNNAMED)
    found: Metadata = {}
    of_month = frame[frame["period"] == month]
    currencies = sorted(of_month["currency"].unique(), key=lambda one: -len(of_month[of_month["currency"] == one]))
    for currency in currencies:
        found |= _of_currency(frame[frame["currency"] == currency], month, currency, words)
    return found


def _of_currency(frame: pandas.DataFrame, month: str, currency: str, words: str) -> Metadata:
    before, told = month_before(month), f"{words} in {month}"
    by_service, by_project = _pivot(frame, "service"), _pivot(frame, "project")
    months = [one for one in months_up_to(month, MONTHS_DRAWN) if one >= min(frame["period"])]
    series = {str(name): [float(row.get(one, 0)) for one in months] for name, row in by_service.iterrows()}
    services, projects = (_now_and_then(one, month, before) for one in (by_service, by_project))
    drawn = [
        charts.as_markdown(charts.columns(f"{words}, by month, {currency}", months, series), f"{words}, by month"),
        *(
            charts.as_markdown(charts.bars(f"{told}, by {what}, {currency}", rows, month, before), f"{told}, by {what}")
            for what, rows in (("service", services), ("project", projects))
        ),
    ]
    shown = months[-MONTHS_SHOWN:]
    return {
        f"charts, {currency}": dg.MetadataValue.md("\n\n".join(drawn)),
        f"by service, {currency}": _compared(by_service, "service", month, before),
        f"by project, {currency}": _compared(by_project, "project", month, before),
        f"month over month, {currency}": table(
            {"project": "string", **dict.fromkeys(shown, "string")},
            [
                (name, *(plain(row.get(one, Decimal(0))) for one in shown))
                for name, row in _largest_first(by_project, month).iterrows()
            ],
        ),
    }


def _pivot(frame: pandas.DataFrame, index: str) -> pandas.DataFrame:
    """Names by months, exact."""
    with localcontext(EXACT):
        sums = frame.groupby([index, "period"], sort=False)["amount"].sum()
    pivot: pandas.DataFrame = sums.unstack("period").sort_index(axis=1)
    return pivot.map(lambda one: one if isinstance(one, Decimal) else Decimal(0))


def _largest_first(pivot: pandas.DataFrame, month: str) -> pandas.DataFrame:
    now = pivot[month] if month in pivot.columns else pivot.iloc[:, -1]
    return pivot.loc[now.map(abs).sort_values(ascending=False, kind="stable").index]


def _now_and_then(pivot: pandas.DataFrame, month: str, before: str) -> list[tuple[str, float, float]]:
    return [
        (str(name), float(row.get(month, 0)), float(row.get(before, 0)))
        for name, row in pivot.iterrows()
        if row.get(month, 0) or row.get(before, 0)
    ]


def _compared(pivot: pandas.DataFrame, what: str, month: str, before: str) -> dg.MetadataValue[Any]:
    rows = [
        (name, now, then, charts.change(float(now), float(then)))
        for name, row in _largest_first(pivot, month).iterrows()
        for now, then in [(row.get(month, Decimal(0)), row.get(before, Decimal(0)))]
        if now or then
    ]
    return table({what: "string", month: "string", before: "string", "change": "string"}, rows)
