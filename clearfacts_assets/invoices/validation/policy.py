"""Which rules a document must meet, by what it says it is, and what follows from breaking them.

A document's profile gives the layers that run and, for each layer, the least severity that is fatal: the rule sets say
so where they are registered (``rules/__init__.py``). An own policy is a YAML file that changes the built-in one,
profile by profile; docs/validation.md shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clearfacts_assets.invoices.model import Decision, Finding, Severity
from clearfacts_assets.invoices.validation.profiles import Profile
from clearfacts_assets.invoices.validation.rules import RULE_SETS, known_layers

DOCUMENT_LAYER = "document"  # what is found before any rule set runs; its errors are fatal in every policy

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


def built_in() -> dict[Profile, Course]:
    """The course of every profile, as the rule sets that are registered say it."""
    courses = {}
    for profile in Profile:
        layers = tuple(layer for layer, known in RULE_SETS.items() if profile in known.looks_at)
        fatal = {layer: known.severity for layer, known in RULE_SETS.items() if profile in known.fatal_for}
        otherwise = Decision.HOLD if profile is Profile.UNKNOWN else Decision.ACCEPT
        courses[profile] = Course(layers, fatal, otherwise=otherwise)
    return courses


class BadPolicy(Exception):
    """The policy file cannot be used. The message says where and what to write instead."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A course for every profile, and rules whose severity an operator has changed."""

    courses: Mapping[Profile, Course] = field(default_factory=built_in)
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
    courses = built_in()
    for name, changes in (written.get("profiles") or {}).items():
        profile = Profile(name)
        courses[profile] = _course(courses[profile], changes or {}, name)
    severities = {rule: Severity(severity) for rule, severity in (written.get("severities") or {}).items()}
    return Policy(courses, severities)


def _course(course: Course, changes: dict[str, Any], name: str) -> Course:
    _only(changes, {"layers", "fatal", "on_fatal", "otherwise"}, f"profile {name}")
    if "layers" in changes:
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
