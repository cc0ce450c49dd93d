"""From tags to an attribution, and the flags that the attribution earns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from clearfacts_assets.chargeback.attribution.registry import Registry, is_address
from clearfacts_assets.chargeback.attribution.tags import Tags, read_tags, writable
from clearfacts_assets.chargeback.model import TAG_FIELDS, Attribution, Flag
from clearfacts_assets.spreadsheet import begins_formula

_PREFIXES = ("user:", "user_")  # AWS puts one before the keys that people chose
LONGEST_VALUE = 500  # characters of one attribution field

DEFAULT_MAPPING: Mapping[str, str] = {name: name for name in TAG_FIELDS}


@dataclass(frozen=True)
class AttributionRules:
    """By which tags and patterns charges are attributed and flagged."""

    mapping: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_MAPPING))
    fund_patterns: tuple[re.Pattern[str], ...] = ()
    required: tuple[str, ...] = ("pi_email", "project_id", "fund_org")


@dataclass(frozen=True, slots=True)
class Read:
    """What the tags of a row say, before the registry is asked."""

    tags: str  # canonical
    attribution: Attribution
    flags: frozenset[Flag]


def read_attribution(tags_cell: str, allocated_cell: str | None, rules: AttributionRules) -> Read:
    """AllocatedTags, where a row has an AllocatedMethodId, come before Tags: they name who used what was split."""
    tags = read_tags(tags_cell)
    allocated = read_tags(allocated_cell) if allocated_cell else Tags()
    fields: dict[str, str] = {}
    flags, origin = set(), "tag"
    for one in (tags, allocated):
        if one.problem:
            flags.add(Flag.UNREADABLE_TAGS)
    keys, allocated_keys = _by_key(tags), _by_key(allocated)
    for name, wanted in rules.mapping.items():
        key = _key(wanted)
        value, problem = _find(allocated, allocated_keys, key) if allocated_keys else ("", None)
        if value or problem:
            origin = "allocated"
        else:
            value, problem = _find(tags, keys, key)
        if problem:
            flags.add(problem)
        fields[name] = writable(value[:LONGEST_VALUE])
    if fields.get("pi_email"):
        fields["pi_email"] = fields["pi_email"].lower()
    attribution = Attribution(**fields, origin=origin if any(fields.values()) else "")
    return Read(_both(tags, allocated), attribution, frozenset(flags))


def flags_of(to: Attribution, day: str, rules: AttributionRules, registry: Registry) -> set[Flag]:
    """The flags that an attribution earns on a day."""
    found = {_MISSING[name] for name in rules.required if not getattr(to, name)}
    if to.pi_email and not is_address(to.pi_email):
        found.add(Flag.INVALID_PI_EMAIL)
    if to.fund_org and rules.fund_patterns and not any(one.search(to.fund_org) for one in rules.fund_patterns):
        found.add(Flag.INVALID_FUND_ORG)
    if any(map(begins_formula, to.fields()[:-1])):
        found.add(Flag.FORMULA)
    return found | registry.objections(to, day)


_MISSING = {
    "pi_email": Flag.MISSING_PI_EMAIL,
    "project_id": Flag.MISSING_PROJECT_ID,
    "fund_org": Flag.MISSING_FUND_ORG,
}


@lru_cache(maxsize=256)  # a file has few keys, and each set of tags asks for them again
def _key(written: str) -> str:
    key = written.strip().casefold()
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _by_key(tags: Tags) -> dict[str, list[str]]:
    """Key in its normal form -> the keys as written."""
    found: dict[str, list[str]] = {}
    for written in tags.values:
        found.setdefault(_key(written), []).append(written)
    return found


def _find(tags: Tags, by_key: dict[str, list[str]], key: str) -> tuple[str, Flag | None]:
    """The one value of the key, however it is written; two values that differ are nobody's guess."""
    written = by_key.get(key)
    if written is None:
        return "", None
    if not tags.nested.isdisjoint(written):
        return "", Flag.UNREADABLE_TAGS
    values = {value for one in written if (value := tags.values[one])}
    if len(values) > 1 or not tags.twice.isdisjoint(written):
        return "", Flag.AMBIGUOUS_TAG
    return next(iter(values), ""), None


def _both(tags: Tags, allocated: Tags) -> str:
    first, second = tags.canonical, allocated.canonical
    return f"{second}\n{first}" if second else first
