"""Ways in which a document can be wrong, each with a name, the layer that must notice and the rule it breaks.

A defect is planted into a finished, valid document, so that it is the only thing wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from clearfacts_assets.simulator.ubl import CENT


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of broken document. ``layer`` names the rule set that finds it first, ``rule`` what it reports."""

    name: str
    layer: str  # parse, ubl_xsd, en16931, peppol_bis3 or belgium
    rule: str
    plant: Callable[[str], str]


def _replace(pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.DOTALL)

    def plant(document: str) -> str:
        changed, times = compiled.subn(replacement, document, count=1)
        if not times:
            raise ValueError(f"nothing in this document matches {pattern!r}")
        return changed

    return plant


def _a_cent_more(match: re.Match[str]) -> str:
    return f"{match[1]}{Decimal(match[2]) + CENT}"


def _wrong_check_digits(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{(int(match[3]) + 1) % 100:02d}"


def _without_references(document: str) -> str:
    """Neither buyer reference (BT-10) nor order reference (BT-13)."""
    without = re.sub(r"<cbc:BuyerReference>.*?</cbc:BuyerReference>", "", document)
    return re.sub(r"<cac:OrderReference>.*?</cac:OrderReference>", "", without, flags=re.DOTALL)


def _cut(document: str) -> str:
    """The file ends in the middle, as after a broken transfer."""
    return document[: len(document) * 2 // 3]


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "payable_off_by_a_cent", "en16931", "BR-CO-16", _replace(r"(<cbc:PayableAmount[^>]*>)(-?[\d.]+)", _a_cent_more)
    ),
    Defect(
        "line_total_off_by_a_cent",
        "en16931",
        "BR-CO-10",
        _replace(r"(<cac:LegalMonetaryTotal><cbc:LineExtensionAmount[^>]*>)(-?[\d.]+)", _a_cent_more),
    ),
    Defect(
        "vat_total_off_by_a_cent",
        "en16931",
        "BR-CO-14",
        _replace(r"(<cac:TaxTotal><cbc:TaxAmount[^>]*>)(-?[\d.]+)", _a_cent_more),
    ),
    Defect("unknown_country", "en16931", "BR-CL-14", _replace(r"(<cbc:IdentificationCode>)BE", r"\1XB")),
    Defect(
        "missing_supplier_name",
        "en16931",
        "BR-06",
        _replace(r"<cbc:RegistrationName>.*?</cbc:RegistrationName>", ""),
    ),
    Defect("missing_buyer_reference", "peppol_bis3", "PEPPOL-EN16931-R003", _without_references),
    Defect(
        "wrong_endpoint_check_digits",
        "peppol_bis3",
        "PEPPOL-COMMON-R043",
        _replace(r'(<cbc:EndpointID schemeID="0208">)(\d{8})(\d\d)', _wrong_check_digits),
    ),
    Defect(
        "wrong_vat_check_digits",
        "belgium",
        "",
        _replace(r"(<cac:PartyTaxScheme><cbc:CompanyID>BE)(\d{8})(\d\d)", _wrong_check_digits),
    ),
    Defect("missing_number", "ubl_xsd", "XSD", _replace(r"<cbc:ID>[^<]*</cbc:ID>\n(?=<cbc:IssueDate>)", "")),
    Defect(
        "elements_in_wrong_order",
        "ubl_xsd",
        "XSD",
        _replace(r"(<cbc:ID>[^<]*</cbc:ID>\n)(<cbc:IssueDate>[^<]*</cbc:IssueDate>\n)", r"\2\1"),
    ),
    Defect("amount_is_no_number", "ubl_xsd", "XSD", _replace(r"(<cbc:PayableAmount[^>]*>)-?[\d.]+", r"\1niet bekend")),
    Defect("cut_off", "parse", "", _cut),
    Defect("not_xml", "parse", "", lambda document: "%PDF-1.4 dit is geen UBL-factuur\n"),
)

BY_NAME = {defect.name: defect for defect in DEFECTS}
