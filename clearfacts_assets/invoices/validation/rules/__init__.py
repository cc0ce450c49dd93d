"""Rule sets, one file each: the file's name is the layer's name, and its ``rule_set(options)`` builds it.

A line in RULE_SETS registers it, and says which documents it looks at. That stands here and not in the files, because
whoever only wants to know it (a command, the policy) would have to import Saxon and all rules for it.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import RuleSet
from clearfacts_assets.invoices.validation.profiles import Profile

MOST_OF_A_RULE = 100  # findings of one rule that a report holds

PEPPOL = (Profile.PEPPOL_BIS3, Profile.SELF_BILLING)
NORM = (*PEPPOL, Profile.EN16931)
EVERY = tuple(Profile)
KNOWN = tuple(profile for profile in Profile if profile is not Profile.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Layer:
    """What a rule set is for. An operator's policy may say otherwise."""

    looks_at: tuple[Profile, ...]  # the documents it is given, by what they claim to be
    fatal_for: tuple[Profile, ...]  # the documents that are not sent for what it finds
    severity: Severity = Severity.ERROR  # the least that is fatal


# In the order in which they run.
RULE_SETS: dict[str, Layer] = {
    "ubl_xsd": Layer(EVERY, fatal_for=EVERY),
    # UBL.BE is an extension: it may break the norm's rules, and its own rules may not be shipped with this.
    "en16931": Layer((*NORM, Profile.UBL_BE), fatal_for=NORM),
    "peppol_bis3": Layer(PEPPOL, fatal_for=NORM),
    # What these find are warnings as they come; whoever raises one to an error in a policy means it.
    "belgium": Layer(EVERY, fatal_for=EVERY),
    "attachments": Layer(EVERY, fatal_for=EVERY),
    "amounts": Layer(KNOWN, fatal_for=EVERY),
}


@dataclass(frozen=True, slots=True)
class CustomRules:
    """An operator's own copy of rules: a Schematron or XSLT file and the SHA-256 that it must have."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """An operator's file of a release of one layer's rules, in force from a day on."""

    layer: str
    version: str
    since: date  # the first day, in Brussels, on which documents are validated by it
    file: CustomRules


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """What an operator may decide about rule sets."""

    peppol: CustomRules | None = None
    attachment_bytes: int = 10 * 2**20  # of all attachments of a document, unpacked
    proofs: bool = True  # spare Saxon the documents that surely break no rule
    releases: tuple[Release, ...] = ()  # beside the rules that come with this program, or that ``peppol`` names

    def release_on(self, layer: str, day: date) -> Release | None:
        """What is in force on that day; None where those rules are that come with this program."""
        begun = [one for one in self.releases if one.layer == layer and one.since <= day]
        return max(begun, key=lambda one: one.since, default=None)


def bounded(findings: Iterable[Finding]) -> list[Finding]:
    """At most MOST_OF_A_RULE findings of a rule; the last of them says how many more there are."""
    if isinstance(findings, list) and len(findings) <= MOST_OF_A_RULE:
        return findings
    counts: Counter[str] = Counter()
    kept: list[Finding] = []
    last: dict[str, int] = {}
    for finding in findings:
        counts[finding.rule] += 1
        if counts[finding.rule] <= MOST_OF_A_RULE:
            last[finding.rule] = len(kept)
            kept.append(finding)
    for rule, place in last.items():
        kept[place] = with_more(kept[place], counts[rule] - MOST_OF_A_RULE)
    return kept


def with_more(finding: Finding, more: int) -> Finding:
    """The last finding of its rule that a report holds, saying that there are so many more."""
    return (
        replace(finding, message=f"{finding.message} (and {more:,} more findings of this rule)")
        if more > 0
        else finding
    )


def known_layers() -> tuple[str, ...]:
    """The layers that there are, in alphabetical order."""
    return tuple(sorted(RULE_SETS))


def build(layer: str, options: RuleOptions, release: Release | None = None) -> RuleSet:
    """A rule set, ready to check, of that release if one is given. Raises LookupError where there is no such layer."""
    if layer not in RULE_SETS:
        raise LookupError(f"there is no layer {layer!r}; there are {', '.join(known_layers())}")
    module = importlib.import_module(f"{__name__}.{layer}")
    rule_set: RuleSet = module.rule_set(options) if release is None else module.released(options, release)
    return rule_set
