"""Files become charges, by the settings and the registry in force: one way in for command, folder and API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from clearfacts_assets.chargeback.attribution.mapping import DEFAULT_MAPPING, AttributionRules
from clearfacts_assets.chargeback.ingest.delivery import ingest
from clearfacts_assets.chargeback.ingest.rules import FlagPattern, ReadingRules
from clearfacts_assets.chargeback.model import Basis, Mode
from clearfacts_assets.chargeback.ports import Delivery, Outcome
from clearfacts_assets.settings import load
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository


def deliver(
    engine: Engine,
    files: Sequence[Path],
    *,
    source: str,
    period: str | None,
    actor: str,
    now: datetime,
    append: bool = False,
    dry_run: bool = False,
    strict: bool = False,
    confirmed: bool = False,
) -> Outcome:
    """Import the files as one delivery, and flag what is odd against the months before.

    Raises FileRefused, NotAllowed, FileNotFoundError; then nothing has changed.
    """
    delivery = Delivery(
        source=source,
        mode=Mode.APPEND if append else Mode.SNAPSHOT,
        period=period,
        actor=actor,
        at=now,
        dry_run=dry_run,
        strict=strict,
        confirmed=confirmed,
        threshold=Decimal(str(load().chargeback.withdraw_percent)),
    )
    outcome = ingest(files, delivery, reading_rules(engine, delivery), ImportRepository(engine))
    if outcome.applied and not outcome.unchanged:
        look_for_anomalies(engine, {one.posted for one in outcome.differences})
    return outcome


def look_for_anomalies(engine: Engine, periods: set[str]) -> None:
    """Flag what costs a project far more than in the months before."""
    from clearfacts_assets.storage.chargeback.comparing import flag_anomalies

    for period in sorted(periods):
        flag_anomalies(engine, period, load().chargeback.anomaly_factor)


def reading_rules(engine: Engine, delivery: Delivery) -> ReadingRules:
    """What the settings, the source and the registry say about a delivery. A new source begins on the billed basis."""
    registry = RegistryRepository(engine)
    source = registry.source(delivery.source, now=delivery.at)
    return ReadingRules(
        source=delivery.source,
        basis=Basis(source["basis"]),
        period=delivery.period,
        currency=load().chargeback.currency.upper(),
        decimal_comma=source["decimal_comma"],
        attribution=attribution_rules(),
        patterns=flag_patterns(),
        registry=registry.load(),
    )


def attribution_rules() -> AttributionRules:
    """As the settings say."""
    chargeback = load().chargeback
    patterns = tuple(re.compile(one) for one in chargeback.fund_org_patterns)
    return AttributionRules({**DEFAULT_MAPPING, **chargeback.tag_mapping}, patterns, chargeback.required)


def flag_patterns() -> tuple[FlagPattern, ...]:
    """As the settings say."""
    return tuple(FlagPattern(one, re.compile(one)) for one in load().chargeback.flag_patterns)
