"""Overrides by resource: a person says who pays for a resource, from when to when, and why, whatever its tags say.

A resource is an id, or a pattern in which ``*`` stands for any text and ``?`` for one character. An exact id comes
before a pattern, and of several the one that was laid down last counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate

from clearfacts_assets.chargeback.model import Attribution, Flag

NAMED = ("pi_email", "project_id", "fund_org", "account_code", "cost_center")
ORIGIN = "override"
# What is wrong with tags does not matter where a person has said who pays; what is missing then is asked for.
TAG_PROBLEMS = frozenset({Flag.UNREADABLE_TAGS, Flag.AMBIGUOUS_TAG})
REMEMBERED = 65_536  # resources


@dataclass(frozen=True, slots=True)
class Override:
    """One of them. Fields that it leaves empty are filled by its project's entry, then by the tags."""

    id: int
    resource: str
    pi_email: str = ""
    project_id: str = ""
    fund_org: str = ""
    account_code: str = ""
    cost_center: str = ""
    valid_from: str = ""
    valid_to: str = ""

    @property
    def attribution(self) -> Attribution:
        """Who pays, as far as the override says."""
        return Attribution(**self.named(), origin=f"{ORIGIN} {self.id}")

    def named(self) -> dict[str, str]:
        return {name: value for name in NAMED if (value := getattr(self, name))}


def override_of(origin: str) -> int | None:
    """The id of the override that an attribution names; None for another origin."""
    word, _, number = origin.partition(" ")
    return int(number) if word == ORIGIN and number.isdecimal() else None


def normal_resource(text: str) -> str:
    """Resources are compared without case and without blanks at their ends."""
    return text.strip().casefold()


class Overrides:
    """All overrides, ready to be asked."""

    def __init__(self, every: Iterable[Override]) -> None:
        self._exact: dict[str, list[Override]] = {}
        self._patterns: list[tuple[re.Pattern[str], Override]] = []
        for one in sorted(every, key=lambda one: -one.id):
            resource = normal_resource(one.resource)
            if "*" in resource or "?" in resource:
                self._patterns.append((_compiled(resource), one))
            self._exact.setdefault(resource, []).append(one)
        self._known: dict[str, tuple[Override, ...]] = {}

    def of(self, resource: str, day: str) -> Override | None:
        """The one that counts for the resource on a day; a day that is not known lies in every span."""
        if not resource:
            return None
        return next((one for one in self._candidates(resource) if _covers(one, day)), None)

    def _candidates(self, resource: str) -> tuple[Override, ...]:
        found = self._known.get(resource)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            normal = normal_resource(resource)
            exact = self._exact.get(normal, [])
            others = [one for pattern, one in self._patterns if pattern.fullmatch(normal) and one not in exact]
            found = self._known[resource] = (*exact, *others)
        return found


def laid_down(entry: Mapping[str, str]) -> dict[str, str]:
    """An override's texts without those that only say who laid it down."""
    return {name: entry.get(name, "") for name in ("resource", *NAMED, "valid_from", "valid_to", "reason")}


def _covers(one: Override, day: str) -> bool:
    return not day or ((not one.valid_from or one.valid_from <= day) and (not one.valid_to or day < one.valid_to))


def _compiled(pattern: str) -> re.Pattern[str]:
    # fnmatch goes back behind no star that has found its text: a pattern of many stars is quick.
    return re.compile(translate(pattern.replace("[", "[[]")))
