"""The lines of a statement as CSV: every charge, exact, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal

from clearfacts_assets.chargeback.statements.effects import traced
from clearfacts_assets.chargeback.statements.grouping import PrintedLine
from clearfacts_assets.chargeback.statements.model import DueCharge
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.spreadsheet import neutralised

COLUMNS = (
    *(
        "line",
        "charge",
        "share",
        "investigator",
        "project",
        "fund",
        "service",
        "resource_id",
        "resource_name",
        "category",
        "kind",
        "month_of_use",
    ),
    *(
        "start",
        "end",
        "quantity",
        "unit",
        "source",
        "list_price",
        "discount",
        "subsidy",
        "credit",
        "due",
        "due_printed",
        "rounding",
        "rules",
    ),
)


def lines_csv(lines: Sequence[PrintedLine]) -> str:
    """RFC 4180 with a header. ``due`` is exact, ``due_printed`` the cents that were printed for the charge."""
    to = io.StringIO()
    writer = csv.writer(to, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in lines:
        for one, cents in zip(line.charges, line.of_each, strict=True):
            words = (
                one.pi_email,
                one.project,
                one.fund,
                one.service,
                one.resource_id,
                one.resource_name,
                one.category,
                one.kind,
            )
            amounts = (*_price(one), one.due, cents, one.rounding)
            writer.writerow(
                (
                    line.number,
                    one.charge_id,
                    one.share,
                    *map(neutralised, words),
                    one.origin_period,
                    one.start,
                    one.end,
                    one.quantity,
                    neutralised(one.unit),
                    neutralised(one.source),
                    *map(plain, amounts),
                    neutralised(traced(one)),
                )
            )
    return to.getvalue()


def _price(one: DueCharge) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """List price, discount, subsidy and credit before anything was rounded; with ``rounding`` they are what is due."""
    if one.category == "Credit":
        return Decimal(0), Decimal(0), one.subsidy, EXACT.subtract(one.credit, one.rounding)
    return one.listed, one.exact_discount, one.subsidy, one.credit
