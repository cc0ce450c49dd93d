"""A bill as a Peppol BIS Billing 3.0 document: UBL 2.1 Invoice or CreditNote, every amount exact.

The bill holds what was sold; every total is computed here the way EN 16931 defines it (BR-CO-10 to BR-CO-17), in
Decimal and rounded half up to the cent. Text is composed directly, because a simulator that is slower than what it
tests measures itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from xml.sax.saxutils import escape

from clearfacts_assets.simulator.trade import Company, Good, Supplier, Vat

CUSTOMIZATION = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"
PROFILE = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
CENT = Decimal("0.01")
ZERO = Decimal("0.00")


def cents(amount: Decimal) -> Decimal:
    """Rounded half up to two decimals, as EN 16931 rounds."""
    return amount.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Line:
    """One invoice line (BG-25); ``discount`` is in percent of its gross amount (BG-27)."""

    good: Good
    quantity: Decimal
    discount: int = 0

    @property
    def gross(self) -> Decimal:
        return cents(self.quantity * self.good.price / self.good.base)

    @property
    def allowance(self) -> Decimal:
        return cents(self.gross * self.discount / 100) if self.discount else ZERO


@dataclass(frozen=True, slots=True)
class Surcharge:
    """An allowance (BG-20) or a charge (BG-21) on the whole document."""

    is_charge: bool
    code: str
    reason: str
    amount: Decimal
    vat: Vat
    percent: int = 0  # of ``base``; 0 where the amount was simply agreed
    base: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Attachment:
    """A supporting document that travels inside (BG-24)."""

    reference: str
    description: str
    file_name: str
    base64: str  # of a PDF


@dataclass(frozen=True, slots=True)
class Bill:
    """What one invoice or credit note says."""

    is_credit_note: bool
    number: str
    issued: date
    due: date
    supplier: Supplier
    receiver: Company
    buyer_reference: str
    order: str
    lines: tuple[Line, ...]
    surcharges: tuple[Surcharge, ...] = ()
    communication: str = ""  # structured, +++.../..../.....+++
    corrects: str = ""  # number of the invoice that a credit note corrects
    note: str = ""
    prepaid: Decimal = ZERO
    attachment: Attachment | None = None


def write(bill: Bill) -> str:
    """The document as XML text, to be encoded as UTF-8."""
    kind = "CreditNote" if bill.is_credit_note else "Invoice"
    taxable: dict[Vat, Decimal] = {}
    lines_total = ZERO
    lines: list[str] = []
    for position, line in enumerate(bill.lines, 1):
        text, net = _line(bill.is_credit_note, position, line)
        lines.append(text)
        lines_total += net
        taxable[line.good.vat] = taxable.get(line.good.vat, ZERO) + net
    allowances = charges = ZERO
    for surcharge in bill.surcharges:
        if surcharge.is_charge:
            charges += surcharge.amount
            taxable[surcharge.vat] = taxable.get(surcharge.vat, ZERO) + surcharge.amount
        else:
            allowances += surcharge.amount
            taxable[surcharge.vat] = taxable.get(surcharge.vat, ZERO) - surcharge.amount
    tax_text, tax = _tax(taxable)
    return "".join(
        (
            _head(bill, kind),
            _party("Supplier", bill.supplier.company),
            _party("Customer", bill.receiver),
            _delivery(bill),
            _payment(bill),
            *(_surcharge(surcharge) for surcharge in bill.surcharges),
            tax_text,
            _totals(lines_total, allowances, charges, tax, bill.prepaid),
            *lines,
            f"</{kind}>\n",
        )
    )


def _head(bill: Bill, kind: str) -> str:
    date_due = "" if bill.is_credit_note else f"<cbc:DueDate>{bill.due}</cbc:DueDate>"
    code = "381" if bill.is_credit_note else "380"
    note = f"<cbc:Note>{escape(bill.note)}</cbc:Note>" if bill.note else ""
    reference = f"<cbc:BuyerReference>{bill.buyer_reference}</cbc:BuyerReference>" if bill.buyer_reference else ""
    order = f"<cac:OrderReference><cbc:ID>{bill.order}</cbc:ID></cac:OrderReference>" if bill.order else ""
    corrects = (
        f"<cac:BillingReference><cac:InvoiceDocumentReference><cbc:ID>{bill.corrects}</cbc:ID>"
        "</cac:InvoiceDocumentReference></cac:BillingReference>"
        if bill.corrects
        else ""
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{kind} xmlns="urn:oasis:names:specification:ubl:schema:xsd:{kind}-2"'
        ' xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"'
        ' xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">\n'
        f"<cbc:CustomizationID>{CUSTOMIZATION}</cbc:CustomizationID>\n"
        f"<cbc:ProfileID>{PROFILE}</cbc:ProfileID>\n"
        f"<cbc:ID>{bill.number}</cbc:ID>\n"
        f"<cbc:IssueDate>{bill.issued}</cbc:IssueDate>\n{date_due}"
        f"<cbc:{kind}TypeCode>{code}</cbc:{kind}TypeCode>\n{note}"
        f"<cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>\n{reference}{order}{corrects}"
        f"{_attachment(bill.attachment)}"
    )


def _attachment(attachment: Attachment | None) -> str:
    if attachment is None:
        return ""
    return (
        f"<cac:AdditionalDocumentReference><cbc:ID>{attachment.reference}</cbc:ID>"
        f"<cbc:DocumentDescription>{escape(attachment.description)}</cbc:DocumentDescription><cac:Attachment>"
        f'<cbc:EmbeddedDocumentBinaryObject mimeCode="application/pdf" filename="{attachment.file_name}">'
        f"{attachment.base64}</cbc:EmbeddedDocumentBinaryObject></cac:Attachment></cac:AdditionalDocumentReference>\n"
    )


@lru_cache(maxsize=64)
def _party(role: str, company: Company) -> str:
    return (
        f'<cac:Accounting{role}Party><cac:Party>\n<cbc:EndpointID schemeID="0208">{company.number}</cbc:EndpointID>\n'
        f"<cac:PartyName><cbc:Name>{escape(company.name)}</cbc:Name></cac:PartyName>\n"
        f"<cac:PostalAddress><cbc:StreetName>{escape(company.street)}</cbc:StreetName>"
        f"<cbc:CityName>{escape(company.city)}</cbc:CityName><cbc:PostalZone>{company.postal_code}</cbc:PostalZone>"
        "<cac:Country><cbc:IdentificationCode>BE</cbc:IdentificationCode></cac:Country></cac:PostalAddress>\n"
        f"<cac:PartyTaxScheme><cbc:CompanyID>{company.vat_number}</cbc:CompanyID>"
        "<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:PartyTaxScheme>\n"
        f"<cac:PartyLegalEntity><cbc:RegistrationName>{escape(company.name)}</cbc:RegistrationName>"
        f'<cbc:CompanyID schemeID="0208">{company.number}</cbc:CompanyID></cac:PartyLegalEntity>\n'
        f"<cac:Contact><cbc:Name>{escape(company.contact)}</cbc:Name>"
        f"<cbc:ElectronicMail>{company.email}</cbc:ElectronicMail></cac:Contact>\n"
        f"</cac:Party></cac:Accounting{role}Party>\n"
    )


def _delivery(bill: Bill) -> str:
    return f"<cac:Delivery><cbc:ActualDeliveryDate>{bill.issued}</cbc:ActualDeliveryDate></cac:Delivery>\n"


def _payment(bill: Bill) -> str:
    supplier = bill.supplier
    reference = f"<cbc:PaymentID>{bill.communication}</cbc:PaymentID>" if bill.communication else ""
    means = (
        '<cac:PaymentMeans><cbc:PaymentMeansCode name="Credit transfer">30</cbc:PaymentMeansCode>'
        f"{reference}<cac:PayeeFinancialAccount><cbc:ID>{supplier.iban}</cbc:ID>"
        f"<cbc:Name>{escape(supplier.company.name)}</cbc:Name>"
        f"<cac:FinancialInstitutionBranch><cbc:ID>{supplier.bic}</cbc:ID></cac:FinancialInstitutionBranch>"
        "</cac:PayeeFinancialAccount></cac:PaymentMeans>\n"
    )
    days = (bill.due - bill.issued).days
    return f"{means}<cac:PaymentTerms><cbc:Note>{days} dagen / jours</cbc:Note></cac:PaymentTerms>\n"


def _vat_category(tag: str, vat: Vat, reasons: str = "") -> str:
    return (
        f"<cac:{tag}><cbc:ID>{vat.category.value}</cbc:ID><cbc:Percent>{vat.rate}</cbc:Percent>{reasons}"
        f"<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:{tag}>"
    )


def _surcharge(surcharge: Surcharge) -> str:
    percent = (
        f"<cbc:MultiplierFactorNumeric>{surcharge.percent}</cbc:MultiplierFactorNumeric>" if surcharge.percent else ""
    )
    base = f'<cbc:BaseAmount currencyID="EUR">{surcharge.base}</cbc:BaseAmount>' if surcharge.percent else ""
    return (
        f"<cac:AllowanceCharge><cbc:ChargeIndicator>{'true' if surcharge.is_charge else 'false'}</cbc:ChargeIndicator>"
        f"<cbc:AllowanceChargeReasonCode>{surcharge.code}</cbc:AllowanceChargeReasonCode>"
        f"<cbc:AllowanceChargeReason>{surcharge.reason}</cbc:AllowanceChargeReason>{percent}"
        f'<cbc:Amount currencyID="EUR">{surcharge.amount}</cbc:Amount>{base}'
        f"{_vat_category('TaxCategory', surcharge.vat)}</cac:AllowanceCharge>\n"
    )


def _tax(taxable: dict[Vat, Decimal]) -> tuple[str, Decimal]:
    total = ZERO
    parts: list[str] = []
    for vat, amount in taxable.items():
        tax = cents(amount * vat.rate / 100)
        total += tax
        reasons = (
            f"<cbc:TaxExemptionReasonCode>{vat.reason_code}</cbc:TaxExemptionReasonCode>"
            f"<cbc:TaxExemptionReason>{vat.reason}</cbc:TaxExemptionReason>"
            if vat.reason_code
            else ""
        )
        parts.append(
            f'<cac:TaxSubtotal><cbc:TaxableAmount currencyID="EUR">{amount}</cbc:TaxableAmount>'
            f'<cbc:TaxAmount currencyID="EUR">{tax}</cbc:TaxAmount>'
            f"{_vat_category('TaxCategory', vat, reasons)}</cac:TaxSubtotal>\n"
        )
    return (
        f'<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">{total}</cbc:TaxAmount>\n{"".join(parts)}</cac:TaxTotal>\n',
        total,
    )


def _totals(lines: Decimal, allowances: Decimal, charges: Decimal, tax: Decimal, prepaid: Decimal) -> str:
    exclusive = lines - allowances + charges
    inclusive = exclusive + tax
    amounts = (
        ("LineExtensionAmount", lines),
        ("TaxExclusiveAmount", exclusive),
        ("TaxInclusiveAmount", inclusive),
        ("AllowanceTotalAmount", allowances or None),
        ("ChargeTotalAmount", charges or None),
        ("PrepaidAmount", prepaid or None),
        ("PayableAmount", inclusive - prepaid),
    )
    body = "".join(
        f'<cbc:{name} currencyID="EUR">{amount}</cbc:{name}>' for name, amount in amounts if amount is not None
    )
    return f"<cac:LegalMonetaryTotal>{body}</cac:LegalMonetaryTotal>\n"


def _line(is_credit_note: bool, position: int, line: Line) -> tuple[str, Decimal]:
    kind, quantity = ("CreditNoteLine", "CreditedQuantity") if is_credit_note else ("InvoiceLine", "InvoicedQuantity")
    gross, allowance = line.gross, line.allowance
    net = gross - allowance
    discount = (
        "<cac:AllowanceCharge><cbc:ChargeIndicator>false</cbc:ChargeIndicator>"
        "<cbc:AllowanceChargeReasonCode>95</cbc:AllowanceChargeReasonCode>"
        "<cbc:AllowanceChargeReason>Korting</cbc:AllowanceChargeReason>"
        f"<cbc:MultiplierFactorNumeric>{line.discount}</cbc:MultiplierFactorNumeric>"
        f'<cbc:Amount currencyID="EUR">{allowance}</cbc:Amount>'
        f'<cbc:BaseAmount currencyID="EUR">{gross}</cbc:BaseAmount></cac:AllowanceCharge>'
        if line.discount
        else ""
    )
    text = (
        f'<cac:{kind}><cbc:ID>{position}</cbc:ID><cbc:{quantity} unitCode="{line.good.unit}">{line.quantity}'
        f'</cbc:{quantity}><cbc:LineExtensionAmount currencyID="EUR">{net}</cbc:LineExtensionAmount>'
        f"{discount}{_item(line.good)}</cac:{kind}>\n"
    )
    return text, net


@lru_cache(maxsize=256)
def _item(good: Good) -> str:
    base = f'<cbc:BaseQuantity unitCode="{good.unit}">{good.base}</cbc:BaseQuantity>' if good.base != 1 else ""
    return (
        f"<cac:Item><cbc:Name>{escape(good.name)}</cbc:Name>"
        f"<cac:SellersItemIdentification><cbc:ID>{good.code}</cbc:ID></cac:SellersItemIdentification>"
        f"{_vat_category('ClassifiedTaxCategory', good.vat)}</cac:Item>"
        f'<cac:Price><cbc:PriceAmount currencyID="EUR">{good.price}</cbc:PriceAmount>{base}</cac:Price>'
    )
