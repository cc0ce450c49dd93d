"""Findings as SARIF 2.1.0 (OASIS), which editors and code hosts show beside the line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clearfacts_assets.invoices.model import Finding, Report, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFORMATION: "note"}


def as_sarif(reports: Iterable[tuple[str, Report]]) -> dict[str, Any]:
    """One run over all documents: an artifact a document, a result a finding, a rule an id, an extension a rule set."""
    artifacts: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    rules: dict[str, dict[str, Any]] = {}
    versions: dict[tuple[str, str], None] = {}
    for path, report in reports:
        uri = _uri(path)
        versions.update(dict.fromkeys(report.versions))
        for finding in report.findings:
            rules.setdefault(finding.rule, _rule(finding))
            place = list(rules).index(finding.rule)
            results.append(_result(finding, place, {"uri": uri, "index": len(artifacts)}, report.sha256))
        artifacts.append(_artifact(uri, report))
    extensions = [{"name": layer, "version": number or "unknown"} for layer, number in versions]
    driver = {"name": "clearfacts validate", "version": version("clearfacts-assets"), "rules": list(rules.values())}
    run = {
        "tool": {"driver": driver, "extensions": extensions},
        "invocations": [{"executionSuccessful": True}],
        "artifacts": artifacts,
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _uri(path: str) -> str:
    """A relative path stays one, so that a report can travel with its folder."""
    return Path(path).as_uri() if Path(path).is_absolute() else quote(Path(path).as_posix())


def _rule(finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": finding.rule or "unnamed",
        "shortDescription": {"text": finding.hint or finding.message or finding.rule},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        "properties": {"layer": finding.layer},
    }
    return rule


def _result(finding: Finding, rule_index: int, artifact: dict[str, Any], sha256: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": artifact}
    if finding.line:
        physical["region"] = {"startLine": finding.line}
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.location:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.location, "kind": "element"}]
    same = "\x1f".join((sha256, finding.rule, finding.layer, finding.location, finding.message))
    return {
        "ruleId": finding.rule or "unnamed",
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message or finding.hint or finding.rule},
        "locations": [location],
        "partialFingerprints": {"finding/v1": hashlib.sha256(same.encode("utf-8", "surrogatepass")).hexdigest()},
        "properties": {"layer": finding.layer},
    }


def _artifact(uri: str, report: Report) -> dict[str, Any]:
    properties = {"profile": report.profile, "decision": report.decision.value}
    if report.invoice is not None:
        properties["number"] = report.invoice.number
    return {
        "location": {"uri": uri},
        "length": report.size,
        "mimeType": "application/xml",
        "hashes": {"sha-256": report.sha256},
        "properties": properties,
    }
