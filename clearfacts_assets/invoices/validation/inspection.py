"""One document through its layers, in this process and this thread: read, route, check, decide.

Worker processes import this module and what it needs, and nothing else of the project: no Dagster, no database.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from clearfacts_assets.invoices.model import Decision, Finding, Invoice, Report, Severity
from clearfacts_assets.invoices.ports import ParsedDocument, RuleSet
from clearfacts_assets.invoices.validation.elements import element_at, let_go_of_element_index, location_of, root_of
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.hints import HINTS
from clearfacts_assets.invoices.validation.memory import LARGE, give_back
from clearfacts_assets.invoices.validation.policy import DOCUMENT_LAYER, Course, Policy
from clearfacts_assets.invoices.validation.profiles import Profile, profile_of_document
from clearfacts_assets.invoices.validation.rules import Release, RuleOptions, bounded, build
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
class ValidationPlan:
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


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found in a document that is let go of, and what there is still to ask, in the order of the layers."""

    profile: Profile
    course: Course
    invoice: Invoice | None
    missing: Unreadable | None  # why there is no invoice
    findings: list[Callable[[], list[Finding]]]
    versions: tuple[tuple[str, str], ...]

    def head(self) -> Invoice:
        """Raises Unreadable."""
        if self.invoice is None:
            raise self.missing or Unreadable("DOC-HEAD", "the document has no head")
        return self.invoice


class Inspector:
    """Runs the layers of a plan. Builds each rule set when it is first needed, or all of them with ``warm``."""

    def __init__(
        self,
        plan: ValidationPlan,
        *,
        clock: Callable[[], float] = time.perf_counter,
        today: Callable[[], date] | None = None,
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
            seen = self._looked_at(document)
        except Exception as error:  # noqa: BLE001 - a mistake of ours holds up one document, not the day
            return self._fault(error, partial(read_invoice, document.root), digest, size, started)
        finally:
            let_go_of_element_index(document)
        del document
        if size > LARGE:
            give_back()
        try:
            return self._reported(seen, digest, size, started)
        except Exception as error:  # noqa: BLE001 - the same
            return self._fault(error, seen.head, digest, size, started)

    def _looked_at(self, document: ParsedDocument) -> _Seen:
        """All that is to be had of the document itself: after this it may go."""
        profile = profile_of_document(document)
        course = self.plan.course(profile)
        findings: list[Callable[[], list[Finding]]] = []
        if self.plan.layers is None:
            findings.append(_of_profile(profile, document).copy)
        versions = []
        for layer in course.layers:
            rule_set = self._rule_set(layer)
            versions.append((layer, rule_set.version))
            begin = getattr(rule_set, "begin", None)  # as TwoSteps has it; asking for the protocol takes long
            if begin is not None:
                findings.append(begin(document))
                continue
            found = [_with_line(finding, document) for finding in bounded(rule_set.check(document))]
            findings.append(found.copy)
            if found and layer == STRUCTURE and self.plan.layers is None:
                break
        invoice, missing = _head(document)
        return _Seen(profile, course, invoice, missing, findings, tuple(versions))

    def _reported(self, seen: _Seen, digest: str, size: int, started: float) -> Report:
        findings = [_with_hint(finding) for found in seen.findings for finding in bounded(found())]
        findings = self.plan.policy.weighed(findings)
        decision = seen.course.decide(findings)
        if seen.missing and self.plan.layers is None:  # fragments are welcome where layers are asked for by name
            findings.append(_finding(seen.missing))
            decision = Decision.REJECT
        return Report(
            sha256=digest,
            size=size,
            profile=seen.profile.value,
            invoice=seen.invoice,
            decision=decision,
            findings=tuple(findings),
            versions=seen.versions,
            duration=self._clock() - started,
        )

    def _fault(self, error: Exception, head: Callable[[], Invoice], digest: str, size: int, started: float) -> Report:
        message = f"the rules could not be applied to this document ({type(error).__name__}: {error})"
        return _failed(head, digest, size, Finding("DOC-FAULT", *_FAULT, message), self._clock() - started)

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


def _with_line(finding: Finding, document: ParsedDocument) -> Finding:
    """The finding with its line, where its rule set gave only a path."""
    if finding.line is not None or not finding.location:
        return finding
    element = element_at(document.root, finding.location)
    return replace(finding, line=element.sourceline) if element is not None else finding  # type: ignore[arg-type]


def _with_hint(finding: Finding) -> Finding:
    hint = HINTS.get(finding.rule, "")
    return replace(finding, hint=hint) if hint else finding


def _head(document: ParsedDocument) -> tuple[Invoice | None, Unreadable | None]:
    """The invoice, or what keeps it from being one."""
    try:
        return read_invoice(root_of(document)), None
    except Unreadable as unreadable:
        return None, unreadable


def failed(content: bytes, rule: str, message: str, duration: float) -> Report:
    """The report of a document that could not be inspected: a person decides, if at least its head can be read."""
    digest = hashlib.sha256(content).hexdigest()
    finding = Finding(rule, *_FAULT, message)
    return _failed(lambda: read_invoice(parse(content).root), digest, len(content), finding, duration)


def _failed(head: Callable[[], Invoice], digest: str, size: int, finding: Finding, duration: float) -> Report:
    findings = [finding]
    invoice: Invoice | None
    try:
        invoice, decision = head(), Decision.HOLD
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
