"""Statements of external customers leave through the pipeline, internal ones never; each is traced to Clearfacts."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta

import dagster as dg
import pytest
from lxml import etree
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from typer.testing import CliRunner

from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.defs.statement_invoices import invoices_due
from clearfacts_assets.chargeback.lifecycle import Event
from clearfacts_assets.chargeback.rates.definitions import RuleKind
from clearfacts_assets.cli.chargeback.invoices import app as commands
from clearfacts_assets.customer_settings import CustomerSettings
from clearfacts_assets.invoices.days import ZONE
from clearfacts_assets.invoices.defs.automation import nightly
from clearfacts_assets.invoices.defs.sensors.waiting_statements import statements_night
from clearfacts_assets.invoices.model import Window
from clearfacts_assets.invoices.sources.statements import Statements
from clearfacts_assets.settings import load
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets.storage.chargeback.invoicing.laying_out import lay_out
from clearfacts_assets.storage.chargeback.invoicing.making import InvoiceMaker, StatementInvoiceRepository
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
    office.repository.void(number, actor="pat", reason="withdrawn", now=NOW)
    (credit,) = maker(office, tmp_path).make("2025-03", actor="pat", now=NOW).documents
    assert (credit["kind"], credit["names"], credit["net"]) == ("credit_note", f"{number}-2", "7.00")
    assert len(StatementInvoiceRepository(office.books.engine).list("2025-03")) == 4


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
    assert (StatementInvoiceRepository(office.books.engine).list(), list(tmp_path.rglob("*.xml"))) == ([], [])
    never = maker(office, tmp_path, rate_classes=("internal",)).make("2025-03", actor="pat", now=NOW)
    assert (never.documents, never.internal) == ([], 2)  # internal funds never, whatever the settings say


def night_after(file):
    """02:00 in Brussels of the night after the file came."""
    came = datetime.fromtimestamp(file.stat().st_ctime, tz=ZONE)
    return datetime.combine(came.date() + timedelta(days=1), time(2), tzinfo=ZONE)


def night(pipeline, moment):
    known = load()
    return statements_night(pipeline.engine, known.source, known.invoice_folder, moment)


def made_by_itself(pipeline):
    """The sensor's look, and the run that it asks for; once more it asks for none."""
    look = invoices_due(pipeline.instance, pipeline.engine, load().customers, NOW)
    (request,) = look.run_requests
    made = pipeline.run_only(request.partition_key, job="invoicing_of_statements", run_config={}, tags=request.tags)
    assert {one.check_name: one.passed for one in made.get_asset_check_evaluations()} == {
        **{"every_document_is_accepted": True, "every_external_statement_has_its_invoice": True},
    }
    assert invoices_due(pipeline.instance, pipeline.engine, load().customers, NOW).run_requests == []


