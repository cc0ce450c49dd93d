"""To which charges a rule applies: by who pays, by what was used, by where it comes from.

Each list that is given has to match, and one of its entries is enough. Names are compared as the registry compares
them; services, sources and resources are patterns (``HPC GPU*``), and those after ``not_services`` are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import translate
from functools import cached_property, lru_cache
from re import Pattern, compile
from typing import Any, NamedTuple

from clearfacts_assets.chargeback.attribution.registry import normal_name
from clearfacts_assets.chargeback.model import Attribution, ChargebackError


class BadRule(ChargebackError):
    """A rule that cannot be understood, or contradicts itself."""


class Use(NamedTuple):
    """What a charge is about, as far as rules ask."""

    service: str
    source: str
    resource_id: str
    category: str
    flags: str
    institution: str


_NAMES = ("persons", "projects", "funds", "institutions")
_PATTERNS = ("services", "sources", "resources")
_WORDS = ("categories", "flags")


@dataclass(frozen=True)
class Scope:
    """See above. ``untagged``: only what nobody is attributed to."""

    persons: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    funds: tuple[str, ...] = ()
    institutions: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    not_services: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    untagged: bool = False

    @cached_property
    def everything(self) -> bool:
        return not any(getattr(self, one.name) for one in fields(self))

    def covers(self, to: Attribution, use: Use) -> bool:
        """Whether the rule applies to this charge of this payer."""
        if self.everything:
            return True
        return self._covers_payer(to, use) and self._covers_use(use)

    def _covers_payer(self, to: Attribution, use: Use) -> bool:
        if self.untagged and to.pi_email:
            return False
        said = {"persons": to.pi_email, "projects": to.project_id, "funds": to.fund_org}
        said["institutions"] = use.institution
        for name in _NAMES:
            wanted: tuple[str, ...] = getattr(self, name)
            if wanted and normal_name(said[name]) not in _normal(wanted):
                return False
        return True

    def _covers_use(self, use: Use) -> bool:
        for name, value in (("services", use.service), ("sources", use.source), ("resources", use.resource_id)):
            patterns: tuple[str, ...] = getattr(self, name)
            if patterns and not _matches(patterns, value):
                return False
        if self.not_services and _matches(self.not_services, use.service):
            return False
        if self.categories and use.category.casefold() not in _normal(self.categories):
            return False
        return not self.flags or any(one in use.flags.split() for one in self.flags)


def scope_of(said: Mapping[str, Any]) -> Scope:
    """Raises BadRule for words that no scope knows."""
    known = {one.name for one in fields(Scope)}
    if unknown := set(said) - known:
        raise BadRule(
            "a scope knows no {unknown}: only {known}",
            unknown=", ".join(sorted(unknown)),
            known=", ".join(sorted(known)),
        )
    values = {name: bool(value) if name == "untagged" else _texts(name, value) for name, value in said.items()}
    return Scope(**values)  # type: ignore[arg-type]


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        names = tuple(value)
        if all(isinstance(one, str) for one in names):
            return names
    raise BadRule("{name} is a list of names", name=name)


@lru_cache(maxsize=1024)
def _normal(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(normal_name(one) for one in names)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Pattern[str]:
    return compile(translate(pattern.casefold()))


@lru_cache(maxsize=65536)
def _matches(patterns: tuple[str, ...], value: str) -> bool:
    return any(_compiled(one).match(value.casefold()) for one in patterns)
