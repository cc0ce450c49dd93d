"""What a project pays for a service, against the months before: pandas for what pandas is good at.

Amounts stay Decimal; only the comparison with the median is a float, and nothing is charged by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

MONTHS_NEEDED = 3  # before this one, in which the project used the service
LEAST = 10.0  # below that much more, nobody needs to look


def anomalies(
    history: Sequence[tuple[str, str, str, str, Decimal]], period: str, factor: float
) -> list[tuple[str, str, str, float]]:
    """From rows of (period, project, service, currency, amount), those of the period that are ``factor`` times the
    median of up to 12 months before, or more: (project, service, currency, median)."""
    import pandas

    before = [row for row in history if row[0] < period]
    if not before:
        return []
    frame = pandas.DataFrame(history, columns=["period", "project", "service", "currency", "amount"])
    frame["amount"] = frame["amount"].astype(float)
    table = frame.pivot_table(
        index=["project", "service", "currency"], columns="period", values="amount", aggfunc="sum"
    ).sort_index(axis=1)
    if period not in table.columns:
        return []
    earlier = table.loc[:, [name for name in table.columns if name < period]].iloc[:, -12:]
    median, months, now = earlier.median(axis=1), earlier.count(axis=1), table[period]
    odd = (months >= MONTHS_NEEDED) & (now >= median * factor) & (now - median >= LEAST)
    return [(*index, float(median[index])) for index in table.index[odd]]
