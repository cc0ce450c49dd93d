"""Documents of statements: exact totals, accepted by our own validation, corrections that name what they undo."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from clearfacts_assets.chargeback.invoicing.deciding import due_documents
from clearfacts_assets.chargeback.invoicing.model import (
    Asked,
    CannotInvoice,
    DocumentKind,
    InvoiceLine,
    Party,
    Terms,
    document_of,
)
from clearfacts_assets.chargeback.invoicing.ubl import Attachment, written
from clearfacts_assets.invoices.validation.engine import Validator
from clearfacts_assets.money import exact_sum

TODAY = date(2026, 11, 20)
SUPPLIER = Party(
    "Example University", "BE0203201340", "0208:0203201340", "Kerkstraat 12", "Gent", "9000", "BE", "0203201340",
    "Billing", "billing@example.edu", "BE68 5390 0754 7034",
)  # fmt: skip
CUSTOMER = Party("Acme NV", "BE0308357159", "0208:0308357159", "Marktplein 3", "Leuven", "3000", "BE")
NS = {"cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"}
PDF = Attachment("statement.pdf", b"%PDF-1.7 not a real one")


def line(amount, name="Virtual Machines", note="genome BIO-000001"):
    return InvoiceLine(name, note, Decimal(amount))


def document(*amounts, version=1, party=CUSTOMER, currency="EUR"):
    lines = [line(amount, f"Service {number}") for number, amount in enumerate(amounts)]
    due = date(2026, 12, 20)
    asked = Asked("S-2026-10-0001", version, "2026-10", currency, tuple(lines))
    return document_of(asked, Terms("Acme", party, TODAY, due))


def said(content, name):
    return [one.text for one in etree.fromstring(content).iterfind(f".//cbc:{name}", NS)]


def test_documents_of_every_kind_are_accepted_by_our_own_validation():
    exempt = replace(CUSTOMER, vat_category="E", vat_percent=Decimal(0), vat_reason="VATEX-EU-132")
    reverse = replace(CUSTOMER, vat_category="AE", vat_percent=Decimal(0), vat_reason="VATEX-EU-AE")
    invoice = document("10.00", "-2.50", "0.01")
    documents = {
        "invoice": (invoice, CUSTOMER),
        "taken back": (invoice.taken_back("S-2026-10-0001-1C", TODAY), CUSTOMER),
        "given back": (document("-10.00", "3.00"), CUSTOMER),
        "exempt": (document("10.00", party=exempt), exempt),
        "reverse charge": (document("99.99", party=reverse), reverse),
        "hostile": (replace(invoice, lines=(line("1.00", "<a>&\x00\n" * 90, "]]>"),)), CUSTOMER),
        "with reference": (document("1.00"), replace(CUSTOMER, buyer_reference="PO-1", contact="x", email="a@b.be")),
    }
    contents = [(name, written(one, SUPPLIER, party, PDF)) for name, (one, party) in documents.items()]
    with Validator(workers=0) as validator:
        reports = dict(validator.validate_many(contents))
    found = {name: (report.decision.value, [one.rule for one in report.findings]) for name, report in reports.items()}
    assert {name: decision for name, (decision, _) in found.items()} == dict.fromkeys(documents, "accept"), found


def test_totals_are_exact_and_vat_is_rounded_once():
    one = document("10.00", "-2.50", "0.01")
    assert (str(one.net), str(one.vat), str(one.gross), one.kind) == ("7.51", "1.58", "9.09", DocumentKind.INVOICE)
    content = written(one, SUPPLIER, CUSTOMER, PDF)
    assert said(content, "PayableAmount") == ["9.09"]
    assert said(content, "LineExtensionAmount") == ["7.51", "10.00", "-2.50", "0.01"]
    assert said(content, "InvoicedQuantity") == ["1", "-1", "1"]
    assert written(one, SUPPLIER, CUSTOMER, PDF) == content


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9).map(lambda units: Decimal(units).scaleb(-2)), min_size=1, max_size=12))
def test_a_document_comes_to_what_the_statement_says_and_taken_back_to_nothing(amounts):
    one = document(*amounts)
    sign = 1 if one.kind is DocumentKind.INVOICE else -1
    assert sign * one.net == exact_sum(amounts)
    assert one.net >= 0
    back = one.taken_back("x", TODAY)
    assert (back.net, back.vat, back.gross, back.kind) == (one.net, one.vat, one.gross, one.kind.other)


def test_what_is_given_back_is_a_credit_note_of_positive_amounts():
    one = document("-10.00", "3.00")
    assert (one.kind, str(one.net)) == (DocumentKind.CREDIT_NOTE, "7.00")
    assert said(written(one, SUPPLIER, CUSTOMER, PDF), "CreditedQuantity") == ["1", "-1"]


def test_a_correction_takes_back_the_whole_and_names_it():
    first, second = document("10.00"), document("12.00", version=2)
    assert due_documents([], first, TODAY) == [first]
    assert due_documents([first], first, TODAY) == []
    credit, invoice = due_documents([first], second, TODAY)
    assert (credit.kind, credit.number, credit.names, str(credit.net)) == (
        *(DocumentKind.CREDIT_NOTE, "S-2026-10-0001-1C", "S-2026-10-0001-1", "10.00"),
    )
    assert invoice == second
    assert due_documents([first, credit, second], second, TODAY) == []
    assert [one.names for one in due_documents([first, credit, second], None, TODAY)] == ["S-2026-10-0001-2"]
    content = written(credit, SUPPLIER, CUSTOMER, PDF)
    root = etree.fromstring(content)
    assert root.findtext(".//{*}InvoiceDocumentReference/{*}ID") == "S-2026-10-0001-1"


def test_nothing_is_asked_for_nothing():
    assert due_documents([], document("0.00"), TODAY) == []
    first = document("10.00")
    (credit,) = due_documents([first], document("0.00", version=2), TODAY)
    assert due_documents([first, credit], document("0.00", version=2), TODAY) == []


def test_a_currency_of_three_places_cannot_be_an_invoice():
    with pytest.raises(CannotInvoice, match=r"no amounts of 3 places \(KWD\)"):
        document("1.234", currency="KWD")
