"""What the group knows of people, projects and funds, by date: it fills what tags leave out and corrects what they say.

All of it is small and held in memory. Days are ISO texts (``2025-03-14``), which compare as days do; an empty end is no
end. Ends are exclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from clearfacts_assets.chargeback.attribution.overrides import Override, Overrides
from clearfacts_assets.chargeback.model import TAG_FIELDS, Attribution, Flag

_ADDRESS = re.compile(
    r"[^\s@<>()\[\],;:\\\"=|+]+(?:\+[^\s@<>()\[\],;:\\\"=|+]+)?@[^\s@<>()\[\],;:\\\"=|]+\.[^\s@<>()\[\],;:\\\"=|.]{2,}"
)


@dataclass(frozen=True, slots=True)
class Investigator:
    """A principal investigator. Every alias (an address, a login, a name) means the same person."""

    email: str
    name: str = ""
    institution: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """Who pays for a project in a span of days. ``overrides``: whatever the tags say."""

    project_id: str
    pi_email: str = ""
    fund_org: str = ""
    account_code: str = ""
    cost_center: str = ""
    valid_from: str = ""
    valid_to: str = ""
    overrides: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fund:
    """A fund: when it may be charged, by whom (nobody named: by everybody), until when its award runs."""

    fund_org: str
    name: str = ""
    valid_from: str = ""
    valid_to: str = ""
    award_end: str = ""
    budget: str = ""
    currency: str = ""
    may_charge: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotBilled:
    """An exception: charges of this person, project or resource are not billed in a span of days, for a reason."""

    kind: str  # person, project or resource
    name: str
    reason: str
    valid_from: str = ""
    valid_to: str = ""


def covers(valid_from: str, valid_to: str, day: str) -> bool:
    """Whether the day lies in the span; a day that is not known lies in every one."""
    return not day or ((not valid_from or valid_from <= day) and (not valid_to or day < valid_to))


def normal_name(text: str) -> str:
    """Names, addresses and aliases are compared without case and without blanks at their ends or doubled."""
    return " ".join(text.casefold().split())


def is_address(text: str) -> bool:
    """Whether mail could be sent to it as it stands: one address without a name, as RFC 5321 has it, on a domain with a
    dot."""
    return _ADDRESS.fullmatch(text) is not None


@dataclass(frozen=True)
class Registry:
    """Everything that is known, as it stands now."""

    investigators: Sequence[Investigator] = ()
    projects: Sequence[Project] = ()
    funds: Sequence[Fund] = ()
    exceptions: Sequence[NotBilled] = ()
    overrides: Sequence[Override] = ()

    @cached_property
    def _people(self) -> dict[str, str]:
        return {
            normal_name(alias): person.email
            for person in self.investigators
            for alias in (*person.aliases, person.email)
        }

    @cached_property
    def _projects(self) -> dict[str, list[Project]]:
        return _grouped((normal_name(name), one) for one in self.projects for name in (*one.aliases, one.project_id))

    @cached_property
    def _funds(self) -> dict[str, list[Fund]]:
        return _grouped((normal_name(one.fund_org), one) for one in self.funds)

    @cached_property
    def _not_billed(self) -> dict[tuple[str, str], list[NotBilled]]:
        return _grouped(((one.kind, normal_name(one.name)), one) for one in self.exceptions)

    def person(self, named: str) -> str:
        """The canonical address of whom the alias means; what is not known stays as it is."""
        return self._people.get(normal_name(named), named)

    def known_person(self, named: str) -> bool:
        return normal_name(named) in self._people

    def applied(self, said: Attribution, day: str) -> Attribution:
        """The attribution with aliases resolved and with what the project's entry of that day fills or overrides."""
        if not (self.investigators or self.projects):
            return said
        named = replace(said, pi_email=self.person(said.pi_email)) if said.pi_email else said
        entry = next(
            (
                one
                for one in self._projects.get(normal_name(said.project_id), ())
                if covers(one.valid_from, one.valid_to, day)
            ),
            None,
        )
        if entry is None or not said.project_id:
            return named if named == said else replace(named, origin="registry")
        filled = {"project_id": entry.project_id}
        for name in ("pi_email", "fund_org", "account_code", "cost_center"):
            known, given = getattr(entry, name), getattr(named, name)
            filled[name] = known if known and (entry.overrides or not given) else given
        filled["pi_email"] = self.person(filled["pi_email"])
        result = replace(named, **filled)
        return said if result == said else replace(result, origin="registry")

    @cached_property
    def _overrides(self) -> Overrides:
        return Overrides(self.overrides)

    def override(self, resource: str, day: str) -> Override | None:
        """The override that says who pays for the resource on that day, if there is one."""
        return self._overrides.of(resource, day) if self.overrides else None

    def attributed(self, said: Attribution, resource: str, day: str) -> Attribution:
        """Who pays: by an override of the resource, what that leaves out by its project's entry of that day, and the
        rest as the tags and the registry say."""
        one = self.override(resource, day)
        return self.applied(said, day) if one is None else self.overridden(said, one, day)

    def overridden(self, said: Attribution, by: Override, day: str) -> Attribution:
        """The same by this override."""
        laid, tagged = by.attribution, self.applied(said, day)
        known = replace(self.applied(laid, day), **by.named())
        filled = {name: getattr(known, name) or getattr(tagged, name) for name in TAG_FIELDS}
        filled["pi_email"] = self.person(filled["pi_email"])
        return Attribution(**filled, origin=laid.origin)

    def objections(self, to: Attribution, day: str) -> set[Flag]:
        """What speaks against charging this fund, by this person, on that day."""
        entries = self._funds.get(normal_name(to.fund_org)) if to.fund_org else None
        if not entries:
            return set()
        fund = next((one for one in entries if covers(one.valid_from, one.valid_to, day)), None)
        if fund is None:
            return {Flag.FUND_NOT_VALID}
        found = set()
        if fund.award_end and day >= fund.award_end:
            found.add(Flag.EXPIRED_AWARD)
        if fund.may_charge and normal_name(to.pi_email) not in {
            normal_name(self.person(one)) for one in fund.may_charge
        }:
            found.add(Flag.NOT_AUTHORISED)
        return found

    def exception(self, to: Attribution, resource: str, day: str) -> NotBilled | None:
        """The exception by which a charge is not billed, if there is one."""
        if not self.exceptions:
            return None
        for key in (("person", to.pi_email), ("project", to.project_id), ("resource", resource)):
            for one in self._not_billed.get((key[0], normal_name(key[1])), ()):
                if key[1] and covers(one.valid_from, one.valid_to, day):
                    return one
        return None


def _grouped(pairs: Iterable[tuple]) -> dict:  # type: ignore[type-arg]
    groups: dict = {}  # type: ignore[type-arg]
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
