"""One document through its layers, in this process and this thread: read, route, check, decide.

Worker processes import this module and what it needs, and nothing else of the project: no Dagster, no database.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from clearfacts_assets.invoices.model import Decision, Finding, Invoice, Report, Severity
from clearfacts_assets.invoices.ports import ParsedDocument, RuleSet
from clearfacts_assets.invoices.validation.elements import element_at, let_go_of_element_index, location_of, root_of
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.hints import HINTS
from clearfacts_assets.invoices.validation.policy import DOCUMENT_LAYER, Course, Policy
from clearfacts_assets.invoices.validation.profiles import Profile, profile_of_document
from clearfacts_assets.invoices.validation.rules import MOST_OF_A_RULE, Release, RuleOptions, build
from clearfacts_assets.invoices.validation.ubl import (
    CUSTOMIZATION_ID,
    Limits,
    Unreadable,
    first_of,
    parse,
    refuse_depth,
    refuse_endless_work,
    value_of,
)

_PROFILE_WORDS = {
    "PROFILE-UNKNOWN": "only the structure of UBL was looked at, for the document names no known specification",
    "PROFILE-E-FFF": "this is an old e-FFF document, from before Peppol; neither its rules nor the norm's were asked",
}
_FAULT = (DOCUMENT_LAYER, Severity.ERROR)
STRUCTURE = "ubl_xsd"  # where it finds errors, no later layer runs: their words would mislead


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what a report says, besides the document. Travels to worker processes."""

    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    options: RuleOptions = field(default_factory=RuleOptions)
    layers: tuple[str, ...] | None = None  # run just these, whatever the document claims to be
    day: date | None = None  # by the rules in force on it; None: on the day, in Brussels, of each validation

    def needed(self) -> tuple[str, ...]:
        """Every layer that some document may need."""
        if self.layers is not None:
            return self.layers
        return tuple(dict.fromkeys(layer for course in self.policy.courses.values() for layer in course.layers))

    def course(self, profile: Profile) -> Course:
        course = self.policy.courses[profile]
        if self.layers is None:
            return course
        # Asked for by name, a layer is judged by its own errors, whatever the profile makes of them.
        return Course(self.layers, dict.fromkeys(self.layers, Severity.ERROR))


class Inspector:
    """Runs the layers of a plan. Builds each rule set when it is first needed, or all of them with ``warm``."""

    def __init__(
        self, plan: Plan, *, clock: Callable[[], float] = time.perf_counter, today: Callable[[], date] | None = None
    ) -> None:
        self.plan = plan
        self._clock = clock
        self._today = today or (lambda: plan.day or today_in_brussels())
        self._rule_sets: dict[str | Release, RuleSet] = {}

    def warm(self) -> None:
        for layer in self.plan.needed():
            self._rule_set(layer)

    def inspect(self, content: bytes) -> Report:
        """All that the plan's layers have to say of a document. Never raises for what the document is."""
        started = self._clock()
        digest, size = hashlib.sha256(content).hexdigest(), len(content)
        try:
            document = parse(content, limits=self.plan.limits)
            del content  # of a long document as much again as the index of its elements
            refuse_depth(document.root, self.plan.limits)
            refuse_endless_work(document)
        except Unreadable as unreadable:
            return Report(
                sha256=digest,
                size=size,
                profile=Profile.UNKNOWN.value,
                invoice=None,
                decision=Decision.REJECT,
                findings=(_finding(unreadable),),
                versions=(),
                duration=self._clock() - started,
            )
        try:
            return self._inspect(document, digest, started)
        except Exception as error:  # noqa: BLE001 - a mistake of ours holds up one document, not the day
            message = f"the rules could not be applied to this document ({type(error).__name__}: {error})"
            return _failed(
                lambda: document, digest, size, Finding("DOC-FAULT", *_FAULT, message), self._clock() - started
            )
        finally:
            let_go_of_element_index(document)

    def _inspect(self, document: ParsedDocument, digest: str, started: float) -> Report:
        profile = profile_of_document(document)
        course = self.plan.course(profile)
        findings, versions = self._run(document, course)
        invoice, missing = self._head(document)
        if self.plan.layers is None:
            findings = [*_of_profile(profile, document), *findings]
        findings = self.plan.policy.weighed(findings)
        decision = course.decide(findings)
        if missing:
            findings.append(missing)
            decision = Decision.REJECT
        return Report(
            sha256=digest,
            size=document.size,
            profile=profile.value,
            invoice=invoice,
            decision=decision,
            findings=tuple(findings),
            versions=versions,
            duration=self._clock() - started,
        )

    def _run(self, document: ParsedDocument, course: Course) -> tuple[list[Finding], tuple[tuple[str, str], ...]]:
        findings: list[Finding] = []
        versions = []
        for layer in course.layers:
            rule_set = self._rule_set(layer)
            found = rule_set.check(document)
            versions.append((layer, rule_set.version))
            findings += [_placed(finding, document) for finding in _bounded(found)]
            if found and layer == STRUCTURE and self.plan.layers is None:
                break
        return findings, tuple(versions)

    def _head(self, document: ParsedDocument) -> tuple[Invoice | None, Finding | None]:
        """The invoice, and what keeps it from being one; fragments are welcome where layers are asked for by name."""
        try:
            return read_invoice(root_of(document)), None
        except Unreadable as unreadable:
            return None, _finding(unreadable) if self.plan.layers is None else None

    def _rule_set(self, layer: str) -> RuleSet:
        options = self.plan.options
        release = options.release_on(layer, self._today()) if options.releases else None
        rule_set = self._rule_sets.get(release or layer)
        if rule_set is None:
            rule_set = self._rule_sets[release or layer] = build(layer, options, release)
        return rule_set


