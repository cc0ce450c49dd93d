"""A report as SVRL (ISO/IEC 19757-3), the format that Schematron tools exchange."""

from __future__ import annotations

import re

from lxml import etree

from clearfacts_assets.invoices.model import Report, Severity

SVRL = "http://purl.oclc.org/dsdl/svrl"
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FLAGS = {Severity.ERROR: "fatal", Severity.WARNING: "warning", Severity.INFORMATION: "information"}


def as_svrl(report: Report) -> bytes:
    """All findings of all layers: one active pattern a layer, one failed assert a finding."""
    root = etree.Element(f"{{{SVRL}}}schematron-output", nsmap={"svrl": SVRL})
    root.set("title", f"sha256 {report.sha256}, profile {report.profile}, decision {report.decision.value}")
    versions = dict(report.versions)
    layers = dict.fromkeys([*versions, *(finding.layer for finding in report.findings)])
    for layer in layers:
        pattern = etree.SubElement(root, f"{{{SVRL}}}active-pattern", id=layer)
        if layer in versions:
            pattern.set("name", versions[layer])
        for finding in report.findings:
            if finding.layer != layer:
                continue
            failed = etree.SubElement(
                root,
                f"{{{SVRL}}}failed-assert",
                id=finding.rule,
                flag=_FLAGS[finding.severity],
                location=finding.location or "/",
                test="",
            )
            etree.SubElement(failed, f"{{{SVRL}}}text").text = _NOT_XML.sub("\ufffd", finding.message)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
