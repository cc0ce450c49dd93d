"""Small UBL documents for the fault suite: what makes two of them the same invoice, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from clearfacts_assets.simulator.trade import RECEIVERS

RECEIVER = f"BE{RECEIVERS[0].number}"
_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_PARTY = (
    "<cac:{role}><cac:Party><cac:PartyTaxScheme><cbc:CompanyID>{vat}</cbc:CompanyID><cac:TaxScheme><cbc:ID>VAT</cbc:ID>"
    "</cac:TaxScheme></cac:PartyTaxScheme></cac:Party></cac:{role}>"
)
_DOCUMENT = (
    '<Invoice xmlns="{ubl}Invoice-2" xmlns:cac="{ubl}CommonAggregateComponents-2" '
    'xmlns:cbc="{ubl}CommonBasicComponents-2"><cbc:ID>{number}</cbc:ID><cbc:IssueDate>2026-11-20</cbc:IssueDate>'
    "<cbc:Note>version {version}</cbc:Note><cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>{supplier}{customer}"
    '<cac:LegalMonetaryTotal><cbc:PayableAmount currencyID="EUR">121.00</cbc:PayableAmount></cac:LegalMonetaryTotal>'
    "</Invoice>"
)


@dataclass(frozen=True, slots=True)
class Paper:
    """One document of the ERP. ``key`` says which invoice it is, ``version`` which content of it."""

    erp_id: str
    number: str
    supplier: str = "BE0123456749"
    version: int = 1
    changed: int = 0  # second of the day at which the ERP changed it last; 0: whenever it is asked

    @property
    def key(self) -> tuple[str, str]:
        return (self.supplier, self.number)

    @property
    def content(self) -> bytes:
        return _DOCUMENT.format(
            ubl=_UBL,
            number=self.number,
            version=self.version,
            supplier=_PARTY.format(role="AccountingSupplierParty", vat=self.supplier),
            customer=_PARTY.format(role="AccountingCustomerParty", vat=RECEIVER),
        ).encode()

    @property
    def sha256(self) -> str:
        return sha256(self.content).hexdigest()


def papers(count: int, prefix: str = "F") -> list[Paper]:
    return [Paper(f"erp-{prefix}-{number}", f"{prefix}-{number:04}") for number in range(count)]
