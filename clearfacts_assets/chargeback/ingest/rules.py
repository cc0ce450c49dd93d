"""By what a delivery's rows are read, attributed and flagged: the settings, the source's own rules, the registry."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from clearfacts_assets.chargeback.attribution.mapping import AttributionRules
from clearfacts_assets.chargeback.attribution.registry import Registry
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.model import Basis

# Part of every rules digest: a new number makes files that were imported before be read anew.
READING = 1


@dataclass(frozen=True)
class FlagPattern:
    """Charges whose service, resource id or resource name matches wait for a person."""

    name: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class ReadingRules:
    """All that decides what a row of this source becomes."""

    source: str
    basis: Basis = Basis.BILLED
    period: str | None = None  # that the delivery is said to be for
    currency: str = ""  # of exports without BillingCurrency
    decimal_comma: bool = False
    attribution: AttributionRules = field(default_factory=AttributionRules)
    patterns: tuple[FlagPattern, ...] = ()
    registry: Registry = field(default_factory=Registry)
    usage: Usage | None = None  # how files of use are read, and what it costs
    priced: bool = False  # whether the delivery's files are such

    def digest(self) -> str:
        """Of what decides how rows are read, without the registry, which is applied to charges that are there too."""
        said: Mapping[str, object] = {
            "reading": READING,
            "basis": self.basis,
            "period": self.period,
            "currency": self.currency,
            "decimal_comma": self.decimal_comma,
            "mapping": dict(self.attribution.mapping),
            "required": self.attribution.required,
            "funds": [one.pattern for one in self.attribution.fund_patterns],
            "patterns": [one.pattern.pattern for one in self.patterns],
        }
        if self.priced and self.usage:
            said = {**said, "usage": self.usage.digest()}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
