"""Peppol's rules are asked where a document shows a sign that they may find something, and only there."""

from __future__ import annotations

import pytest

from clearfacts_assets.invoices.validation.rules import RuleOptions, build, peppol_bis3
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited

PROCESS = "<cbc:ProfileID>urn:fdc:peppol.eu:2017:poacc:billing:01:1.0</cbc:ProfileID>\n"
REFERENCE = "<cbc:BuyerReference>PO-4711</cbc:BuyerReference>\n"
TAX_TOTAL = '<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">13.75</cbc:TaxAmount>'


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the rules that were asked."""
    ids: list[str] = []
    ask = peppol_bis3._ask

    def noted(rule, index):
        ids.append(rule.id)
        return ask(rule, index)

    monkeypatch.setattr(peppol_bis3, "_ask", noted)
    return ids


@pytest.mark.parametrize("options", [{}, {"lines": 40}, {"credit_note": True}, {"category": "Z"}])
def test_an_ordinary_document_shows_nothing_that_a_rule_would_have_to_look_at(asked, options):
    assert build("peppol_bis3", RuleOptions()).check(parse(document(**options))) == []
    assert asked == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (PROCESS, "", "EN16931-R001"),
        ("<cbc:Note>Lev", "<cbc:Note>nog een</cbc:Note><cbc:Note>Lev", "EN16931-R002"),
        (REFERENCE, "", "EN16931-R003"),
        (REFERENCE, "<cac:OrderReference><cbc:SalesOrderID>1</cbc:SalesOrderID></cac:OrderReference>", "EN16931-R003"),
        ("billing:3.0<", "billing:3.0::x<", "EN16931-R004"),
        ("billing:01:1.0", "billing:09:1.0", "EN16931-R007"),
        ("<cbc:Note>Levering volgens overeenkomst<", "<cbc:Note> <", "EN16931-R008"),
        ('<cbc:EndpointID schemeID="0208">0308357159</cbc:EndpointID>', "", "EN16931-R010"),
        ('<cbc:EndpointID schemeID="0208">0203201340</cbc:EndpointID>', "", "EN16931-R020"),
        ('<cbc:PriceAmount currencyID="EUR">12.87', '<cbc:PriceAmount currencyID="USD">12.87', "EN16931-R051"),
        ("<cac:LegalMon", f"{TAX_TOTAL}<cac:TaxSubtotal/></cac:TaxTotal><cac:LegalMon", "EN16931-R053"),
        ("<cac:LegalMon", f"{TAX_TOTAL}</cac:TaxTotal><cac:LegalMon", "EN16931-R054"),
        ('Credit transfer">30<', 'Debit"> 59 <', "EN16931-R061"),
        ('Credit transfer">30<', 'Debit">49<', "EN16931-R061"),
        ('<cbc:PriceAmount currencyID="EUR">12.87', '<cbc:PriceAmount currencyID="XYZ">12.87', "EN16931-CL007"),
        ("EUR", "STD", "EN16931-CL007"),
        ('EndpointID schemeID="0208">0308357159', 'EndpointID schemeID="0037">0308357159', "EN16931-CL008"),
        (">380<", ">381<", "EN16931-P0100"),
        (">380<", ">384<", "EN16931-P0112"),
        ("2026-12-20", "2026-02-30", "EN16931-F001"),
        ("2026-12-20", "2026-12-20Z", "EN16931-F001"),
        ("2026-12-20", "2026-W51-7", "EN16931-F001"),
        ("2026-12-20", "20261220", "EN16931-F001"),
        ("0203201340</cbc:EndpointID>", "0203201341</cbc:EndpointID>", "COMMON-R043"),
        ("0203201340</cbc:EndpointID>", "0203\u0662\u0660\u06611340</cbc:EndpointID>", "COMMON-R043"),
        ('schemeID="0208">0203201340</cbc:EndpointID>', 'schemeID="0088">0203201342</cbc:EndpointID>', "COMMON-R040"),
    ],
)
def test_a_rule_that_finds_something_is_asked(asked, old, new, rule):
    found = build("peppol_bis3", RuleOptions()).check(
        parse(edited(document(), old, new, document().decode().count(old)))
    )
    assert f"PEPPOL-{rule}" in {finding.rule for finding in found}
    assert f"PEPPOL-{rule}" in asked


def test_a_head_that_says_its_process_twice_cannot_be_computed():
    found = build("peppol_bis3", RuleOptions()).check(parse(edited(document(), PROCESS, PROCESS * 2)))
    assert [finding.rule for finding in found] == ["XSLT-ERROR"]


def test_a_number_is_remembered_with_its_scheme():
    rule_set = build("peppol_bis3", RuleOptions())
    assert rule_set.check(parse(document())) == []
    foreign = edited(document(), 'EndpointID schemeID="0208">0203201340', 'EndpointID schemeID="0192">0203201340')
    assert [finding.rule for finding in rule_set.check(parse(foreign))] == ["PEPPOL-COMMON-R041"]
