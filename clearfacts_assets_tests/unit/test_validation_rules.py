"""What each of our own layers finds, and that it stays silent about valid documents."""

# ruff: noqa: E501 - fragments of XML are easier to read in one line

from __future__ import annotations

import hashlib
from decimal import Decimal

import pytest

from clearfacts_assets.invoices.validation.custom_rules import CustomRuleSet, CustomRulesUnusable
from clearfacts_assets.invoices.validation.hints import HINTS
from clearfacts_assets.invoices.validation.rules import CustomRules, RuleOptions, build, known_layers
from clearfacts_assets.invoices.validation.rules.attachments import unpacked
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited
from clearfacts_assets_tests.fixtures.ubl_mutants import mixed_rates, originals

PDF = ("a.pdf", "application/pdf", b"%PDF-1.7 and so on")


def check(layer: str, content: bytes, options: RuleOptions | None = None):
    return build(layer, options or RuleOptions()).check(parse(content))


def rules(layer: str, content: bytes, options: RuleOptions | None = None) -> list[str]:
    return [finding.rule for finding in check(layer, content, options)]


def test_adding_a_rule_set_is_adding_a_file():
    assert set(known_layers()) == {"ubl_xsd", "en16931", "peppol_bis3", "belgium", "attachments", "amounts"}
    with pytest.raises(LookupError, match="no layer 'gossip'"):
        build("gossip", RuleOptions())


@pytest.mark.parametrize("layer", known_layers())
def test_no_layer_finds_anything_in_valid_documents(layer):
    rule_set = build(layer, RuleOptions())
    for content in originals():
        if layer == "peppol_bis3" and b"<cbc:ProfileID>" not in content:
            continue
        assert rule_set.check(parse(content)) == []


# -- structure -------------------------------------------------------------------------------------------


def test_every_error_of_an_invalid_document_is_listed_with_its_path():
    content = document().decode()
    for old, new in (
        ("<cbc:Percent>21</cbc:Percent>", "<cbc:Percent>a lot</cbc:Percent>"),
        ("<cbc:ID>1</cbc:ID>", "<cbc:Id>1</cbc:Id>"),
        ("<cbc:IssueDate>2026-11-20<", "<cbc:IssueDate>yesterday<"),
        ("<cbc:Name>Briefpapier nr. 2</cbc:Name>", "<cbc:Nom>Briefpapier</cbc:Nom>"),
    ):
        content = content.replace(old, new, 1)
    found = check("ubl_xsd", content.encode())
    assert len(found) == 4
    assert {finding.rule for finding in found} == {"XSD"}
    assert any(finding.location == "/Invoice/cbc:IssueDate" and finding.line == 6 for finding in found)


def test_a_large_invalid_document_gets_the_first_engine_s_words_alone():
    from clearfacts_assets.invoices.validation.rules.ubl_xsd import UblXsd

    content = edited(document(), "<cbc:IssueDate>2026-11-20<", "<cbc:IssueDate>yesterday<")
    found = UblXsd(explained_bytes=100).check(parse(content))
    assert found
    assert "yesterday" in found[0].message


def test_schemas_named_by_a_document_are_not_read():
    named = 'xsi:schemaLocation="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2 /nowhere/at-all.xsd"'
    content = edited(
        document(), "<Invoice ", f'<Invoice xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" {named} '
    )
    assert check("ubl_xsd", content) == []


# -- Belgium ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["BE0203201340", "BE 0203.201.340", "be0203201340", "NL123456789B01", "FR1"])
def test_a_right_or_foreign_vat_number_is_no_finding(number):
    content = edited(document(), "<cbc:CompanyID>BE0203201340<", f"<cbc:CompanyID>{number}<")
    assert rules("belgium", content) == []


@pytest.mark.parametrize("number", ["BE0203201341", "BE020320134", "BE9999999999", "BE"])
def test_a_wrong_belgian_vat_number_is_a_finding(number):
    content = edited(document(), "<cbc:CompanyID>BE0203201340<", f"<cbc:CompanyID>{number}<")
    assert rules("belgium", content) == ["BE-VAT"]


