"""Peppol BIS Billing 3.0 on top of the norm.

OpenPeppol's own Schematron may not be passed on. The rules that run are those of mock-einvoice, written from reading
it; on 1,229 mutants they gave the official verdict on each. An operator who has the official file points the settings
at it, with its SHA-256, and it runs instead.

Self-billing documents have a specification of their own: the same rules, other identifiers and other type codes.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import islice
from typing import Any

from mockeinvoice import rules as published_rules
from mockeinvoice.rules import published, tree
from mockeinvoice.rules.calculation import Incomputable
from mockeinvoice.rules.peppol import SCHEMES

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument, RuleSet
from clearfacts_assets.invoices.validation.elements import ElementIndex, element_index_of, location_of
from clearfacts_assets.invoices.validation.profiles import (
    SELF_BILLING,
    SELF_BILLING_PROCESS,
    Profile,
    profile_of_document,
)
from clearfacts_assets.invoices.validation.rules import MOST_OF_A_RULE, Release, RuleOptions, with_more
from clearfacts_assets.invoices.validation.rules._peppol_signs import signs_of, tag_of
from clearfacts_assets.invoices.validation.ubl import CBC

LAYER = "peppol_bis3"
_SEVERITIES = {"fatal": Severity.ERROR, "warning": Severity.WARNING}
_ERROR = "XSLT-ERROR"
_PRECISION = 60  # digits in which sums of amounts are exact, as mock-einvoice computes them

# What a document must show for a rule to have anything to say: an element, or a sign in words that ``signs_of`` gives
# wherever it is not sure of the contrary. A rule that is not named here is always asked.
_NEEDS: dict[str, tuple[str, ...]] = {
    "PEPPOL-EN16931-R005": ("cbc:TaxCurrencyCode",),
    "PEPPOL-EN16931-R055": ("cbc:TaxCurrencyCode",),
    **{f"PEPPOL-EN16931-R{number}": ("cac:AllowanceCharge",) for number in ("040", "041", "042", "043", "044", "046")},
    "PEPPOL-EN16931-R080": ("cac:AdditionalDocumentReference",),
    "PEPPOL-EN16931-R100": ("cac:DocumentReference",),
    "PEPPOL-EN16931-R101": ("cac:DocumentReference",),
    "PEPPOL-EN16931-R110": ("cac:InvoicePeriod",),
    "PEPPOL-EN16931-R111": ("cac:InvoicePeriod",),
    "PEPPOL-EN16931-R121": ("cbc:BaseQuantity",),
    "PEPPOL-EN16931-R130": ("cbc:BaseQuantity",),
    "PEPPOL-EN16931-CL001": ("cbc:EmbeddedDocumentBinaryObject",),
    "PEPPOL-EN16931-CL002": ("cac:AllowanceCharge",),
    "PEPPOL-EN16931-CL003": ("cac:AllowanceCharge",),
    "PEPPOL-EN16931-CL006": ("cbc:DescriptionCode",),
    **{f"PEPPOL-EN16931-P01{number:02d}": ("cbc:TaxExemptionReasonCode",) for number in range(4, 12)},
    **{f"PEPPOL-EN16931-R{number}": ("odd head",) for number in ("001", "002", "003", "004", "007", "053", "054")},
    "PEPPOL-EN16931-R008": ("empty element",),
    "PEPPOL-EN16931-R010": ("no address",),
    "PEPPOL-EN16931-R020": ("no address",),
    "PEPPOL-EN16931-R051": ("odd currency",),
    "PEPPOL-EN16931-CL007": ("odd currency",),
    "PEPPOL-EN16931-R061": ("odd payment",),
    "PEPPOL-EN16931-R120": ("odd line",),
    "PEPPOL-EN16931-CL008": ("odd scheme",),
    **{f"PEPPOL-EN16931-P{number}": ("odd type",) for number in ("0100", "0101", "0112")},
    "PEPPOL-EN16931-F001": ("odd date",),
}
_SCHEME_OF = {f"PEPPOL-COMMON-{short}": scheme for scheme, short, *_ in SCHEMES} | {"PEPPOL-COMMON-R046": "9907"}
_NATIONAL = re.compile(r"(DE|DK|GR|IS|IT|NL|NO|SE)-")
_OTHER_NAMES = {"GR": ("GR", "EL")}

# The rules of BIS Billing that a self-billing document breaks by being one.
_NOT_FOR_SELF_BILLING = frozenset(
    {"PEPPOL-EN16931-R004", "PEPPOL-EN16931-R007", "PEPPOL-EN16931-P0100", "PEPPOL-EN16931-P0101"}
)
_SELF_BILLING_TYPES = {"InvoiceTypeCode": "389", "CreditNoteTypeCode": "261"}


# They turn the same few names into tags again and again, for each document: a tenth of their time.
tree.tag = cache(tree.tag)


class PeppolBis3:
    """mock-einvoice's Peppol rules, each asked only where it can have something to say."""

    layer = LAYER

    def __init__(self) -> None:
        self.version = published.SOURCES["peppol"][0]
        self._rules = list(published_rules.REGISTRY["peppol"].values())
        self._always = {place for place, rule in enumerate(self._rules) if not self._gate(rule.id)}
        self._by_sign: dict[str, list[int]] = {}  # places of the rules that are asked where a document shows it
        for place, rule in enumerate(self._rules):
            for sign in self._gate(rule.id):
                self._by_sign.setdefault(sign, []).append(place)

    def check(self, document: ParsedDocument) -> list[Finding]:
        index = element_index_of(document)
        self_billing = profile_of_document(document) is Profile.SELF_BILLING
        signs = signs_of(index)
        asked = self._always.union(*(self._by_sign[sign] for sign in self._by_sign.keys() & signs))
        found: list[Finding] = []
        if asked:
            with decimal.localcontext() as context:
                context.prec = _PRECISION
                found = [finding for place in sorted(asked) for finding in _ask(self._rules[place], index)]
            found = _without_errors(found)
        if self_billing:
            found = [finding for finding in found if finding.rule not in _NOT_FOR_SELF_BILLING]
            found += _self_billing(index)
        return found

    @staticmethod
    def _gate(rule: str) -> frozenset[str]:
        """Signs of which a document must show one for the rule to be asked; empty where it is always asked."""
        if rule in _NEEDS:
            return frozenset(tag_of(sign) if ":" in sign else sign for sign in _NEEDS[rule])
        if rule in _SCHEME_OF:
            return frozenset({f"scheme {_SCHEME_OF[rule]}"})
        if rule == "PEPPOL-COMMON-R056-2":
            return frozenset({"country NL", "repeated"})
        national = _NATIONAL.match(rule)
        if national:
            names = _OTHER_NAMES.get(national.group(1), (national.group(1),))
            return frozenset({"repeated", *(f"country {name}" for name in names)})
        return frozenset()


