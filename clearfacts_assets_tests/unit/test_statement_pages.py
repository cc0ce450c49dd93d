"""A statement's PDF: exact amounts, archival and accessible, the same bytes each time, any name in any script."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pikepdf
import pytest

from clearfacts_assets.chargeback.statements.framing import About, FundFacts, Identity
from clearfacts_assets.chargeback.statements.making import again, make, unpacked
from clearfacts_assets.chargeback.statements.model import Cents, Relief, StatementKind, Subject
from clearfacts_assets.chargeback.statements.render_pool import TemplateSet, make_all
from clearfacts_assets.chargeback.statements.reports import DepartmentRow, SponsorRow, YearRow
from clearfacts_assets.chargeback.statements.trends import columns, months_before, tables
from clearfacts_assets.chargeback.statements.typesetting import TemplateFails, TypstRenderer
from clearfacts_assets_tests.fixtures.statements import attached, charge, order, words

CHARGES = (
    charge(1, "850.00", "1000.00", subsidies=(Relief("GPU subsidy", "Research Office", Decimal("-212.50")),)),
    charge(2, "40.105", "40.105", service="Object Storage", resource_name="raw reads", unit="GiB"),
    charge(3, "-120.00", service="Object Storage", category="Credit"),
    charge(4, "8.50", "10.00", kind="adjustment", origin_period="2025-01", fund="NIH-7"),
)


@pytest.fixture(scope="module")
def pdf(renderer):
    history = tables([("ada", "genome", "USD", "2025-02", "VM", Decimal("5"))], months_before("2025-03"))
    about = About(
        "Prof. Ada Lovelace",
        "Biology",
        {"aws": "effective"},
        {"BIO-000001": FundFacts("BIO-000001", "Genomes", Decimal(1000), Decimal(900), "2025-05-31")},
        history[("ada", "genome", "USD")],
        "2025-04-03",
    )
    made = make(renderer, order(*CHARGES, about=about))
    assert made.problem == ""
    return made.typeset.pdf


def test_every_amount_stands_in_its_text(pdf):
    text = words(pdf)
    for said in (
        "Statement of charges March 2025 · genome",
        "List price 1,050.11 Discount 14.4 % of the list price -151.50 Subsidy paid by others -212.50 "
        "Credits -120.00 Amount due 566.11",
        "566.11 USD",
        "S-2025-03-0001, version 1",
        "effective cost (what was used)",
        "Fund BIO-000001 is used to 90 % of its budget of 1,000.00. The award of fund BIO-000001 ends on 31 May 2025.",
        "GPU subsidy",
        "Adjustment of January 2025",
        "1,000.00 -150.00 -212.50 637.50",
        "17 April 2025",
        "billing@example.edu",
    ):
        assert said in text, said


def test_it_says_that_it_is_pdf_a_3a_and_pdf_ua_1(pdf):
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        about = opened.open_metadata()
        assert (about["pdfaid:part"], about["pdfaid:conformance"]) == ("3", "A")
        assert about["pdfuaid:part"] == "1"
        root = opened.Root
        assert str(root.Lang) == "en"
        assert root.ViewerPreferences.DisplayDocTitle
        assert bool(root.MarkInfo.Marked)
        assert len(root.OutputIntents) == 1
        assert opened.docinfo["/Title"] == "Statement of charges, March 2025: Prof. Ada Lovelace, genome"
        (file,) = root.AF
        assert (str(file.AFRelationship), str(file.EF.F.Subtype)) == ("/Data", "/text/csv")
        assert all(page.Tabs == "/S" for page in opened.pages)


def test_its_structure_can_be_read_aloud(pdf):
    found = {}

    def walk(node):
        if isinstance(node, pikepdf.Array):
            for one in node:
                walk(one)
        elif isinstance(node, pikepdf.Dictionary):
            if "/S" in node:
                found.setdefault(str(node.S), []).append(node)
            if "/K" in node:
                walk(node.K)

    with pikepdf.open(io.BytesIO(pdf)) as opened:
        walk(opened.Root.StructTreeRoot.K)
        assert len(found["/H1"]) == 1
        assert {"/H2", "/Table", "/TR", "/TH", "/TD", "/L", "/Figure"} <= found.keys()
        alternatives = [str(one.Alt) for one in found["/Figure"]]
        assert any("Virtual Machines 646.00" in one for one in alternatives)
        scopes = [str(a.Scope) for th in found["/TH"] for a in _attributes(th) if "/Scope" in a]
        assert set(scopes) == {"/Column"}


def _attributes(node):
    own = node.get("/A", [])
    return list(own) if isinstance(own, pikepdf.Array) else [own]


def test_all_its_type_is_embedded_and_can_be_searched(pdf):
    seen = 0
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        for page in opened.pages:
            for font in page.Resources.get("/Font", {}).values():
                inner = font.DescendantFonts[0].FontDescriptor
                assert any(name in inner for name in ("/FontFile", "/FontFile2", "/FontFile3"))
                assert "/ToUnicode" in font
                seen += 1
    assert seen


def test_the_attachment_has_every_charge_exactly(pdf):
    rows = list(csv.DictReader(io.StringIO(attached(pdf))))
    assert [one["charge"] for one in sorted(rows, key=lambda one: int(one["charge"]))] == ["1", "2", "3", "4"]
    assert sum(Decimal(one["due"]) for one in rows) == Decimal("566.105")
    assert sum(Decimal(one["due_printed"]) for one in rows) == Decimal("566.11")


def test_the_same_data_gives_the_same_bytes(renderer, tmp_path):
    one, other = (make(renderer, order(*CHARGES)) for _ in range(2))
    assert one.typeset.sha256 == other.typeset.sha256
    elsewhere = TypstRenderer(tmp_path / "another")
    assert again(elsewhere, one.inputs).sha256 == one.typeset.sha256
    assert elsewhere.digest == renderer.digest


def test_processes_make_the_same_bytes_and_keep_the_order(renderer, tmp_path):
    orders = [
        order(charge(number, f"{number}.25"), identity=Identity(f"S-{number}", 1, "2025-04-03", "2025-04-17"))
        for number in range(1, 25)
    ]
    made = list(make_all(orders, TemplateSet(), workers=1))
    assert [one.identity.number for one in made] == [one.identity.number for one in orders]
    assert made[7].typeset.sha256 == make(renderer, orders[7]).typeset.sha256


@pytest.mark.parametrize(
    ("name", "stand_ins"),
    [
        ("Ωμέγα Ελένη", ""),
        ("Мария Иванова", ""),
        ("מרים כהן", ""),
        ("李 明", "明李"),
        ("Eve 😀", "😀"),
        ('#panic() *b* $x$ <b>Eve</b> \\ " @ref', ""),
        ("x" * 200, ""),
        ("a\r\nBcc: b\x00\ud800\u202ec", ""),
    ],
)
def test_no_name_stops_the_month(renderer, name, stand_ins):
    subject = Subject(StatementKind.INVESTIGATOR, "2025-03", "li@cs.example.edu", name, "", "USD")
    made = make(renderer, order(charge(1, "5.00", project=name, pi_email="li@cs.example.edu"), subject=subject))
    assert made.problem == ""
    assert made.typeset.stand_ins == stand_ins
    assert "5.00" in words(made.typeset.pdf)
    if stand_ins:
        assert "□" in words(made.typeset.pdf)
        assert name in attached(made.typeset.pdf)


def test_an_id_of_200_characters_stays_in_its_column(renderer):
    made = make(renderer, order(charge(1, "5.00", resource_id="i" * 200, resource_name="node")))
    lines = _lines_of_page(made.typeset.pdf)
    assert max(len(one) for one in lines if set(one) == {"i"}) < 100
    assert any(one.replace(" ", "").endswith("5.00") for one in lines)


def _lines_of_page(pdf):
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(pdf))
    return [line.replace("\u200b", "").strip() for page in reader.pages for line in page.extract_text().splitlines()]


def test_a_template_of_ones_own_replaces_ours_and_a_broken_one_is_named(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    text = '#import "parts.typ": *\n#show: page-of\n#attach-lines()\n= Ours #data.figure.amount\n'
    (own / "investigator.typ").write_text(text)
    mine = TypstRenderer(tmp_path / "renderer", own)
    assert "Ours 5.00" in words(make(mine, order(charge(1, "5.00"))).typeset.pdf)
    (own / "investigator.typ").write_text("= Title\n#data.no-such-thing")
    broken = make(TypstRenderer(tmp_path / "broken", own), order(charge(1, "5.00")))
    assert "investigator.typ" in broken.problem
    with pytest.raises(TemplateFails):
        again(TypstRenderer(tmp_path / "broken2", own), make(mine, order(charge(1, "5.00"))).inputs)


def test_a_correction_names_the_old_one_and_shows_the_difference(renderer):
    replaces = {"version": 1, "due": "10.00", "by_line": {"BIO-000001 · Virtual Machines": "10.00"}}
    identity = Identity("S-2025-03-0001", 2, "2025-04-10", "2025-04-24", "issued", replaces)
    text = words(make(renderer, order(charge(1, "7.25"), identity=identity)).typeset.pdf)
    assert "It replaces version 1, which said 10.00 USD: the difference is -2.75 USD." in text
    assert "BIO-000001 · Virtual Machines 10.00 7.25 -2.75" in text


def test_a_draft_and_a_credit_say_what_they_are(renderer):
    draft = Identity("S-2025-03-0001", 0, "2025-04-10", "2025-04-24", "draft")
    assert "DRAFT" in words(make(renderer, order(charge(1, "7.25"), identity=draft)).typeset.pdf)
    assert "in your favour; nothing is to be paid" in words(make(renderer, order(charge(1, "-7.25"))).typeset.pdf)
    nothing = make(renderer, order())
    assert (str(nothing.sums.due), nothing.problem) == ("0", "")


def test_sponsors_departments_and_years_have_statements(renderer):
    sponsor = Subject(StatementKind.SPONSOR, "2025-03", "Research Office", currency="USD")
    rows = [SponsorRow("ada@x.edu", "genome", "BIO", "GPU cap", "GPU", 3, Decimal(amount)) for amount in ("1.005", "2")]
    made = make(renderer, order(subject=sponsor, rows=rows))
    assert made.problem == ""
    assert "Paid by you 3.01 USD".lower() in words(made.typeset.pdf).lower()
    department = Subject(StatementKind.DEPARTMENT, "2025-03", "BIO", currency="USD")
    rows = [DepartmentRow("S-2025-03-0001", "ada@x.edu", "genome", "BIO", 2, Decimal("3.004"), Decimal("2.50"))]
    made = make(renderer, order(subject=department, rows=rows))
    assert "S-2025-03-0001 3.00 2.50" in words(made.typeset.pdf)
    year = Subject(StatementKind.YEAR, "2025", "ada@x.edu", "genome", currency="USD")
    cents = Cents(Decimal("10.00"), Decimal("-1.00"), Decimal(0), Decimal(0), Decimal("9.00"))
    rows = [YearRow(f"2025-{month:02d}", f"S-2025-{month:02d}-0001", cents) for month in (1, 2, 3)]
    made = make(renderer, order(subject=year, rows=rows))
    assert "In all 30.00 -3.00 – – 27.00" in words(made.typeset.pdf)
    assert attached(made.typeset.pdf).splitlines()[1] == "2025-01,S-2025-01-0001,10.00,-1.00,0,0,9.00"


def test_what_is_kept_is_all_that_is_printed(renderer):
    kept = unpacked(make(renderer, order(*CHARGES)).inputs)
    assert kept["by_line"] == {
        "BIO-000001 · Object Storage": "-79.89",
        "BIO-000001 · Virtual Machines": "637.50",
        "NIH-7 · Virtual Machines": "8.50",
    }
    assert json.dumps(kept["data"])


def test_the_chart_of_a_year_is_exact_and_says_what_it_shows():
    rows = [("a", "p", "USD", "2025-02", "VM", Decimal("0.1")), ("a", "p", "USD", "2025-03", "VM", Decimal("0.2"))]
    months = months_before("2025-03")
    drawn = columns(tables(rows, months)[("a", "p", "USD")], months, "USD", from_first=True)
    assert (drawn["months"], drawn["services"], drawn["values"]) == (["Feb", "Mar"], ["VM"], [[0.1], [0.2]])
    assert drawn["alt"].endswith("2025-02: 0.10, 2025-03: 0.20")
    many = [("a", "p", "USD", "2025-03", f"s{number}", Decimal(10 - number)) for number in range(8)]
    drawn = columns(tables(many, months)[("a", "p", "USD")], months, "USD")
    assert drawn["services"][-1] == "Other services"
    assert drawn["values"][-1][-1] == 12.0


def test_the_table_of_a_year_has_every_month_and_no_other_and_its_services_by_name():
    months = months_before("2025-03")
    rows = [
        ("b", "p", "USD", "2025-03", "VM", Decimal("1.10")),
        ("a", "p", "USD", "2025-03", "VM", Decimal("2")),
        ("a", "p", "USD", "2024-04", "Disk", Decimal("3.000")),
        ("a", "p", "USD", "2024-03", "Gone", Decimal("4")),
    ]
    nothing = [Decimal(0)] * 11
    found = tables(rows, months)
    assert list(found) == [("a", "p", "USD"), ("b", "p", "USD")]
    assert found["a", "p", "USD"] == [
        ("Disk", [Decimal("3.000"), *nothing]),
        ("Gone", [Decimal(0)] * 12),
        ("VM", [*nothing, Decimal(2)]),
    ]
    assert tables([], months) == {}