def test_enterprise_numbers_are_left_to_peppol_where_peppol_looks_at_them():
    wrong = document(seller_vat="BE0203201341")
    assert "BE-ENTERPRISE" not in rules("belgium", wrong)
    elsewhere = document(seller_vat="BE0203201341", specification="urn:cen.eu:en16931:2017")
    assert rules("belgium", elsewhere) == ["BE-VAT", "BE-ENTERPRISE", "BE-ENTERPRISE"]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("+++090/9337/55493+++", []),
        ("***090/9337/55493***", []),
        ("090/9337/55493", []),
        ("+++090/9337/55494+++", ["BE-OGM"]),
        ("+++1+++", ["BE-OGM"]),
        ("INV 2026/12", []),
        ("090933755494", []),  # twelve digits may be anything
    ],
)
def test_a_structured_communication_has_check_digits(reference, found):
    assert rules("belgium", document(payment_id=reference)) == found


@pytest.mark.parametrize(
    ("account", "found"),
    [
        ("BE68539007547034", []),
        ("BE68 5390 0754 7034", []),
        ("NL91ABNA0417164300", []),
        ("BE68539007547035", ["BE-IBAN"]),
        ("12345", []),
    ],
)
def test_an_account_that_looks_like_an_iban_has_check_digits(account, found):
    assert rules("belgium", document(iban=account)) == found


# -- attachments -----------------------------------------------------------------------------------------


def test_attachments_are_measured_together():
    content = document(attachments=(PDF, ("b.pdf", "application/pdf", b"%PDF-" + b"x" * 1000)))
    assert rules("attachments", content, RuleOptions(attachment_bytes=1023)) == []
    found = check("attachments", content, RuleOptions(attachment_bytes=1022))
    assert [finding.rule for finding in found] == ["ATTACHMENT-SIZE"]
    assert "1,023 bytes" in found[0].message


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1000])
def test_the_size_of_base64_is_exact(size):
    import base64

    assert unpacked(base64.encodebytes(b"x" * size).decode()) == size


@pytest.mark.parametrize(
    ("attachment", "found"),
    [
        (PDF, []),
        (("a.png", "image/png", b"\x89PNG\r\n\x1a\n123"), []),
        (("a.csv", "text/csv", b"a;b"), []),
        (("a.pdf", "application/pdf", b"MZ\x90 a program"), ["ATTACHMENT-CONTENT"]),
        (("a.exe", "application/x-msdownload", b"MZ"), ["ATTACHMENT-MIME"]),
    ],
)
def test_an_attachment_is_what_it_says(attachment, found):
    assert rules("attachments", document(attachments=(attachment,))) == found


# -- amounts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "rule", "words"),
    [
        ('<cbc:LineExtensionAmount currencyID="EUR">65.46<', ("65.47",), "BR-CO-10", "come to 65.46; the document says 65.47: 0.01 too much"),
        ('<cbc:TaxExclusiveAmount currencyID="EUR">65.46<', ("65.45",), "BR-CO-13", "0.01 too little"),
        ('<cbc:TaxInclusiveAmount currencyID="EUR">79.21<', ("79.22",), "BR-CO-15", "net 65.46 + VAT 13.75 come to 79.21"),
        ('<cbc:PayableAmount currencyID="EUR">79.21<', ("79.20",), "BR-CO-16", "come to 79.21; the document says 79.20"),
    ],
)  # fmt: skip
def test_a_cent_is_explained_with_the_numbers(old, new, rule, words):
    changed = old.rpartition(">")[0] + ">" + new[0] + "<"
    content = document().decode()
    total, _, rest = content.partition("<cac:LegalMonetaryTotal>")
    found = check("amounts", (total + "<cac:LegalMonetaryTotal>" + rest.replace(old, changed, 1)).encode())
    explained = {finding.rule: finding.message for finding in found}
    assert words in explained[rule]


def test_vat_totals_are_explained():
    content = edited(document(), '<cbc:TaxAmount currencyID="EUR">13.75', '<cbc:TaxAmount currencyID="EUR">13.74', 2)
    explained = {finding.rule: finding.message for finding in check("amounts", content)}
    assert "21 % of 65.46 come to 13.75; the document says 13.74: 0.01 too little" in explained["BR-CO-17"]
    first_only = edited(document(), '<cbc:TaxAmount currencyID="EUR">13.75', '<cbc:TaxAmount currencyID="EUR">13.74', 1)
    assert "BR-CO-14" in rules("amounts", first_only)


def test_too_many_decimals_are_told():
    content = edited(
        document(), '<cbc:PayableAmount currencyID="EUR">79.21<', '<cbc:PayableAmount currencyID="EUR">79.210<'
    )
    assert "BR-DEC-18" in rules("amounts", content)


