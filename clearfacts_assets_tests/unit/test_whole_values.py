"""The value of an element is its whole text: what stands inside it and is no content changes nothing."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

import clearfacts_assets.invoices
from clearfacts_assets.invoices.model import Decision, Report
from clearfacts_assets.invoices.validation.custom_rules import CustomRuleSet
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.rules import CustomRules, RuleOptions
from clearfacts_assets.invoices.validation.ubl import parse, value_of
from clearfacts_assets.simulator.ledger import read_facts
from clearfacts_assets_tests.fixtures.operator_documents import operator
from clearfacts_assets_tests.fixtures.ubl_documents import SELF_BILLING, SELF_BILLING_PROCESS, document, edited

NO_CONTENT = ("<!-- ours -->", "<?erp note?>", "<![CDATA[]]>", "<!----><?a?><!--b-->")
_VALUE = re.compile(r"(<cbc:\w+(?: [^<>]*)?>)([^<>]+)(</cbc:)")


def riddled(content: bytes, what: str, place: str) -> bytes:
    """The document with ``what`` inside every value of it."""

    def inside(found: re.Match[str]) -> str:
        start, value, end = found.groups()
        middle = {"before": 0, "middle": len(value) // 2, "after": len(value)}[place]
        return f"{start}{value[:middle]}{what}{value[middle:]}{end}"

    return _VALUE.sub(inside, content.decode()).encode()


def told(report: Report) -> Report:
    """The report without what has to differ: hash, size, time."""
    return replace(report, sha256="", size=0, duration=0.0)


@pytest.fixture(scope="module", params=[True, False], ids=["proofs", "Saxon"])
def inspector(request) -> Inspector:
    return Inspector(ValidationPlan(options=RuleOptions(proofs=request.param)))


DOCUMENTS = {
    "sound": operator("00-ordinary"),
    "with a PDF": document(attachments=(("a.pdf", "application/pdf", b"%PDF-1.7 " + bytes(range(256)) * 8),)),
    "with a wrong PDF": document(attachments=(("a.pdf", "application/pdf", b"no PDF " * 40),)),
    "self-billing": document(specification=SELF_BILLING, process=SELF_BILLING_PROCESS, type_code="389"),
    "wrong sums": edited(document(), ">79.21</cbc:PayableAmount>", ">79.22</cbc:PayableAmount>"),
    "wrong numbers": document(buyer_vat="BE0123456789", iban="BE00539007547034", payment_id="+++090/9337/55494+++"),
    "wrong structure": edited(document(), ">2026-11-20<", ">yesterday<"),
}


@pytest.mark.parametrize("place", ["before", "middle", "after"])
@pytest.mark.parametrize("what", NO_CONTENT)
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_what_is_no_content_changes_no_report(inspector, kind, what, place):
    content = DOCUMENTS[kind]
    assert told(inspector.inspect(riddled(content, what, place))) == told(inspector.inspect(content))


def test_a_comment_before_the_number_is_not_the_number(inspector):
    report = inspector.inspect(operator("01-comment-before-number"))
    assert (report.decision, report.findings) == (Decision.ACCEPT, ())
    assert report.invoice is not None
    assert report.invoice.number == "OP-2026-0101"


def test_a_comment_in_an_amount_does_not_cut_it():
    content = edited(operator("00-ordinary"), ">121.00</cbc:PayableAmount>", ">1<!--x-->21.00</cbc:PayableAmount>")
    assert read_invoice(parse(content).root).payable.amount == Decimal("121.00")


def test_two_numbers_that_begin_alike_stay_two():
    heads = [
        read_invoice(parse(edited(operator("00-ordinary"), "OP-2026-0001", f"OP-<!--year-->{end}")).root).number
        for end in ("2026-1", "2026-2")
    ]
    assert heads == ["OP-2026-1", "OP-2026-2"]


def test_what_leaves_are_the_bytes_that_came():
    content = operator("01-comment-before-number")
    assert Inspector(ValidationPlan(layers=("ubl_xsd",))).inspect(content).sha256 == hashlib.sha256(content).hexdigest()


def test_a_value_is_what_xpath_says_whatever_parser_made_the_tree():
    for text in ("<a>1<!--c-->2<?p q?>3</a>", "<a><!--c--></a>", "<a/>", "<a>1<b>2</b>3<!--c--></a>", "<a>&lt;1</a>"):
        root = etree.fromstring(text)
        assert value_of(root) == root.xpath("string()")


def test_a_comment_in_an_own_rule_is_not_told(tmp_path):
    written = (
        b'<schema xmlns="http://purl.oclc.org/dsdl/schematron"><title>Our<!-- old --> rules</title>'
        b'<ns prefix="cbc" uri="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"/>'
        b'<pattern><rule context="cbc:IssueDate"><assert id="OURS" test="false()">no<!-- secret --> date '
        b'<value-of select="."/><?p q?> is <emph>ri<!-- x -->ght</emph></assert></rule></pattern></schema>'
    )
    path = tmp_path / "own.sch"
    path.write_bytes(written)
    rules = CustomRuleSet("peppol_bis3", CustomRules(path, hashlib.sha256(written).hexdigest()))
    assert rules.version.startswith("Our rules ")
    assert [found.message for found in rules.check(parse(operator("00-ordinary")))] == ["no date 2026-11-20 is right"]


def test_the_simulator_reads_whole_values_too():
    for place in ("before", "middle", "after"):
        content = riddled(operator("00-ordinary"), "<!--x--><?y?>", place)
        assert read_facts(content) == read_facts(operator("00-ordinary"))


READS = {"text", "tail", "findtext", "itertext"}


def readers(source: str) -> Iterator[str]:
    """Functions, by name, that read an element's text in a way of their own."""

    def walk(node: ast.AST, inside: str) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inside = f"{inside}.{node.name}".lstrip(".")
        if isinstance(node, ast.Attribute) and node.attr in READS and isinstance(node.ctx, ast.Load):
            yield inside
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    return walk(ast.parse(source), "")


def test_values_are_read_in_one_way():
    package = Path(clearfacts_assets.invoices.__file__).parents[1]
    found = {
        f"{path.relative_to(package)}: {name}"
        for room in ("invoices", "xpath_compiler")
        for path in (package / room).rglob("*.py")
        # Who knows no XML has no element to read.
        if re.search(r"\blxml\b|invoices\.(ubl|outline|policy)\b|proving", source := path.read_text("utf-8"))
        for name in readers(source)
    }
    assert found == {"xpath_compiler/elements.py: value_of"}


@pytest.mark.parametrize("code", ["a.text", "a.findtext('x')", "''.join(a.itertext())", "a.tail or ''"])
def test_another_way_is_noticed(code):
    assert list(readers(f"def f(a):\n    return {code}")) == ["f"]
