"""What a document shows of what Peppol's rules look at: a sign wherever it is not sure that they find nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache

from mockeinvoice.rules import peppol
from mockeinvoice.rules.peppol import SCHEMES

from clearfacts_assets.invoices.validation.elements import Element, ElementIndex
from clearfacts_assets.invoices.validation.ubl import CAC, CBC, CREDIT_NOTE

SHORT = 40  # characters of a number that is remembered
REMEMBERED = 1000  # numbers, and days, of which is known whether they are right
_DATE_LENGTH = len("2026-11-29")

# A line whose net amount is far inside the two cents that R120 allows, computed in binary, is inside them exactly.
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,6})?")
_SURELY_WITHIN = 0.019


def tag_of(name: str) -> str:
    """``cbc:ID`` as lxml writes it."""
    prefix, local = name.split(":")
    return f"{{{CAC if prefix == 'cac' else CBC}}}{local}"


def signs_of(index: ElementIndex) -> set[str]:
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
_ENDPOINT, _COMPANY_ID = tag_of("cbc:EndpointID"), tag_of("cbc:CompanyID")
_COUNTRY_CODE = tag_of("cbc:IdentificationCode")


_PARTIES = [
    tag_of(f"cac:{name}") for name in ("AccountingSupplierParty", "AccountingCustomerParty", "TaxRepresentativeParty")
]
_READ_BY_NATIONAL_RULES = frozenset(
    map(
        tag_of,
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


_CUSTOMIZATION, _PROCESS, _NOTE = tag_of("cbc:CustomizationID"), tag_of("cbc:ProfileID"), tag_of("cbc:Note")
_ORDER, _ID = tag_of("cac:OrderReference"), tag_of("cbc:ID")
_BUYER_REFERENCE, _TAX_CURRENCY = tag_of("cbc:BuyerReference"), tag_of("cbc:TaxCurrencyCode")
_TAX_TOTAL, _TAX_SUBTOTAL = tag_of("cac:TaxTotal"), tag_of("cac:TaxSubtotal")
_HOLDERS = (tag_of("cac:AccountingSupplierParty"), tag_of("cac:AccountingCustomerParty"))
_PARTY, _MEANS, _MEANS_CODE = tag_of("cac:Party"), tag_of("cac:PaymentMeans"), tag_of("cbc:PaymentMeansCode")
_CURRENCY, _AMOUNTS = tag_of("cbc:DocumentCurrencyCode"), [tag_of(name) for name in ("cbc:TaxAmount", *peppol.AMOUNTS)]
_TYPES = {  # of any two parties: P0112 asks 326 and 384 for two Germans
    tag_of("cbc:InvoiceTypeCode"): peppol.INVOICE_TYPES - {"326", "384"},
    tag_of("cbc:CreditNoteTypeCode"): peppol.CREDIT_NOTE_TYPES,
}
_DIRECT_DEBIT = ("49", "59")
_DATES = [tag_of(name) for name in peppol.DATES]


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


_NET, _PRICE, _UNIT_PRICE = tag_of("cbc:LineExtensionAmount"), tag_of("cac:Price"), tag_of("cbc:PriceAmount")
_BASE, _ALLOWANCE = tag_of("cbc:BaseQuantity"), tag_of("cac:AllowanceCharge")
_INVOICED, _CREDITED = tag_of("cbc:InvoicedQuantity"), tag_of("cbc:CreditedQuantity")


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