def _ask(rule: Any, index: ElementIndex) -> Iterable[Finding]:
    severity = _SEVERITIES.get(rule.flag, Severity.INFORMATION)
    try:
        failures = iter(rule.check(index.root))
        found = [
            Finding(rule.id, LAYER, severity, f"{rule.about}: {detail}", path)
            for path, detail in islice(failures, MOST_OF_A_RULE)
        ]
        if len(found) == MOST_OF_A_RULE:
            found[-1] = with_more(found[-1], sum(1 for _ in failures))
    except Incomputable as error:
        return [Finding(_ERROR, LAYER, Severity.ERROR, f"the rules cannot be computed on this document: {error}")]
    return found


def _without_errors(found: list[Finding]) -> list[Finding]:
    """Where rules cannot be computed the official file raises one error for the document; so do we, once."""
    errors = [finding for finding in found if finding.rule == _ERROR]
    if not errors:
        return found
    return [*(finding for finding in found if finding.rule != _ERROR), errors[0]]


def _self_billing(index: ElementIndex) -> Iterator[Finding]:
    finding = partial(Finding, layer=LAYER, severity=Severity.ERROR)
    for name, code in _SELF_BILLING_TYPES.items():
        for element in index.all(f"{{{CBC}}}{name}"):
            if element.value.strip() != code:
                yield finding(
                    "SELF-BILLING-TYPE",
                    message=f"a self-billing document has type code {code} (BT-3): it is {element.value.strip()!r}",
                    location=location_of(element),
                )
    for name, expected, term in (
        ("CustomizationID", SELF_BILLING, "BT-24"),
        ("ProfileID", SELF_BILLING_PROCESS, "BT-23"),
    ):
        for element in index.root.by.get(f"{{{CBC}}}{name}", ()):
            if element.value.strip() != expected:
                yield finding(
                    f"SELF-BILLING-{'SPECIFICATION' if term == 'BT-24' else 'PROCESS'}",
                    message=f"a self-billing document has {expected} as {name} ({term})",
                    location=location_of(element),
                )


def rule_set(options: RuleOptions) -> RuleSet:
    if options.peppol is not None:
        from clearfacts_assets.invoices.validation.custom_rules import CustomRuleSet

        return CustomRuleSet(LAYER, options.peppol)
    return PeppolBis3()


def released(options: RuleOptions, release: Release) -> RuleSet:
    """An operator's release of OpenPeppol's rules. Raises CustomRulesUnusable."""
    from clearfacts_assets.invoices.validation.custom_rules import CustomRuleSet

    return CustomRuleSet(LAYER, release.file)
