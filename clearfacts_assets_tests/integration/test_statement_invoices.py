"""Statements of external customers leave through the pipeline, internal ones never; each is traced to Clearfacts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.cli.chargeback.invoices import _way
from clearfacts_assets.customer_settings import CustomerSettings
from clearfacts_assets.invoices.model import Window
from clearfacts_assets.invoices.sources.statements import Statements
from clearfacts_assets.settings import load
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets.storage.chargeback.invoicing.laying_out import lay_out
from clearfacts_assets.storage.chargeback.invoicing.making import InvoiceMaker, InvoiceShelf
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import ADA, NOW, Books, row
from clearfacts_assets_tests.fixtures.journals import Bookkeeping
from clearfacts_assets_tests.fixtures.rates import Rules
from clearfacts_assets_tests.fixtures.statements import Office

CUSTOMER = RECEIVERS[0]  # a company of which Clearfacts keeps the books
ACME = {"pi_email": "rosa@acme.example.com", "project_id": "crystals", "fund_org": "ACME-000001"}
PARTY = {
    "name": CUSTOMER.name,
    "vat": CUSTOMER.vat_number,
    "endpoint": f"0208:{CUSTOMER.number}",
    "street": CUSTOMER.street,
    "city": CUSTOMER.city,
    "postal_code": CUSTOMER.postal_code,
}
SUPPLIER = {
    "name": "Example University",
    "vat": "BE0203201340",
    "endpoint": "0208:0203201340",
    "street": "Kerkstraat 1",
    "city": "Gent",
    "postal_code": "9000",
    "iban": "BE68539007547034",
}
CUSTOMERS = {"supplier": SUPPLIER, "parties": {"Acme": PARTY}}


def external_month(office):
    """A charge of Ada, who is internal, and two of Rosa, whose institution is external."""
    registry = RegistryRepository(office.books.engine)
    person = {"email": ACME["pi_email"], "name": "Rosa", "institution": "Acme"}
    registry.put("investigators", [person], actor="pat", now=NOW)
    said = {"institution": "Acme", "rate_class": "external"}
    Rules(office.books).add(RuleKind.RATE_CLASS, "Acme", **said)
    office.books.put(
        row(BilledCost="10.00", ResourceId="a", Tags=json.dumps(ADA), BillingCurrency="EUR"),
        row(BilledCost="7.004", ResourceId="b", Tags=json.dumps(ACME), BillingCurrency="EUR"),
        row(BilledCost="2.50", ResourceId="c", Tags=json.dumps(ACME), BillingCurrency="EUR", ServiceName="Storage"),
    )
    office.close()
    office.generate()


def maker(office, folder, **said):
    return InvoiceMaker(office.books.engine, CustomerSettings(**(CUSTOMERS | said)), folder)


def test_only_external_customers_get_invoices_each_version_once(office, tmp_path):
    external_month(office)
    made = maker(office, tmp_path).make("2025-03", actor="pat", now=NOW)
    assert [(one["kind"], one["net"], one["vat"], one["gross"]) for one in made.documents] == [
        ("invoice", "9.50", "2.00", "11.50"),
    ]
    assert (made.internal, made.problems) == (1, [])
    (file,) = tmp_path.rglob("*.xml")
    root = etree.parse(str(file)).getroot()
    assert [one.text for one in root.iterfind(".//{*}PayableAmount")] == ["11.50"]
    assert root.findtext(".//{*}EmbeddedDocumentBinaryObject")[:8] == "JVBERi0x"  # %PDF-1
    again = maker(office, tmp_path).make("2025-03", actor="pat", now=NOW)
    assert (again.documents, again.unchanged) == ([], 1)
    file.unlink()  # a crash came between the commit and the file
    maker(office, tmp_path).make("2025-03", actor="pat", now=NOW)
    assert file.exists()
    with pytest.raises(DatabaseError, match="only added to"), office.books.engine.begin() as connection:
        connection.execute(text("UPDATE statement_invoices SET gross = '1'"))


def test_a_document_is_the_same_file_of_the_same_time_on_each_machine(office, tmp_path):
    external_month(office)
    one, other = tmp_path / "one", tmp_path / "other"
    maker(office, one).make("2025-03", actor="pat", now=NOW)
    assert (lay_out(office.books.engine, other), lay_out(office.books.engine, other)) == (1, 0)
    (first,), (second,) = one.rglob("*.xml"), other.rglob("*.xml")
    assert (first.relative_to(one), first.read_bytes()) == (second.relative_to(other), second.read_bytes())
    day = Window(NOW - timedelta(minutes=1), NOW + timedelta(minutes=1))
    given = [list(Statements(folder).pages(day)) for folder in (one, other)]
    assert given[0] == given[1]
    assert [[document.updated_at for document in page] for page in given[0]] == [[NOW]]


def test_a_correction_is_a_credit_note_that_names_the_invoice_and_a_new_invoice(office, tmp_path):
    external_month(office)
    maker(office, tmp_path).make("2025-03", actor="pat", now=NOW)
    storage = next(one["id"] for one in office.books.charges(resource_id="c"))
    office.books.decide(Verdict.REJECT, storage)
    office.generate()
    made = maker(office, tmp_path).make("2025-03", actor="pat", now=NOW)
    number = made.documents[1]["statement"]
    assert [(one["kind"], one["number"], one["names"], one["net"]) for one in made.documents] == [
        ("credit_note", f"{number}-1C", f"{number}-1", "9.50"),
        ("invoice", f"{number}-2", "", "7.00"),
    ]
    office.shelf.void(number, actor="pat", reason="withdrawn", now=NOW)
    (credit,) = maker(office, tmp_path).make("2025-03", actor="pat", now=NOW).documents
    assert (credit["kind"], credit["names"], credit["net"]) == ("credit_note", f"{number}-2", "7.00")
    assert len(InvoiceShelf(office.books.engine).list("2025-03")) == 4


def test_what_is_missing_is_named_and_hinders_nobody_else(office, tmp_path):
    external_month(office)
    for said, problem in (
        ({"parties": {}}, "customers.parties has no 'Acme'"),
        ({"parties": {"Acme": PARTY | {"vat": ""}}}, "customers.parties of 'Acme' lacks vat"),
        ({"supplier": {}}, "customers.supplier lacks name, vat, endpoint, city"),
    ):
        made = maker(office, tmp_path, **said).make("2025-03", actor="pat", now=NOW, dry_run=True)
        assert [each for _, each in made.problems if problem in each], made.problems
    assert maker(office, tmp_path).make("2025-03", actor="pat", now=NOW, dry_run=True).documents
    assert (InvoiceShelf(office.books.engine).list(), list(tmp_path.rglob("*.xml"))) == ([], [])
    never = maker(office, tmp_path, rate_classes=("internal",)).make("2025-03", actor="pat", now=NOW)
    assert (never.documents, never.internal) == ([], 2)  # internal funds never, whatever the settings say


def test_a_statement_is_traced_from_its_rows_to_clearfacts(quick_pipeline, press, tmp_path):
    pipeline = quick_pipeline
    office = Office(Books(pipeline.engine, tmp_path), press)
    external_month(office)
    Bookkeeping(office).export()
    folder = tmp_path / "invoices"
    pipeline.configure(
        CUSTOMERS__SUPPLIER=json.dumps(SUPPLIER),
        CUSTOMERS__PARTIES=json.dumps({"Acme": PARTY}),
        CUSTOMERS__FOLDER=folder,
    )
    made = pipeline.run_only("2025-03", job="invoicing_of_statements", run_config={})
    assert {one.check_name: one.passed for one in made.get_asset_check_evaluations()} == {
        **{"every_document_is_accepted": True, "every_external_statement_has_its_invoice": True},
    }
    assert load().invoice_folder == folder
    (file,) = folder.rglob("*.xml")
    name = file.relative_to(folder).as_posix()
    elsewhere = tmp_path / "of_another_machine"
    pipeline.configure(SOURCE__KIND="statements", SOURCE__FOLDER=elsewhere)
    today = datetime.now(UTC).date().isoformat()
    run = pipeline.run(today, job="manual_trigger", config={"invoice_ids": [name]})
    assert ([row.status for row in run.rows.values()], run.reasons) == (["sent"], {})
    (document,) = pipeline.simulator.accepted()
    way = _way(pipeline.engine, file.stem.removesuffix("-1"))
    rows = sorted((one["file"], one["line"], one["cents"]) for one in way["rows"])
    assert rows == [("export.csv", 3, "7.00"), ("export.csv", 4, "2.50")]
    assert [(one["number"], one["state"], one["amount"]) for one in way["journals"]] == [
        ("J-2025-03-0001", "exported", "9.50"),
    ]
    (invoice,) = way["invoices"]
    assert (invoice["gross"], invoice["delivery"]["state"]) == ("11.50", "delivered")
    assert invoice["sha256"] == document["sha256"]
