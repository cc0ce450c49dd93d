"""With what a source of use is read: its format, and the rate card as it stands."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine

from clearfacts_assets.chargeback.cost_sources.usage import Usage, UsageFormat
from clearfacts_assets.rate_options import UsageOptions
from clearfacts_assets.storage.chargeback.rates.rules import RuleRepository


def usage_of(engine: Engine, source: str, options: Mapping[str, UsageOptions], tags: Mapping[str, str]) -> Usage:
    """``options`` by source, from the settings; ``tags`` is the tag of each field of attribution."""
    said = options.get(source)
    form = UsageFormat(**said.model_dump()) if said else UsageFormat()
    return Usage(source, form, RuleRepository(engine).book(), tags)
