"""``clearfacts explain``: every rule in plain words, and a document's own amounts put in."""

from __future__ import annotations

import json
from datetime import date

import pytest
import typer
from typer.testing import CliRunner

from clearfacts_assets.cli.invoices.explain import explain
from clearfacts_assets.invoices.validation.explanations import Catalogue, catalogue, sums_of
from clearfacts_assets.invoices.validation.hints import HINTS
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited
from clearfacts_assets_tests.fixtures.ubl_mutants import mixed_rates

app = typer.Typer()
app.command()(explain)


def call(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return catalogue(RuleOptions(), date(2026, 11, 28))


def test_every_rule_of_every_layer_is_explained_in_three_languages(known):
    assert len(known.rules) > 1100
    assert set(HINTS) <= set(known.rules)
    for rule in known.rules:
        words = known.explain(rule).words
        assert len({words["en"], words["nl"], words["fr"]}) == 3, rule
        for language, text in words.items():
            assert text.endswith("."), (rule, language)
            assert "{" not in text, (rule, language)
            assert not text.startswith(("Voor deze regel", "Pour cette règle")), rule


def test_a_rule_is_found_in_any_case_and_by_its_end_where_that_is_one_rule_s(known):
    assert [known.find(text) for text in ("br-co-15", " R120 ", "CO-15", "be-vat")] == [
        "BR-CO-15",
        "PEPPOL-EN16931-R120",
        "BR-CO-15",
        "BE-VAT",
    ]
    assert [known.find(text) for text in ("01", "", "-", "BR-CO-99", "r" * 5000)] == [None] * 5
    assert "BR-CO-15" in known.alike("BR-C0-15")


def wrong() -> bytes:
    return edited(document(), ">79.21</cbc:TaxInclusiveAmount>", ">1079.31</cbc:TaxInclusiveAmount>")


def test_the_amounts_of_the_document_are_put_in_as_each_language_writes_them():
    (one,) = sums_of("BR-CO-15", parse(wrong()))
    assert (one.expected, one.said, one.difference, one.right) == ("79.21", "1079.31", "1000.10", False)
    assert one.words == {
        "en": "net 65.46 + VAT 13.75 come to 79.21; the document says 1,079.31: 1,000.10 too much",
        "nl": "netto 65,46 + btw 13,75: samen 79,21; in het document staat 1.079,31: 1.000,10 te veel",
        "fr": "net 65,46 + TVA 13,75 : ensemble 79,21 ; le document indique 1\u202f079,31 : 1\u202f000,10 de trop",
    }


def test_a_sum_shows_each_amount_that_was_added_with_its_line():
    text = document().replace(b"<cac:InvoiceLine>", b"\n\n<cac:InvoiceLine>")
    (one,) = sums_of("BR-CO-10", parse(text))
    assert [(each.amount, each.location) for each in one.addends] == [
        ("25.74", "/Invoice/cac:InvoiceLine[1]"),
        ("39.72", "/Invoice/cac:InvoiceLine[2]"),
    ]
    lines = text.splitlines()
    assert all(b"<cac:InvoiceLine>" in lines[each.line - 1] for each in one.addends)
    assert one.right


def test_taxable_amounts_are_summed_by_category_and_rate_and_a_difference_that_the_rule_allows_is_right():
    sums = sums_of("BR-S-08", parse(mixed_rates()))
    assert [(one.said, one.right) for one in sums] == [("65.46", True), ("9.50", True)]
    near = edited(mixed_rates(), ">65.46</cbc:TaxableAmount>", ">65.96</cbc:TaxableAmount>")
    one = sums_of("BR-S-08", parse(near))[0]
    assert (one.difference, one.right) == ("0.50", True)
    assert one.words["en"].endswith("the rule lets this be, for it minds differences from 1.00 on")
    far = edited(mixed_rates(), ">65.46</cbc:TaxableAmount>", ">66.46</cbc:TaxableAmount>")
    assert not sums_of("BR-S-08", parse(far))[0].right


@pytest.mark.parametrize(("said", "difference", "right"), [("39.74", "0.02", True), ("39.75", "0.03", False)])
def test_two_cents_of_a_line_s_net_amount_are_let_be(said, difference, right):
    changed = edited(document(), ">39.72</cbc:LineExtensionAmount>", f">{said}</cbc:LineExtensionAmount>")
    one = sums_of("PEPPOL-EN16931-R120", parse(changed))[0]
    assert (one.said, one.difference, one.right) == (said, difference, right)


@pytest.mark.slow
def test_the_command_says_what_is_wrong_in_the_language_asked_for(tmp_path):
    (tmp_path / "x.xml").write_bytes(wrong())
    result = call("BR-CO-15", tmp_path / "x.xml", "--language", "nl")
    assert result.exit_code == 0
    assert "Het totaal met btw is niet" in result.stdout
    assert "x.xml breaks it" in result.stdout
    assert "1.000,10 te veel" in result.stdout
    assert "English" not in result.stdout


def test_json_has_all_of_it_and_a_document_that_keeps_the_rule_says_so(tmp_path):
    (tmp_path / "x.xml").write_bytes(document())
    told = json.loads(call("BR-CO-15", tmp_path / "x.xml", "--json").stdout)
    assert (told["layer"], told["flag"], told["broken"], told["findings"]) == ("en16931", "fatal", False, [])
    assert told["terms"] == ["BT-112", "BT-109", "BT-110"]
    assert (told["sums"][0]["difference"], sorted(told["sums"][0]["words"])) == ("0.00", ["en", "fr", "nl"])


def test_what_cannot_be_read_is_explained_too(tmp_path):
    (tmp_path / "x.xml").write_text("<html/>")
    assert "x.xml breaks it" in call("DOC-ROOT", tmp_path / "x.xml").stdout
    assert call("BR-CO-15", tmp_path / "x.xml").exit_code == 1


@pytest.mark.parametrize("arguments", [["BR-CO-99"], ["BR-CO-15", "/nowhere.xml"], ["BR-CO-15", "-l", "de"], []])
def test_a_wrong_call_is_exit_code_2(arguments):
    assert call(*arguments).exit_code == 2
