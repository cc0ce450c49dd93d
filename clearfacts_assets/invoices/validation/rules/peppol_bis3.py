"""Peppol BIS Billing 3.0 on top of the norm.

OpenPeppol's own Schematron may not be passed on. The rules that run are those of mock-einvoice, written from reading
it; on 1,229 mutants they gave the official verdict on each. An operator who has the official file points the settings
at it, with its SHA-256, and it runs instead.

Self-billing documents have a specification of their own: the same rules, other identifiers and other type codes.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache, partial
from itertools import islice
from typing import Any

from mockeinvoice import rules as published_rules
from mockeinvoice.rules import peppol, published, tree
from mockeinvoice.rules.calculation import Incomputable
from mockeinvoice.rules.peppol import SCHEMES

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument, RuleSet
from clearfacts_assets.invoices.validation.elements import Element, ElementIndex, element_index_of, location_of
from clearfacts_assets.invoices.validation.profiles import (
    SELF_BILLING,
    SELF_BILLING_PROCESS,
    Profile,
    profile_of_document,
)
from clearfacts_assets.invoices.validation.rules import MOST_OF_A_RULE, Release, RuleOptions, with_more
from clearfacts_assets.invoices.validation.ubl import CAC, CBC, CREDIT_NOTE

LAYER = "peppol_bis3"
_SEVERITIES = {"fatal": Severity.ERROR, "warning": Severity.WARNING}
_ERROR = "XSLT-ERROR"
SHORT = 40  # characters of a number that is remembered
REMEMBERED = 1000  # numbers, and days, of which is known whether they are right
_DATE_LENGTH = len("2026-11-29")
_PRECISION = 60  # digits in which sums of amounts are exact, as mock-einvoice computes them

# What a document must show for a rule to have anything to say: an element, or a sign in words that ``_signs`` gives
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

# A line whose net amount is far inside the two cents that R120 allows, computed in binary, is inside them exactly.
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,6})?")
_SURELY_WITHIN = 0.019


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
        signs = _signs(index)
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
            return frozenset(_tag(sign) if ":" in sign else sign for sign in _NEEDS[rule])
        if rule in _SCHEME_OF:
            return frozenset({f"scheme {_SCHEME_OF[rule]}"})
        if rule == "PEPPOL-COMMON-R056-2":
            return frozenset({"country NL", "repeated"})
        national = _NATIONAL.match(rule)
        if national:
            names = _OTHER_NAMES.get(national.group(1), (national.group(1),))
            return frozenset({"repeated", *(f"country {name}" for name in names)})
        return frozenset()


def _tag(name: str) -> str:
    prefix, local = name.split(":")
    return f"{{{CAC if prefix == 'cac' else CBC}}}{local}"


def _signs(index: ElementIndex) -> set[str]:
    """All that this document shows of what gates ask for."""
    signs = set(index.by_tag)
    signs.update(_schemes(index))
    for name in (_COUNTRY_CODE, _COMPANY_ID):
        for element in index.all(name):
            signs.add(f"country {element.value.strip()[:2].upper()}")
    if index.has_empty:
        signs.add("empty element")
    if any(len(index.all(name)) > 1 for name in _PARTIES) or any(
        _repeats(party) for name in _PARTIES for party in index.all(name)
    ):
        signs.add("repeated")
    signs.update(sign for sign, is_plain in _PLAIN.items() if not is_plain(index))
    return signs


def _schemes(index: ElementIndex) -> Iterator[str]:
    """The schemes under which an identifier is not known to be right; "odd scheme" where Peppol may not have one."""
    if "schemeID" not in index.attribute_names:
        return
    for tag, same in index.by_tag.items():
        for element in same:
            scheme = element.attributes.get("schemeID")
            if scheme is None:
                continue
            if scheme not in peppol.ADDRESS_SCHEMES and tag == _ENDPOINT:
                yield "odd scheme"
            if not _is_right(scheme, element.value):
                yield f"scheme {scheme}"


def _is_right(scheme: str, number: str) -> bool:
    """Whether the rule that Peppol has for numbers of this scheme surely finds nothing."""
    return scheme in _TESTS and len(number) <= SHORT and _is_right_number(scheme, number)


@lru_cache(maxsize=REMEMBERED)
def _is_right_number(scheme: str, number: str) -> bool:
    """A company's number stands in all that it sends."""
    return number.isascii() and number.isalnum() and bool(_TESTS[scheme](number))


_TESTS = {scheme: test for scheme, _, _, test, _ in SCHEMES}
_ENDPOINT, _COMPANY_ID = _tag("cbc:EndpointID"), _tag("cbc:CompanyID")
_COUNTRY_CODE = _tag("cbc:IdentificationCode")


_PARTIES = [
    _tag(f"cac:{name}") for name in ("AccountingSupplierParty", "AccountingCustomerParty", "TaxRepresentativeParty")
]
_READ_BY_NATIONAL_RULES = frozenset(
    map(
        _tag,
        [
            "cac:Party",
            "cac:PartyTaxScheme",
            "cac:TaxScheme",
            "cbc:ID",
            "cbc:CompanyID",
            "cac:PostalAddress",
            "cac:Country",
            "cbc:IdentificationCode",
            "cac:PartyLegalEntity",
        ],
    )
)


def _lines(index: ElementIndex) -> Iterator[Element]:
    yield from index.all(f"{{{CAC}}}InvoiceLine")
    yield from index.all(f"{{{CAC}}}CreditNoteLine")