def test_allowances_and_charges_are_part_of_the_sums():
    content = document(allowance=Decimal("5.00"))
    assert check("amounts", content) == []
    wrong = edited(
        content, '<cbc:AllowanceTotalAmount currencyID="EUR">5.00<', '<cbc:AllowanceTotalAmount currencyID="EUR">6.00<'
    )
    assert rules("amounts", wrong) == ["BR-CO-11", "BR-CO-13"]
    assert "PEPPOL-EN16931-R120" in rules("amounts", edited(mixed_rates(), '"C62">10<', '"C62">20<'))


# -- an operator's own rules -----------------------------------------------------------------------------

SCHEMATRON = """<schema xmlns="http://purl.oclc.org/dsdl/schematron" queryBinding="xslt2"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:u="utils" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <title>House rules</title>
  <ns prefix="cbc" uri="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"/>
  <ns prefix="cac" uri="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"/>
  <ns prefix="xs" uri="http://www.w3.org/2001/XMLSchema"/><ns prefix="u" uri="utils"/>
  <xsl:function name="u:short" as="xs:boolean" xmlns="http://www.w3.org/1999/XSL/Transform"><xsl:param name="text"/>
    <xsl:sequence select="string-length($text) &lt; 12"/></xsl:function>
  <let name="currency" value="/*/cbc:DocumentCurrencyCode"/>
  <pattern><rule context="cac:Item/cbc:Name"><let name="said" value="string(.)"/>
      <assert id="HOUSE-1" flag="warning" test="u:short($said)">The name <value-of select="$said"/> is long.</assert></rule>
    <rule context="cbc:Name"><assert id="HOUSE-2" flag="fatal" test="false()">never of an item</assert></rule></pattern>
  <pattern><rule context="/*"><report id="HOUSE-3" flag="fatal" test="$currency = 'EUR'">it is in euro</report></rule></pattern>
</schema>"""


def pinned(path) -> CustomRules:
    return CustomRules(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_operator_s_schematron_runs(tmp_path):
    path = tmp_path / "house.sch"
    path.write_text(SCHEMATRON)
    rule_set = build("peppol_bis3", RuleOptions(peppol=pinned(path)))
    found = rule_set.check(parse(document()))
    assert rule_set.version.startswith("House rules sha256:")
    counts = {rule: sum(finding.rule == rule for finding in found) for rule in ("HOUSE-1", "HOUSE-2", "HOUSE-3")}
    assert counts == {"HOUSE-1": 2, "HOUSE-2": 3, "HOUSE-3": 1}
    long = next(finding for finding in found if finding.rule == "HOUSE-1")
    assert long.message == "The name Briefpapier nr. 1 is long."
    assert long.location == "/Invoice/cac:InvoiceLine[1]/cac:Item/cbc:Name"


def test_a_rule_file_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "house.sch"
    path.write_text(SCHEMATRON)
    rules_file = pinned(path)
    path.write_text(SCHEMATRON.replace("12", "99"))
    with pytest.raises(CustomRulesUnusable, match="SHA-256"):
        CustomRuleSet("peppol_bis3", rules_file)


@pytest.mark.parametrize("text", ["<a/>", "not XML", SCHEMATRON.replace("<title>", '<include href="x"/><title>')])
def test_a_rule_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "house.sch"
    path.write_text(text)
    with pytest.raises(CustomRulesUnusable):
        CustomRuleSet("peppol_bis3", pinned(path))


def test_an_operator_s_xslt_runs_as_it_is(tmp_path):
    from clearfacts_assets.invoices.validation.rules.ubl_xsd import artefacts

    path = tmp_path / "norm.xslt"
    path.write_bytes((artefacts() / "EN16931-UBL-validation.xslt").read_bytes())
    found = CustomRuleSet("peppol_bis3", pinned(path)).check(
        parse(edited(document(), "<cbc:IssueDate>2026-11-20</cbc:IssueDate>", ""))
    )
    assert [finding.rule for finding in found] == ["BR-03"]


# -- words -----------------------------------------------------------------------------------------------


def test_there_are_hints_for_sixty_rules_and_each_is_a_sentence():
    assert len(HINTS) >= 60
    for rule, hint in HINTS.items():
        assert hint.endswith("."), rule
        assert len(hint) <= 120, rule
