"""What a year looked like, month by month and service by service: the tables behind the charts.

The tables of everybody are made at once; what is drawn of each is chosen in the workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.model import months_up_to
from clearfacts_assets.chargeback.statements.formatting import harmless, money, short_money, short_month
from clearfacts_assets.money import exact_sum

MOST_SERVICES = 5  # with a colour of their own; the others are one
OTHERS = "Other services"

Payer = tuple[str, str, str]  # investigator, project, currency
Table = Sequence[tuple[str, Sequence[Decimal]]]  # a service and what was due for it in each month


def months_before(period: str) -> list[str]:
    """The months of the charts: a year that ends with this one, oldest first."""
    return months_up_to(period, 12)


def tables(rows: Sequence[tuple[str, str, str, str, str, Decimal]], months: Sequence[str]) -> Mapping[Payer, Table]:
    """Everybody's table of (investigator, project, currency, month, service, due): exact Decimals, 0 for nothing.

    The rows are sums already: one for each of what stands before the amount. Services are in order of their
    names; other months than these are left out.
    """
    places = {month: place for place, month in enumerate(months)}
    found: dict[Payer, dict[str, list[Decimal]]] = {}
    for investigator, project, currency, month, service, due in sorted(rows, key=lambda row: (row[:3], row[4])):
        services = found.setdefault((investigator, project, currency), {})
        amounts = services.setdefault(service, [Decimal(0)] * len(months))
        if month in places:
            amounts[places[month]] = due
    return {payer: list(services.items()) for payer, services in found.items()}


def columns(table: Table, months: Sequence[str], currency: str, *, from_first: bool = False) -> dict[str, Any]:
    """A chart of stacked columns, one a month: ``months``, ``services``, ``values``, ``scale``, ``top``, ``alt``.

    The dearest services have a colour of their own. ``from_first``: from the first month that has anything.
    """
    order = sorted(table, key=lambda one: (-exact_sum(one[1]), one[0]))
    kept = order if len(order) <= MOST_SERVICES + 1 else order[:MOST_SERVICES]
    others = order[len(kept) :]
    values = [
        [one[1][place] for one in kept] + ([exact_sum(one[1][place] for one in others)] if others else [])
        for place in range(len(months))
    ]
    first = next((place for place, one in enumerate(values) if any(one)), len(values)) if from_first else 0
    values, shown_months = values[first:], list(months[first:])
    totals = [exact_sum(one) for one in values]
    most = max([*(exact_sum(part for part in one if part > 0) for one in values), Decimal(0)])
    told = ", ".join(f"{one}: {money(sum_, currency)}" for one, sum_ in zip(shown_months, totals, strict=True))
    return {
        "months": [short_month(one) for one in shown_months] if any(totals) else [],
        "services": [*(harmless(name) for name, _ in kept), *([OTHERS] if others else [])],
        "values": [[float(part) for part in one] for one in values],
        "scale": float(most),
        "top": short_money(most),
        "alt": f"Stacked columns of what was due in each month, in {currency}. {told}",
    }
