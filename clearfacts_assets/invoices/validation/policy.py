"""Which rules a document must meet, by what it says it is, and what follows from breaking them.

A document names its specification (BT-24, CustomizationID) and its process (BT-23, ProfileID). They give its profile;
the profile gives the layers that run and, for each layer, the least severity that is fatal. An own policy is a YAML
file that changes the built-in one, profile by profile; docs/validation.md shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lxml import etree

from clearfacts_assets.invoices.model import Decision, Finding, Severity
from clearfacts_assets.invoices.validation.ubl import CUSTOMIZATION_ID, PROFILE_ID, said

DOCUMENT_LAYER = "document"  # what is found before any rule set runs; its errors are fatal in every policy

NORM = "urn:cen.eu:en16931:2017"
BIS3 = f"{NORM}#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
SELF_BILLING = f"{NORM}#compliant#urn:fdc:peppol.eu:2017:poacc:selfbilling:3.0"
SELF_BILLING_PROCESS = "urn:fdc:peppol.eu:2017:poacc:selfbilling:01:1.0"


class Profile(StrEnum):
    """What a document claims to be."""

    PEPPOL_BIS3 = "peppol_bis3"
    SELF_BILLING = "self_billing"
    EN16931 = "en16931"
    UBL_BE = "ubl_be"
    E_FFF = "e_fff"
    UNKNOWN = "unknown"


def profile_of(root: etree._Element) -> Profile:
    """By CustomizationID, and by ProfileID where a self-billing document names the ordinary billing specification."""
    specification = "".join((said(root, CUSTOMIZATION_ID) or "").split())
    lowered = specification.lower()
    if "e-fff" in lowered or "efff" in lowered:
        return Profile.E_FFF
    if "ubl.be" in lowered:
        return Profile.UBL_BE
    if specification == SELF_BILLING or (
        specification.startswith(BIS3) and said(root, PROFILE_ID) == SELF_BILLING_PROCESS
    ):
        return Profile.SELF_BILLING
    if specification.startswith(BIS3):
        return Profile.PEPPOL_BIS3
    if specification == NORM or specification.startswith(f"{NORM}#"):
        return Profile.EN16931
    return Profile.UNKNOWN


_WEIGHT = {severity: weight for weight, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to the documents of one profile."""

    layers: tuple[str, ...]
    fatal: Mapping[str, Severity] = field(default_factory=dict)  # least fatal severity by layer; absent: never
    on_fatal: Decision = Decision.REJECT
    otherwise: Decision = Decision.ACCEPT

    def decide(self, findings: Iterable[Finding]) -> Decision:
        return self.on_fatal if any(self.is_fatal(finding) for finding in findings) else self.otherwise

    def is_fatal(self, finding: Finding) -> bool:
        least = self.fatal.get(finding.layer)
        return least is not None and _WEIGHT[finding.severity] >= _WEIGHT[least]


_ERRORS = {"ubl_xsd": Severity.ERROR, "en16931": Severity.ERROR, "peppol_bis3": Severity.ERROR}
# Belgian findings are warnings as they come; whoever raises one to an error in a policy means it.
_OURS = {"belgium": Severity.ERROR, "attachments": Severity.ERROR, "amounts": Severity.ERROR}
_CHEAP = ("belgium", "attachments", "amounts")
_ALL = ("ubl_xsd", "en16931", "peppol_bis3", *_CHEAP)
_WITHOUT_PEPPOL = ("ubl_xsd", "en16931", *_CHEAP)
_STRUCTURE = {"ubl_xsd": Severity.ERROR}

BUILT_IN: Mapping[Profile, Course] = MappingProxyType(
    {
        Profile.PEPPOL_BIS3: Course(_ALL, _ERRORS | _OURS),
        Profile.SELF_BILLING: Course(_ALL, _ERRORS | _OURS),
        Profile.EN16931: Course(_WITHOUT_PEPPOL, _ERRORS | _OURS),
        # UBL.BE is an extension: it may break the norm's rules, and its own rules may not be shipped with this.
        Profile.UBL_BE: Course(_WITHOUT_PEPPOL, _STRUCTURE | _OURS),
        Profile.E_FFF: Course(("ubl_xsd", *_CHEAP), _STRUCTURE | _OURS),
        Profile.UNKNOWN: Course(("ubl_xsd", "belgium", "attachments"), _STRUCTURE | _OURS, otherwise=Decision.HOLD),
    }
)


class BadPolicy(Exception):
    """The policy file cannot be used. The message says where and what to write instead."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A course for every profile, and rules whose severity an operator has changed."""

    courses: Mapping[Profile, Course] = field(default_factory=lambda: dict(BUILT_IN))
    severities: Mapping[str, Severity] = field(default_factory=dict)  # by rule id

    def weighed(self, findings: list[Finding]) -> list[Finding]:
        """The findings with the severities that this policy gives them."""
        if not self.severities:
            return findings
        return [replace(finding, severity=self.severities.get(finding.rule, finding.severity)) for finding in findings]


def load_policy(path: Path) -> Policy:
    """An own policy from YAML, laid over the built-in one. Raises BadPolicy."""
    import yaml  # only for operators who have one

    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadPolicy(f"the policy file {path} cannot be read: {error}") from None
    try:
        return _policy(written or {})
    except (ValueError, TypeError, AttributeError) as error:
        raise BadPolicy(f"the policy file {path} is not understood: {error}") from None


def _policy(written: dict[str, Any]) -> Policy:
    _only(written, {"profiles", "severities"}, "the policy")
    courses = dict(BUILT_IN)
    for name, changes in (written.get("profiles") or {}).items():
        profile = Profile(name)
        courses[profile] = _course(courses[profile], changes or {}, name)
    severities = {rule: Severity(severity) for rule, severity in (written.get("severities") or {}).items()}
    return Policy(courses, severities)


def _course(course: Course, changes: dict[str, Any], name: str) -> Course:
    _only(changes, {"layers", "fatal", "on_fatal", "otherwise"}, f"profile {name}")
    if "layers" in changes:
        from clearfacts_assets.invoices.validation.rules import known_layers

        unknown = set(changes["layers"]) - set(known_layers())
        if unknown:
            raise ValueError(f"profile {name}: no layer {', '.join(sorted(unknown))}; there are {known_layers()}")
        course = replace(course, layers=tuple(changes["layers"]))
    if "fatal" in changes:
        course = replace(course, fatal={layer: Severity(least) for layer, least in changes["fatal"].items()})
    return replace(
        course,
        on_fatal=Decision(changes.get("on_fatal", course.on_fatal)),
        otherwise=Decision(changes.get("otherwise", course.otherwise)),
    )


def _only(written: Any, allowed: set[str], where: str) -> None:
    if not isinstance(written, dict):
        raise ValueError(f"{where} is not a mapping")
    unknown = set(written) - allowed
    if unknown:
        raise ValueError(f"{where}: unknown keys {sorted(map(str, unknown))}; there are {sorted(allowed)}")
