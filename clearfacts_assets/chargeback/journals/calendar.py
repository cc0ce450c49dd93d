"""Dates of a journal: the accounting date of a month, and the fiscal period in which a date falls."""

from __future__ import annotations

from calendar import monthrange
from datetime import date


def last_day(period: str) -> date:
    """The month's last day, on which its charges are booked unless another date is given."""
    year, month = int(period[:4]), int(period[5:7])
    return date(year, month, monthrange(year, month)[1])


def first_day_after(period: str) -> date:
    """The first day of the month after, on which an accrual is taken back."""
    return date.fromordinal(last_day(period).toordinal() + 1)


def fiscal(day: date, start: int) -> tuple[int, int]:
    """Fiscal year and period of a day. ``start`` is the month in which a fiscal year begins; a year that begins after
    January is named for the calendar year in which it ends: 2025-07 is period 1 of 2026 where it begins in July."""
    year = day.year + (1 if start > 1 and day.month >= start else 0)
    return year, (day.month - start) % 12 + 1
