"""Reading UBL: every encoding, the head's facts, and what is refused before anybody looks inside."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from clearfacts_assets.invoices.model import DocumentType
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.ubl import (
    DEFAULT_LIMITS,
    Limits,
    Unreadable,
    from_text,
    parse,
    refuse_depth,
)
from clearfacts_assets.money import Money
from clearfacts_assets_tests.fixtures.ubl_documents import BIS3, BUYER_VAT, SELLER_VAT, document, edited, without


def refused(content: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(Unreadable) as caught:
        parse(content, limits=limits)
    return caught.value.rule


def head(content: bytes):
    return read_invoice(parse(content).root)


def test_the_head_holds_what_names_and_addresses_an_invoice():
    invoice = head(document(number="F-12", lines=2))
    assert invoice.document_type is DocumentType.INVOICE
    assert (invoice.number, invoice.issue_date, invoice.type_code) == ("F-12", date(2026, 11, 20), "380")
    assert invoice.payable == Money(Decimal("79.21"), "EUR")
    assert (invoice.supplier.vat_id, invoice.customer.vat_id) == (SELLER_VAT, BUYER_VAT)
    assert invoice.supplier.legal_id == "0203201340"
    assert invoice.supplier.endpoint == "0208:0203201340"
    assert invoice.customization_id == BIS3


def test_a_credit_note_is_read_like_an_invoice():
    invoice = head(document(credit_note=True))
    assert (invoice.document_type, invoice.type_code) == (DocumentType.CREDIT_NOTE, "381")


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1", "utf-8-sig"])
def test_every_encoding_gives_the_same_head(encoding):
    content = document(note="Café à Liège")
    written = "UTF-8" if encoding == "utf-8-sig" else encoding
    other = content.decode().replace('encoding="UTF-8"', f'encoding="{written}"').encode(encoding)
    assert head(other) == head(content)


def test_text_from_json_is_utf_8_whatever_its_declaration_said():
    text = document(note="Café").decode().replace('encoding="UTF-8"', "encoding='ISO-8859-1'")
    content = from_text("\ufeff" + text)
    assert b'encoding="UTF-8"' in content
    assert "Café" in parse(content).root.findtext("{*}Note")


def test_text_without_a_declaration_stays_as_it_is():
    assert from_text("<a>é</a>") == "<a>é</a>".encode()


def test_text_that_no_encoding_holds_is_refused_later_not_raised_here():
    assert refused(from_text(document().decode().replace("Gent", "\ud800"))) == "DOC-SYNTAX"


def test_a_date_with_a_time_zone_is_the_day_it_says():
    content = edited(document(), "<cbc:IssueDate>2026-11-20<", "<cbc:IssueDate>2026-11-20+01:00<")
    assert head(content).issue_date == date(2026, 11, 20)


@pytest.mark.parametrize(
    "path",
    ["/*/cbc:ID", "/*/cbc:IssueDate", "//cbc:PayableAmount", "/*/cac:LegalMonetaryTotal"],
)
def test_a_document_without_what_every_invoice_has_has_no_head(path):
    with pytest.raises(Unreadable) as caught:
        head(without(document(), path))
    assert caught.value.rule == "DOC-HEAD"


@pytest.mark.parametrize("amount", ["NaN", "1e3", "1,00", "", "∞"])
def test_an_amount_is_digits_and_a_point(amount):
    content = edited(document(), "79.21</cbc:PayableAmount>", f"{amount}</cbc:PayableAmount>")
    with pytest.raises(Unreadable):
        head(content)


def test_parties_may_be_missing():
    invoice = head(without(document(), "//cac:AccountingCustomerParty"))
    assert (invoice.customer.name, invoice.customer.vat_id) == ("", None)


def test_a_tax_registration_under_another_scheme_is_not_the_vat_number():
    content = edited(document(), "<cac:TaxScheme><cbc:ID>VAT<", "<cac:TaxScheme><cbc:ID>LOC<")
    assert head(content).supplier.vat_id is None


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "DOC-SYNTAX"),
        (b" \n", "DOC-SYNTAX"),
        (b"%PDF-1.7", "DOC-SYNTAX"),
        (b"\x00\x01", "DOC-SYNTAX"),
        (b"<Invoice>", "DOC-SYNTAX"),
        (b"<html><body/></html>", "DOC-ROOT"),
        (b"<Invoice/>", "DOC-ROOT"),
        (b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>', "DOC-ROOT"),
    ],
)
def test_what_is_not_a_ubl_invoice_is_refused(content, rule):
    assert refused(content) == rule


def test_the_byte_limit_is_exact():
    content = document()
    assert refused(content, Limits(document_bytes=len(content) - 1)) == "DOC-SIZE"
    parse(content, limits=Limits(document_bytes=len(content)))


def nested(depth: int) -> bytes:
    """A document that is ``depth`` elements deep, inside the place where any XML may stand."""
    inner = "<x>" * (depth - 4) + "</x>" * (depth - 4)
    extension = (
        '<ext:UBLExtensions xmlns:ext="urn:oasis:names:specification:ubl:schema:xsd:CommonExtensionComponents-2">'
        f"<ext:UBLExtension><ext:ExtensionContent>{inner}</ext:ExtensionContent></ext:UBLExtension></ext:UBLExtensions>"
    )
    return edited(document(), "<cbc:CustomizationID>", f"{extension}<cbc:CustomizationID>")


def test_the_depth_limit_is_exact():
    refuse_depth(parse(nested(90)).root)
    with pytest.raises(Unreadable) as unreadable:
        refuse_depth(parse(nested(91)).root)
    assert unreadable.value.rule == "DOC-DEPTH"


def test_the_element_limit_is_exact():
    content = document()
    count = content.count(b"</") + content.count(b"/>")
    limits = Limits(elements=count)
    parse(content, limits=limits)
    assert refused(content, Limits(elements=count - 1)) == "DOC-ELEMENTS"


def test_a_flood_of_tags_is_refused_before_it_is_parsed():
    assert refused(b"<a>" + b"<b/>" * 5000 + b"</a>", Limits(elements=1000)) == "DOC-ELEMENTS"


def test_gzip_is_not_unpacked():
    import gzip

    assert refused(gzip.compress(document())) == "DOC-SYNTAX"