def test_finalized_statements_leave_in_the_night_by_themselves_and_one_command_traces_them(
    quick_pipeline, renderer, tmp_path
):
    pipeline = quick_pipeline
    office = Office(Books(pipeline.engine, tmp_path), renderer)
    external_month(office)
    Bookkeeping(office).export()
    folder = tmp_path / "invoices"
    pipeline.configure(
        CUSTOMERS__SUPPLIER=json.dumps(SUPPLIER),
        CUSTOMERS__PARTIES=json.dumps({"Acme": PARTY}),
        CUSTOMERS__FOLDER=folder,
        CUSTOMERS__INVOICED_FROM="2025-03",
    )
    # Until somebody has finalized the month, nothing is made by itself.
    assert invoices_due(pipeline.instance, pipeline.engine, load().customers, NOW).run_requests == []
    office.books.change("2025-03", Event.FINALIZE)
    made_by_itself(pipeline)
    (file,) = folder.rglob("*.xml")
    # Another machine takes them: their folder there is written out of the database.
    pipeline.configure(SOURCE__KIND="statements", SOURCE__FOLDER=tmp_path / "of_another_machine")
    asked = nightly(dg.build_schedule_context(scheduled_execution_time=night_after(file)))
    run = pipeline.run(asked.partition_key, tags=asked.tags, run_config=asked.run_config)
    assert ([row.status for row in run.rows.values()], run.reasons) == (["sent"], {})
    (document,) = pipeline.simulator.accepted()
    number = file.stem.removesuffix("-1")
    way = traced(number)
    rows = sorted((one["file"], one["line"], one["cents"]) for one in way["rows"])
    assert rows == [("export.csv", 3, "7.00"), ("export.csv", 4, "2.50")]
    assert [(one["number"], one["state"], one["amount"]) for one in way["journals"]] == [
        ("J-2025-03-0001", "exported", "9.50"),
    ]
    (invoice,) = way["invoices"]
    assert (invoice["gross"], invoice["delivery"]["state"]) == ("11.50", "delivered")
    assert invoice["sha256"] == document["sha256"]

    # What is withdrawn later is credited, and leaves beside an ERP whose nights these are.
    office.repository.void(number, actor="pat", reason="withdrawn", now=NOW)
    made_by_itself(pipeline)
    pipeline.configure(SOURCE__KIND="java_backend", SOURCE__FOLDER=folder)
    before = night_after(file).replace(hour=1)
    assert night(pipeline, before).run_requests == []
    third = tmp_path / "of_a_third_machine"  # which made none of them, and has all
    there = load().source.model_copy(update={"folder": third})
    (same,) = statements_night(pipeline.engine, there, third, night_after(file)).run_requests
    assert same.run_config["ops"]["raw_invoices"]["config"]["invoice_ids"] == [f"2025-03/{number}-1C.xml"]
    elsewhere = statements_night(pipeline.engine, load().source, tmp_path, night_after(file))
    assert elsewhere.run_requests == []  # a folder that is not that of the statements is nobody's order to send
    look = night(pipeline, night_after(file))
    (request,) = look.run_requests
    assert request.run_config["ops"]["raw_invoices"]["config"]["invoice_ids"] == [f"2025-03/{number}-1C.xml"]
    beside = pipeline.run(request.partition_key, tags=request.tags, run_config=request.run_config)
    assert ([row.status for row in beside.rows.values()], beside.reasons) == (["sent"], {})
    with pipeline.engine.connect() as connection:  # it says nothing of what the ERP has
        whole = connection.execute(text("SELECT whole_day FROM jobs ORDER BY created_at")).scalars().all()
    assert [bool(one) for one in whole] == [True, False]
    assert night(pipeline, night_after(file)).run_requests == []
    credit = traced(number)["invoices"][1]
    assert (credit["kind"], credit["names"], credit["delivery"]["state"]) == (
        *("credit_note", invoice["number"], "delivered"),
    )
    assert len(pipeline.simulator.accepted()) == 2


def traced(number):
    """What the one command says of the statement, as JSON; people see the same."""
    told = CliRunner().invoke(commands, ["trace", number])
    assert (told.exit_code, told.exception) == (0, None)
    assert "export.csv" in told.stdout
    return json.loads(CliRunner().invoke(commands, ["trace", number, "--json"]).stdout)


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_asked_for(office, tmp_path):
    external_month(office)
    maker(office, tmp_path / "here").make("2025-03", actor="pat", now=NOW)
    in_the_way = tmp_path / "a_file"
    in_the_way.write_text("no folder")
    source = load().source.model_copy(update={"folder": in_the_way})
    with pytest.raises(dg.Failure, match=r"cannot be put into .*a_file .*set source.folder to another place"):
        statements_night(office.books.engine, source, in_the_way, NOW)


def test_nothing_is_invoiced_by_itself_unless_a_first_month_is_set(quick_bookkeeping):
    look = invoices_due(None, quick_bookkeeping.engine, CustomerSettings(), NOW)
    assert (look.run_requests, look.skip_reason.skip_message) == (
        [],
        "customers.invoiced_from is empty: invoices are made when somebody asks",
    )
