"""Who pays for the rows of one file: their tags read once, the registry asked once a day of use."""

from __future__ import annotations

from dataclasses import dataclass, field

from clearfacts_assets.chargeback.attribution.mapping import Read, flags_of, read_attribution
from clearfacts_assets.chargeback.attribution.overrides import TAG_PROBLEMS
from clearfacts_assets.chargeback.ingest.canonical import digest
from clearfacts_assets.chargeback.ingest.rules import ReadingRules
from clearfacts_assets.chargeback.model import Attribution, Flag, Status, flag_text, holds

REMEMBERED_TAGS = 20_000


@dataclass(frozen=True, slots=True)
class Payer:
    """What the tags of a row, on a day, come to. ``before`` the registry was asked, and after it."""

    digests: tuple[bytes, bytes, bytes]  # tag set, what the tags say, who pays
    to: Attribution
    read_flags: frozenset[Flag]
    flags: frozenset[Flag]
    standing: tuple[str, str, str]  # read flags, flags, status
    read: Attribution  # what the tags say
    said: tuple[bytes | str, ...]  # digests and standing, one behind the other: the last six of STAGED


@dataclass(slots=True)
class NewAttributions:
    """Tag sets and attributions that were not remembered, to be kept."""

    tag_sets: dict[bytes, str] = field(default_factory=dict)
    attributions: dict[bytes, Attribution] = field(default_factory=dict)


class Payers(dict[tuple[str, str, str], Payer]):
    """Remembers what it has read. Asked by tags, allocated tags and day: the second is empty where the row was not
    split, the third where nothing depends on it."""

    def __init__(self, rules: ReadingRules) -> None:
        super().__init__()
        self._rules, self.seen = rules, NewAttributions()
        registry = rules.registry
        self.dated = bool(registry.projects or registry.funds or registry.exceptions)

    def __missing__(self, key: tuple[str, str, str]) -> Payer:
        tags, allocated, day = key
        if len(self) >= REMEMBERED_TAGS:
            self.clear()
        payer = self[key] = self._new(read_attribution(tags, allocated, self._rules.attribution), day)
        return payer

    def _new(self, read: Read, day: str) -> Payer:
        rules = self._rules
        to = rules.registry.applied(read.attribution, day)
        flags = read.flags | flags_of(to, day, rules.attribution, rules.registry)
        said = attribution_digest(read.attribution)
        digests = digest(read.tags), said, said if to == read.attribution else attribution_digest(to)
        self.seen.tag_sets[digests[0]] = read.tags
        self.seen.attributions.update({digests[1]: read.attribution, digests[2]: to})
        return _payer(digests, to, read.flags, flags, read.attribution)

    def overridden(self, payer: Payer, resource: str, day: str) -> Payer:
        """Who pays for a resource, where an override says so."""
        rules = self._rules
        by = rules.registry.override(resource, day)
        if by is None:
            return payer
        to = rules.registry.overridden(payer.read, by, day)
        flags = (payer.read_flags - TAG_PROBLEMS) | flags_of(to, day, rules.attribution, rules.registry)
        digests = (*payer.digests[:2], attribution_digest(to))
        self.seen.attributions[digests[2]] = to
        return _payer(digests, to, payer.read_flags, flags, payer.read)


def _payer(
    digests: tuple[bytes, bytes, bytes],
    to: Attribution,
    read_flags: frozenset[Flag],
    flags: frozenset[Flag],
    read: Attribution,
) -> Payer:
    stands = standing(read_flags, flags)
    return Payer(digests, to, read_flags, flags, stands, read, (*digests, *stands))


def standing(read_flags: frozenset[Flag], flags: frozenset[Flag]) -> tuple[str, str, str]:
    """Both kinds of flags as texts, and the status that they make."""
    text = flag_text(flags)
    return flag_text(read_flags), text, (Status.FLAGGED if holds(text) else Status.CLEAR).value


def attribution_digest(to: Attribution) -> bytes:
    """By which equal attributions are one."""
    return digest("\x1f".join(to.fields()))