def today_in_brussels() -> date:
    """The day by which rules are in force."""
    return datetime.now(ZoneInfo("Europe/Brussels")).date()


def _finding(unreadable: Unreadable) -> Finding:
    return Finding(
        unreadable.rule,
        DOCUMENT_LAYER,
        Severity.ERROR,
        unreadable.message,
        unreadable.location,
        unreadable.line,
        HINTS.get(unreadable.rule, ""),
    )


def _of_profile(profile: Profile, document: ParsedDocument) -> list[Finding]:
    """What a person has to know of a document that says it is of an old kind, or of none that is known."""
    rule = {Profile.UNKNOWN: "PROFILE-UNKNOWN", Profile.E_FFF: "PROFILE-E-FFF"}.get(profile)
    if rule is None:
        return []
    said = first_of(document.root, CUSTOMIZATION_ID)
    named = " ".join(value_of(said).split())[:200] if said is not None else ""
    claim = f"its CustomizationID is {named!r}" if named else "it has no CustomizationID"
    at = said if said is not None else document.root
    line: int | None = at.sourceline  # type: ignore[assignment]
    message = f"{_PROFILE_WORDS[rule]}: {claim}"
    return [Finding(rule, DOCUMENT_LAYER, Severity.INFORMATION, message, location_of(at), line, HINTS[rule])]


def _placed(finding: Finding, document: ParsedDocument) -> Finding:
    """The finding with its line, where its rule set gave only a path, and with its hint."""
    line = finding.line
    if line is None and finding.location:
        element = element_at(document.root, finding.location)
        line = element.sourceline if element is not None else None  # type: ignore[assignment]
    hint = HINTS.get(finding.rule, "")
    return replace(finding, line=line, hint=hint) if line != finding.line or hint else finding


def _bounded(found: list[Finding]) -> list[Finding]:
    """At most MOST_OF_A_RULE findings of a rule; the last of them says how many more there are."""
    if len(found) <= MOST_OF_A_RULE:
        return found
    counts = Counter(finding.rule for finding in found)
    seen: Counter[str] = Counter()
    kept = []
    for finding in found:
        seen[finding.rule] += 1
        if seen[finding.rule] < MOST_OF_A_RULE or counts[finding.rule] == MOST_OF_A_RULE:
            kept.append(finding)
        elif seen[finding.rule] == MOST_OF_A_RULE:
            more = counts[finding.rule] - MOST_OF_A_RULE
            kept.append(replace(finding, message=f"{finding.message} (and {more:,} more findings of this rule)"))
    return kept


def failed(content: bytes, rule: str, message: str, duration: float) -> Report:
    """The report of a document that could not be inspected: a person decides, if at least its head can be read."""
    digest = hashlib.sha256(content).hexdigest()
    return _failed(lambda: parse(content), digest, len(content), Finding(rule, *_FAULT, message), duration)


def _failed(parsed: Callable[[], ParsedDocument], digest: str, size: int, finding: Finding, duration: float) -> Report:
    findings = [finding]
    try:
        invoice, decision = read_invoice(parsed().root), Decision.HOLD
    except Unreadable as unreadable:
        invoice, decision = None, Decision.REJECT
        findings.append(_finding(unreadable))
    return Report(
        sha256=digest,
        size=size,
        profile=Profile.UNKNOWN.value,
        invoice=invoice,
        decision=decision,
        findings=tuple(findings),
        versions=(),
        duration=duration,
    )
