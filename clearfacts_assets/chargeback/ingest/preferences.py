"""What a group has set about its charges, made into the rules by which deliveries are read and charges attributed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from clearfacts_assets.chargeback.attribution.mapping import DEFAULT_MAPPING, AttributionRules
from clearfacts_assets.chargeback.attribution.registry import Registry
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.ingest.rules import FlagPattern, ReadingRules
from clearfacts_assets.chargeback.model import Basis


class Preferences(Protocol):
    """What is read of ``ChargebackSettings``: the trade knows no settings, and says itself which of them it needs."""

    @property
    def currency(self) -> str: ...
    @property
    def tag_mapping(self) -> Mapping[str, str]: ...
    @property
    def required(self) -> tuple[str, ...]: ...
    @property
    def fund_org_patterns(self) -> tuple[str, ...]: ...
    @property
    def flag_patterns(self) -> tuple[str, ...]: ...
    @property
    def withdraw_percent(self) -> float: ...
    @property
    def two_people(self) -> bool: ...
    @property
    def anomaly_factor(self) -> float: ...


def attribution_rules(wanted: Preferences) -> AttributionRules:
    """By which tags charges are attributed."""
    patterns = tuple(re.compile(one) for one in wanted.fund_org_patterns)
    return AttributionRules({**DEFAULT_MAPPING, **wanted.tag_mapping}, patterns, wanted.required)


def flag_patterns(wanted: Preferences) -> tuple[FlagPattern, ...]:
    """Which charges wait for a person, whoever pays."""
    return tuple(FlagPattern(one, re.compile(one)) for one in wanted.flag_patterns)


def threshold(wanted: Preferences) -> Decimal:
    """Percent of a scope's rows or money that a delivery may withdraw without being confirmed."""
    return Decimal(str(wanted.withdraw_percent))


def reading_rules(
    wanted: Preferences, source: Mapping[str, Any], registry: Registry, period: str | None, usage: Usage
) -> ReadingRules:
    """What the settings, the source and the registry say about a delivery."""
    return ReadingRules(
        source=source["name"],
        basis=Basis(source["basis"]),
        period=period,
        currency=wanted.currency.upper(),
        decimal_comma=source["decimal_comma"],
        attribution=attribution_rules(wanted),
        patterns=flag_patterns(wanted),
        registry=registry,
        usage=usage,
    )
