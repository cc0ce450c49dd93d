"""Metrics of chargeback: periods, what waits, what nobody pays for, statements and their mails."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dagster import DagsterInstance
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Engine

from clearfacts_assets.api.metric_families import gauge
from clearfacts_assets.storage.chargeback.backlog import backlog

MOST_CURRENCIES = 20  # labels, at most; those with the most money
_CURRENCY = re.compile(r"[A-Z]{3}")


def of_chargeback(engine: Engine, _: DagsterInstance) -> Iterator[Metric]:
    """All of it. Amounts are rounded to what a float holds: the exact ones are in the ledger."""
    found = backlog(engine)
    yield gauge("chargeback_periods", "Billing periods, by state", "state", found.periods)
    yield GaugeMetricFamily(
        "chargeback_refused_rows", "Rows of imports that stand which could not be billed", value=found.refused_rows
    )
    yield GaugeMetricFamily(
        "chargeback_charges_waiting", "Charges of open periods that wait for a person", value=found.waiting
    )
    codes = sorted(filter(_CURRENCY.fullmatch, found.unattributed), key=lambda one: -abs(found.unattributed[one]))
    yield gauge(
        "chargeback_unattributed_amount",
        "What nobody pays for, in periods that are not finalized",
        "currency",
        {code: float(found.unattributed[code]) for code in codes[:MOST_CURRENCIES]},
    )
    yield gauge("chargeback_statements", "Statements, by state", "state", found.statements)
    yield gauge("chargeback_mails", "Mails with statements, by state", "state", found.mails)
    if found.oldest_mail is not None:
        yield GaugeMetricFamily(
            "chargeback_mails_oldest_timestamp_seconds",
            "When the oldest mail that has not left, or may not have, was made",
            value=found.oldest_mail.timestamp(),
        )