_CUSTOMIZATION, _PROCESS, _NOTE = _tag("cbc:CustomizationID"), _tag("cbc:ProfileID"), _tag("cbc:Note")
_ORDER, _ID = _tag("cac:OrderReference"), _tag("cbc:ID")
_BUYER_REFERENCE, _TAX_CURRENCY = _tag("cbc:BuyerReference"), _tag("cbc:TaxCurrencyCode")
_TAX_TOTAL, _TAX_SUBTOTAL = _tag("cac:TaxTotal"), _tag("cac:TaxSubtotal")
_HOLDERS = (_tag("cac:AccountingSupplierParty"), _tag("cac:AccountingCustomerParty"))
_PARTY, _MEANS, _MEANS_CODE = _tag("cac:Party"), _tag("cac:PaymentMeans"), _tag("cbc:PaymentMeansCode")
_CURRENCY, _AMOUNTS = _tag("cbc:DocumentCurrencyCode"), [_tag(name) for name in ("cbc:TaxAmount", *peppol.AMOUNTS)]
_TYPES = {  # of any two parties: P0112 asks 326 and 384 for two Germans
    _tag("cbc:InvoiceTypeCode"): peppol.INVOICE_TYPES - {"326", "384"},
    _tag("cbc:CreditNoteTypeCode"): peppol.CREDIT_NOTE_TYPES,
}
_DIRECT_DEBIT = ("49", "59")
_DATES = [_tag(name) for name in peppol.DATES]


def _plain_head(index: ElementIndex) -> bool:
    by = index.root.by
    processes, totals = _values(by, _PROCESS), by.get(_TAX_TOTAL, ())
    return (
        _values(by, _CUSTOMIZATION) == [peppol.BILLING]
        and len(processes) == 1
        and processes[0] in peppol.PROFILES
        and len(by.get(_NOTE, ())) <= 1
        and (_BUYER_REFERENCE in by or any(_ID in order.by for order in by.get(_ORDER, ())))
        and len(totals) == 1
        and _TAX_SUBTOTAL in totals[0].by
        and _TAX_CURRENCY not in by
    )


def _values(by: Mapping[str, Sequence[Element]], tag: str) -> list[str]:
    return [element.value for element in by.get(tag, ())]


def _addressed(index: ElementIndex) -> bool:
    return all(
        _ENDPOINT in party.by for name in _HOLDERS for one in index.all(name) for party in one.by.get(_PARTY, ())
    )


def _one_currency(index: ElementIndex) -> bool:
    """One that Peppol has, of every amount."""
    currencies = index.root.by.get(_CURRENCY, ())
    if len(currencies) != 1:
        return False
    currency = currencies[0].value
    return currency in peppol.CURRENCIES and all(
        element.attributes.get("currencyID") == currency for name in _AMOUNTS for element in index.all(name)
    )


def _no_direct_debit(index: ElementIndex) -> bool:
    codes = (means.by.get(_MEANS_CODE, ()) for means in index.all(_MEANS))
    return all(
        not same or (len(same) == 1 and same[0].value.isdigit() and same[0].value not in _DIRECT_DEBIT)
        for same in codes
    )


def _plain_types(index: ElementIndex) -> bool:
    return all(element.value in codes for name, codes in _TYPES.items() for element in index.all(name))


def _plain_dates(index: ElementIndex) -> bool:
    return all(_is_date(element.value) for name in _DATES for element in index.all(name))


def _is_date(text: str) -> bool:
    return len(text) == _DATE_LENGTH and _is_short_date(text)


@lru_cache(maxsize=REMEMBERED)
def _is_short_date(text: str) -> bool:
    """Invoices of a month have the same few."""
    try:
        return text.isascii() and text[4] == text[7] == "-" and bool(date.fromisoformat(text))
    except ValueError:
        return False


_NET, _PRICE, _UNIT_PRICE = _tag("cbc:LineExtensionAmount"), _tag("cac:Price"), _tag("cbc:PriceAmount")
_BASE, _ALLOWANCE = _tag("cbc:BaseQuantity"), _tag("cac:AllowanceCharge")
_INVOICED, _CREDITED = _tag("cbc:InvoicedQuantity"), _tag("cbc:CreditedQuantity")


def _plainly_right(line: Element) -> bool:
    """Whether R120 surely holds: quantity times price, nothing else involved, every number there once and plain."""
    by = line.by
    quantities = by.get(
        _CREDITED if line.parent and line.parent.tag.startswith(f"{{{CREDIT_NOTE}}}") else _INVOICED, ()
    )
    nets, prices = by.get(_NET, ()), by.get(_PRICE, ())
    if _ALLOWANCE in by or len(quantities) != 1 or len(nets) != 1 or len(prices) != 1:
        return False
    amounts = prices[0].by.get(_UNIT_PRICE, ())
    if _BASE in prices[0].by or len(amounts) != 1:
        return False
    plain = _PLAIN_NUMBER.fullmatch
    net, quantity, price = nets[0].value, quantities[0].value, amounts[0].value
    if not (plain(net) and plain(quantity) and plain(price)):
        return False
    return abs(float(net) - float(quantity) * float(price)) < _SURELY_WITHIN


# What a document is not sure to be, it shows as a sign.
_PLAIN: dict[str, Callable[[ElementIndex], bool]] = {
    "odd head": _plain_head,
    "no address": _addressed,
    "odd currency": _one_currency,
    "odd payment": _no_direct_debit,
    "odd type": _plain_types,
    "odd date": _plain_dates,
    "odd line": lambda index: all(map(_plainly_right, _lines(index))),
}


def _repeats(element: Element) -> bool:
    """Whether something that national rules read stands twice beside itself below."""
    for tag, same in element.by.items():
        if tag in _READ_BY_NATIONAL_RULES and (len(same) > 1 or (same[0].by and _repeats(same[0]))):
            return True
    return False


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
