"""Budgets and awards in Slack: once for each threshold that a fund passes, and for each mark before its award's end."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine

from clearfacts_assets.chargeback.rates.budgets import Budget, Notice, notices
from clearfacts_assets.money import plain
from clearfacts_assets.notifications.outbox import Matter
from clearfacts_assets.notifications.routes import tell
from clearfacts_assets.notifications.slack_messages import Message, escaped, message_of, section
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.chargeback.rates.spending import budgets_of


def tell_of_budgets(engine: Engine, configured: Settings, *, now: datetime) -> int:
    """Put into the outbox what has to be told of budgets now. Idempotent: each mark is told once."""
    found = notices(budgets_of(engine, now.date()), configured.rates.budget_thresholds, configured.rates.expiry_days)
    told = 0
    for one in found:
        matter = Matter(one.kind, one.fund.fund_org, now)
        told += tell(engine, configured, one.subject, _message(one), now, matter)
    return told


def _message(one: Notice) -> Message:
    fund = one.fund
    named = f"{fund.fund_org} ({fund.name})" if fund.name else fund.fund_org
    if one.kind == "award":
        days = fund.days_left or 0
        title = f"The award of {named} ends on {fund.award_end}" if days > 0 else f"The award of {named} is over"
        return _told(title, f"{_left(fund)} {max(days, 0)} days are left.")
    title = f"{named} has used {fund.percent} % of its budget"
    return _told(title, f"{_left(fund)} It uses {plain(fund.burn)} {fund.currency} a month.")


def _told(title: str, told: str) -> Message:
    hint = "See `clearfacts chargeback budgets list`."
    return message_of(title, told, [section(escaped(told)), section(hint)], [])


def _left(fund: Budget) -> str:
    if fund.budget is None or fund.left is None:
        return f"It has spent {plain(fund.spent)} {fund.currency}."
    return f"{plain(fund.left)} of {plain(fund.budget)} {fund.currency} are left."
