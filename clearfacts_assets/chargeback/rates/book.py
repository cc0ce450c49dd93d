"""All rules that count, by kind and day. A rule says on a day what its newest version says that covers the day."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clearfacts_assets.chargeback.attribution.registry import Registry, covers, normal_name
from clearfacts_assets.chargeback.rates.definition_reading import read_definition
from clearfacts_assets.chargeback.rates.definitions import (
    INTERNAL,
    Definition,
    Ended,
    Rate,
    RateClassOf,
    RuleKind,
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one rule, approved."""

    id: int
    rule_id: int
    kind: RuleKind
    name: str
    number: int
    valid_from: str
    valid_to: str
    definition: Definition

    def __str__(self) -> str:
        return f"{self.kind} {self.name} v{self.number}"


def version_of(row: Mapping[str, Any]) -> Version:
    """From its columns. Raises BadRule."""
    kind = RuleKind(row["kind"])
    named = {name: row[name] for name in ("id", "rule_id", "name", "number", "valid_from", "valid_to")}
    return Version(kind=kind, definition=read_definition(kind, row["definition"]), **named)


class RuleBook:
    """Pure: made of versions, asked by kind and day."""

    def __init__(self, versions: Iterable[Version] = ()) -> None:
        self.versions: Sequence[Version] = sorted(versions, key=lambda one: (one.kind, one.name, one.number))
        self._rules: dict[RuleKind, dict[int, list[Version]]] = defaultdict(lambda: defaultdict(list))
        for one in self.versions:
            self._rules[one.kind][one.rule_id].append(one)
        self._on: dict[tuple[RuleKind, str], tuple[Version, ...]] = {}
        self._rates: dict[tuple[str, str, str], Version | None] = {}

    def on(self, kind: RuleKind, day: str) -> tuple[Version, ...]:
        """What each rule of the kind says on the day, by the names of the rules."""
        key = (kind, day)
        found = self._on.get(key)
        if found is None:
            newest = (
                next((one for one in reversed(versions) if covers(one.valid_from, one.valid_to, day)), None)
                for versions in self._rules[kind].values()
            )
            said = [one for one in newest if one and not isinstance(one.definition, Ended)]
            found = self._on[key] = tuple(sorted(said, key=lambda one: one.name))
        return found

    def rate(self, service: str, rate_class: str, day: str) -> Version | None:
        """The price of a service for a class on a day."""
        key = (service, rate_class, day)
        if key not in self._rates:
            named = normal_name(service)
            self._rates[key] = next(
                (
                    one
                    for one in self.on(RuleKind.RATE, day)
                    if isinstance(one.definition, Rate)
                    and normal_name(one.definition.service) == named
                    and one.definition.rate_class == rate_class
                ),
                None,
            )
        return self._rates[key]

    def rate_class(self, institution: str, email: str, day: str) -> str:
        """By the person's institution, else by the domain of the address and the domains above it; else internal."""
        classes = {
            normal_name(one.definition.institution): one.definition.rate_class
            for one in self.on(RuleKind.RATE_CLASS, day)
            if isinstance(one.definition, RateClassOf)
        }
        if not classes:
            return INTERNAL
        if institution and (found := classes.get(normal_name(institution))):
            return found
        domain = email.rpartition("@")[2].casefold()
        while domain:
            if domain in classes:
                return classes[domain]
            domain = domain.partition(".")[2]
        return INTERNAL

    @cached_property
    def digest(self) -> str:
        """Of everything that it says."""
        said = [[one.id, one.valid_from, one.valid_to] for one in self.versions]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    @cached_property
    def rates_digest(self) -> str:
        """Of what it says about prices."""
        said = [[one.id, one.valid_from, one.valid_to] for one in self.versions if one.kind is RuleKind.RATE]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class Institutions:
    """Where people belong, as the registry says."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._of = {one.email: one.institution for one in registry.investigators if one.institution}

    def of(self, email: str) -> str:
        """Of whoever this address or alias means: a person who corrects a charge may name either."""
        found = self._of.get(email)
        return self._of.get(self._registry.person(email), "") if found is None else found
