"""An invoice as a person reads it, taken from any UBL document, also one that breaks rules. Nothing is computed.

Texts come from outside: they are bounded and hold no character that would change how others are shown; who shows them
has to escape them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from lxml import etree

from clearfacts_assets.invoices.validation.elements import location_of
from clearfacts_assets.invoices.validation.reports.printed_model import (
    Fact,
    PrintedAttachment,
    PrintedInvoice,
    PrintedLine,
    PrintedModifier,
    PrintedParty,
    PrintedTax,
)
from clearfacts_assets.invoices.validation.ubl import CAC, CBC, EMBEDDED_DOCUMENT, first_of, said, value_of

LONGEST_TEXT = 600  # characters of one text that are shown
MOST_LINES = 200  # lines of an invoice that are shown
MOST_OF_A_KIND = 50  # attachments, allowances, rates
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_STEP = re.compile(r"/[^/]+(/[^/]+)?")


def printed(root: etree._Element) -> PrintedInvoice:
    """The invoice in this tree. What it lacks is left out; what stands twice is shown once."""
    credit_note = root.tag.endswith("CreditNote")
    lines = list(root.iterchildren(_cac("InvoiceLine"), _cac("CreditNoteLine")))
    totals = first_of(root, _cac("LegalMonetaryTotal"))
    means = list(root.iterchildren(_cac("PaymentMeans")))[:MOST_OF_A_KIND]
    return PrintedInvoice(
        credit_note=credit_note,
        number=_text(root, "cbc:ID"),
        head=tuple(_head(root)),
        notes=tuple(harmless(value_of(note)) for note in list(root.iterchildren(_cbc("Note")))[:MOST_OF_A_KIND]),
        parties=tuple(_parties(root)),
        lines=tuple(_line(line) for line in lines[:MOST_LINES]),
        more_lines=max(0, len(lines) - MOST_LINES),
        modifiers=tuple(_modifier(each) for each in list(root.iterchildren(_cac("AllowanceCharge")))[:MOST_OF_A_KIND]),
        taxes=tuple(_taxes(root)),
        totals=tuple(_totals(totals, root)),
        totals_place=place_of(location_of(totals)) if totals is not None else "",
        due=_amount(totals, "cbc:PayableAmount"),
        payment=tuple(_payment(root, means)),
        payment_places=tuple(place_of(location_of(each)) for each in means),
        attachments=tuple(_attachments(root)),
    )


def place_of(location: str) -> str:
    """The part of the document that a location lies in: ``/Invoice/cac:InvoiceLine[2]``; empty for the head."""
    match = _STEP.match(location)
    step = match.group(1) if match else None
    if not step or step.startswith("/cbc:"):
        return ""
    return step.removeprefix("/").removesuffix("[1]")


def harmless(text: str, most: int = LONGEST_TEXT) -> str:
    """The text, bounded, on one line, without what is not a character or turns the direction of others."""
    shown = "".join(
        "�" if one in _TURNS or unicodedata.category(one) in ("Cc", "Cs", "Co", "Cn") else one
        for one in " ".join(text[: 4 * most].split())
    )
    return shown if len(shown) <= most else f"{shown[:most]}…"


def _cac(name: str) -> str:
    return f"{{{CAC}}}{name}"


def _cbc(name: str) -> str:
    return f"{{{CBC}}}{name}"


def _tags(path: str) -> tuple[str, ...]:
    return tuple(_cac(step[4:]) if step.startswith("cac:") else _cbc(step[4:]) for step in path.split("/"))


def _at(element: etree._Element | None, path: str) -> etree._Element | None:
    return first_of(element, *_tags(path)) if element is not None else None


def _text(element: etree._Element | None, path: str) -> str:
    found = said(element, *_tags(path)) if element is not None else None
    return harmless(found or "")


def _amount(element: etree._Element | None, path: str) -> str:
    """As written, with its currency."""
    found = _at(element, path)
    if found is None:
        return ""
    return harmless(f"{value_of(found).strip()} {found.get('currencyID', '')}".strip())


def _facts(element: etree._Element | None, *wanted: tuple[str, str]) -> Iterator[Fact]:
    for name, path in wanted:
        value = _amount(element, path) if path.endswith("Amount") else _text(element, path)
        if value:
            yield Fact(name, value)


def _head(root: etree._Element) -> Iterator[Fact]:
    yield from _facts(
        root,
        ("Issued", "cbc:IssueDate"),
        ("Due", "cbc:DueDate"),
        ("Type code", "cbc:InvoiceTypeCode"),
        ("Type code", "cbc:CreditNoteTypeCode"),
        ("Currency", "cbc:DocumentCurrencyCode"),
        ("Customer's reference", "cbc:BuyerReference"),
        ("Order", "cac:OrderReference/cbc:ID"),
        ("Contract", "cac:ContractDocumentReference/cbc:ID"),
        ("Corrects", "cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID"),
        ("Period from", "cac:InvoicePeriod/cbc:StartDate"),
        ("Period to", "cac:InvoicePeriod/cbc:EndDate"),
        ("Delivered", "cac:Delivery/cbc:ActualDeliveryDate"),
        ("Specification", "cbc:CustomizationID"),
    )


def _parties(root: etree._Element) -> Iterator[PrintedParty]:
    for role, tag, inner in (
        ("Seller", "AccountingSupplierParty", "cac:Party"),
        ("Customer", "AccountingCustomerParty", "cac:Party"),
        ("Payee", "PayeeParty", ""),
        ("Tax representative", "TaxRepresentativeParty", ""),
    ):
        outer = first_of(root, _cac(tag))
        party = _at(outer, inner) if inner else outer
        if outer is not None and party is not None:
            name = _text(party, "cac:PartyLegalEntity/cbc:RegistrationName") or _text(party, "cac:PartyName/cbc:Name")
            yield PrintedParty(
                place_of(location_of(outer)), role, name, tuple(_address(party)), tuple(_known_by(party))
            )


def _address(party: etree._Element) -> Iterator[str]:
    address = _at(party, "cac:PostalAddress")
    yield from filter(None, (_text(address, f"cbc:{name}") for name in ("StreetName", "AdditionalStreetName")))
    town = f"{_text(address, 'cbc:PostalZone')} {_text(address, 'cbc:CityName')}".strip()
    yield from filter(None, (town, _text(address, "cac:Country/cbc:IdentificationCode")))


def _known_by(party: etree._Element) -> Iterator[Fact]:
    yield from _facts(
        party,
        ("VAT number", "cac:PartyTaxScheme/cbc:CompanyID"),
        ("Enterprise number", "cac:PartyLegalEntity/cbc:CompanyID"),
        ("Electronic address", "cbc:EndpointID"),
        ("Contact", "cac:Contact/cbc:Name"),
        ("E-mail", "cac:Contact/cbc:ElectronicMail"),
    )


def _line(line: etree._Element) -> PrintedLine:
    quantity = next(line.iterchildren(_cbc("InvoicedQuantity"), _cbc("CreditedQuantity")), None)
    unit = f"{value_of(quantity).strip()} {quantity.get('unitCode', '')}".strip() if quantity is not None else ""
    base = _text(line, "cac:Price/cbc:BaseQuantity")
    price = _amount(line, "cac:Price/cbc:PriceAmount")
    return PrintedLine(
        place=place_of(location_of(line)),
        number=_text(line, "cbc:ID"),
        name=_text(line, "cac:Item/cbc:Name"),
        description=_text(line, "cac:Item/cbc:Description"),
        quantity=harmless(unit),
        price=f"{price} / {base}" if base and base != "1" else price,
        vat=_vat(_at(line, "cac:Item/cac:ClassifiedTaxCategory")),
        net=_amount(line, "cbc:LineExtensionAmount"),
    )


def _vat(category: etree._Element | None) -> str:
    rate = _text(category, "cbc:Percent")
    return f"{_text(category, 'cbc:ID')} {rate} %".strip() if rate else _text(category, "cbc:ID")


def _modifier(each: etree._Element) -> PrintedModifier:
    return PrintedModifier(
        place=place_of(location_of(each)),
        charge=_text(each, "cbc:ChargeIndicator") in ("true", "1"),
        reason=_text(each, "cbc:AllowanceChargeReason") or _text(each, "cbc:AllowanceChargeReasonCode"),
        amount=_amount(each, "cbc:Amount"),
    )


def _taxes(root: etree._Element) -> Iterator[PrintedTax]:
    parts = [part for total in root.iterchildren(_cac("TaxTotal")) for part in total.iterchildren(_cac("TaxSubtotal"))]
    for part in parts[:MOST_OF_A_KIND]:
        category = _at(part, "cac:TaxCategory")
        yield PrintedTax(
            place=place_of(location_of(part)),
            category=_text(category, "cbc:ID"),
            rate=_text(category, "cbc:Percent"),
            taxable=_amount(part, "cbc:TaxableAmount"),
            tax=_amount(part, "cbc:TaxAmount"),
            reason=_text(category, "cbc:TaxExemptionReason") or _text(category, "cbc:TaxExemptionReasonCode"),
        )


def _totals(totals: etree._Element | None, root: etree._Element) -> Iterator[Fact]:
    yield from _facts(
        totals,
        ("Lines", "cbc:LineExtensionAmount"),
        ("Allowances", "cbc:AllowanceTotalAmount"),
        ("Charges", "cbc:ChargeTotalAmount"),
        ("Total without VAT", "cbc:TaxExclusiveAmount"),
    )
    yield from _facts(root, ("VAT", "cac:TaxTotal/cbc:TaxAmount"))
    yield from _facts(
        totals,
        ("Total with VAT", "cbc:TaxInclusiveAmount"),
        ("Already paid", "cbc:PrepaidAmount"),
        ("Rounding", "cbc:PayableRoundingAmount"),
    )


def _payment(root: etree._Element, means: list[etree._Element]) -> Iterator[Fact]:
    for each in means:
        yield from _facts(
            each,
            ("Means of payment", "cbc:PaymentMeansCode"),
            ("Account", "cac:PayeeFinancialAccount/cbc:ID"),
            ("BIC", "cac:PayeeFinancialAccount/cac:FinancialInstitutionBranch/cbc:ID"),
            ("Communication", "cbc:PaymentID"),
        )
    yield from _facts(root, ("Terms", "cac:PaymentTerms/cbc:Note"))


def _attachments(root: etree._Element) -> Iterator[PrintedAttachment]:
    for each in list(root.iterchildren(_cac("AdditionalDocumentReference")))[:MOST_OF_A_KIND]:
        inside = next(each.iter(EMBEDDED_DOCUMENT), None)
        elsewhere = _text(each, "cac:Attachment/cac:ExternalReference/cbc:URI")
        yield PrintedAttachment(
            place=place_of(location_of(each)),
            name=harmless(inside.get("filename", "") if inside is not None else elsewhere) or _text(each, "cbc:ID"),
            description=_text(each, "cbc:DocumentDescription"),
            kind=harmless(inside.get("mimeCode", "")) if inside is not None else "",
            size=len(value_of(inside)) * 3 // 4 if inside is not None else None,
        )
