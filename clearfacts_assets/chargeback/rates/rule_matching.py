"""To which entries a rule applies, and for whom it counts them: asked once for all that are alike."""

from __future__ import annotations

from collections.abc import Hashable

from clearfacts_assets.chargeback.attribution.registry import normal_name
from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.book import Version
from clearfacts_assets.chargeback.rates.definitions import Per
from clearfacts_assets.chargeback.rates.entries import Entry
from clearfacts_assets.chargeback.rates.scope import Scope


def bearer(per: Per, to: Attribution, institution: str) -> str:
    """Who an amount is counted for."""
    if per is Per.ALL:
        return ""
    named = {
        Per.PERSON: to.pi_email,
        Per.PROJECT: to.project_id,
        Per.FUND: to.fund_org,
        Per.INSTITUTION: institution,
    }
    return normal_name(named[per])


class Bearers:
    """The same, remembered by attribution."""

    def __init__(self) -> None:
        self._known: dict[tuple[Per, bytes], str] = {}

    def of(self, per: Per, entry: Entry) -> str:
        key = (per, entry.digest)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = bearer(per, entry.to, entry.use.institution)
        return found


class Covering:
    """Remembers which version covers what."""

    def __init__(self) -> None:
        self._known: dict[Hashable, bool] = {}

    def covers(self, version: Version, entry: Entry) -> bool:
        scope: Scope = version.definition.scope  # type: ignore[union-attr]
        if scope.everything:
            return True
        use = entry.use if scope.resources else (*entry.use[:2], *entry.use[3:])  # without the resource
        key = (version.id, entry.digest, use)
        covered = self._known.get(key)
        if covered is None:
            covered = self._known[key] = scope.covers(entry.to, entry.use)
        return covered
