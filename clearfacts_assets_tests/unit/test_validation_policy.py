"""Which rules a document meets, and what follows from breaking them."""

from __future__ import annotations

import pytest

from clearfacts_assets.invoices.model import Decision, Severity
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.policy import BadPolicy, Policy, built_in, load_policy
from clearfacts_assets.invoices.validation.profiles import Profile, profile_of
from clearfacts_assets.invoices.validation.rules import known_layers
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.ubl_documents import (
    BIS3,
    E_FFF,
    SELF_BILLING,
    SELF_BILLING_PROCESS,
    UBL_BE,
    document,
    edited,
)


@pytest.fixture(scope="module")
def inspector():
    return Inspector(ValidationPlan())


@pytest.mark.parametrize(
    ("specification", "process", "profile"),
    [
        (BIS3, None, Profile.PEPPOL_BIS3),
        (f"{BIS3}#conformant#urn:fdc:example", None, Profile.PEPPOL_BIS3),
        (SELF_BILLING, SELF_BILLING_PROCESS, Profile.SELF_BILLING),
        (BIS3, SELF_BILLING_PROCESS, Profile.SELF_BILLING),
        ("urn:cen.eu:en16931:2017", None, Profile.EN16931),
        ("urn:cen.eu:en16931:2017#compliant#urn:xoev-de:kosit:standard:xrechnung_2.3", None, Profile.EN16931),
        (UBL_BE, None, Profile.UBL_BE),
        (E_FFF, None, Profile.E_FFF),
        ("urn:cen.eu:en16931:20170", None, Profile.UNKNOWN),
        ("something else", None, Profile.UNKNOWN),
        (None, None, Profile.UNKNOWN),
    ],
)
def test_a_document_is_what_its_specification_says(specification, process, profile):
    assert profile_of(parse(document(specification=specification, process=process)).root) is profile


def test_every_profile_has_a_course_and_every_course_names_layers_that_exist():
    assert set(built_in()) == set(Profile)
    assert {layer for course in built_in().values() for layer in course.layers} <= set(known_layers())


def test_a_valid_document_is_accepted_by_every_layer_of_its_profile(inspector):
    report = inspector.inspect(document())
    assert (report.decision, report.findings, report.reason) == (Decision.ACCEPT, (), "")
    layers = ["ubl_xsd", "en16931", "peppol_bis3", "belgium", "attachments", "amounts"]
    assert [layer for layer, _ in report.versions] == layers
    versions = dict(report.versions)
    assert (versions["ubl_xsd"], versions["en16931"]) == ("UBL 2.1", "1.3.16")
    assert versions["peppol_bis3"] == "Peppol BIS Billing 3.0.21"


def test_a_broken_structure_is_rejected_and_no_later_layer_speaks(inspector):
    report = inspector.inspect(edited(document(), "<cbc:ID>2026-0001</cbc:ID>", "<cbc:Id>1</cbc:Id>"))
    assert report.decision is Decision.REJECT
    assert {finding.layer for finding in report.findings} == {"ubl_xsd", "document"}
    assert [layer for layer, _ in report.versions] == ["ubl_xsd"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "<cbc:IssueDate>",
            "<cbc:IssueDate>x",
            "at Invoice/cbc:IssueDate: Invalid datetime string 'x2026-11-20' for xs:date",
        ),
        (
            '<cbc:TaxAmount currencyID="EUR">',
            "<cbc:TaxAmount>",
            "at cac:TaxTotal/cbc:TaxAmount: missing required attribute 'currencyID'",
        ),
    ],
)
def test_the_reason_names_the_element_that_is_built_wrong(inspector, old, new, reason):
    said = inspector.inspect(document().replace(old.encode(), new.encode(), 1)).reason
    assert said.startswith(
        f"XSD: The file is not built as UBL asks {reason}. Correct the software that made it. (line "
    )


def test_an_unknown_profile_waits_for_a_person(inspector):
    report = inspector.inspect(document(specification="unheard of"))
    assert (report.profile, report.decision) == ("unknown", Decision.HOLD)
    assert "unknown" in report.reason


@pytest.mark.parametrize(
    ("specification", "rule", "decision"),
    [(None, "PROFILE-UNKNOWN", Decision.HOLD), (E_FFF, "PROFILE-E-FFF", Decision.ACCEPT)],
)
def test_a_document_of_no_known_kind_or_of_an_old_one_is_told_so_and_its_structure_is_still_looked_at(
    inspector, specification, rule, decision
):
    report = inspector.inspect(document(specification=specification))
    assert (report.decision, report.findings[0].rule) == (decision, rule)
    assert report.findings[0].line
    broken = inspector.inspect(edited(document(specification=specification), "<cbc:ID>2026-0001</cbc:ID>", "<cbc:Nr/>"))
    assert {"XSD", rule} <= {finding.rule for finding in broken.findings}


def test_the_norm_only_warns_about_ubl_be(inspector):
    wrong = edited(
        document(specification=UBL_BE), '<cbc:PayableAmount currencyID="EUR">', '<cbc:PayableAmount currencyID="EUR">1'
    )
    report = inspector.inspect(wrong)
    assert report.decision is Decision.ACCEPT
    assert "BR-CO-16" in {finding.rule for finding in report.findings}


def test_self_billing_has_its_own_codes(inspector):
    right = document(specification=SELF_BILLING, process=SELF_BILLING_PROCESS, type_code="389")
    assert inspector.inspect(right).decision is Decision.ACCEPT
    report = inspector.inspect(document(specification=SELF_BILLING, process=SELF_BILLING_PROCESS, type_code="380"))
    assert report.decision is Decision.REJECT
    assert {finding.rule for finding in report.findings} == {"SELF-BILLING-TYPE"}


def test_belgian_findings_are_warnings_until_a_policy_raises_them(inspector):
    content = document(payment_id="+++090/9337/55494+++")
    assert inspector.inspect(content).decision is Decision.ACCEPT
    strict = Inspector(ValidationPlan(policy=Policy(severities={"BE-OGM": Severity.ERROR})))
    report = strict.inspect(content)
    assert (report.decision, [f.severity for f in report.findings]) == (Decision.REJECT, [Severity.ERROR])


def test_a_policy_file_changes_the_built_in_one(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "profiles:\n  ubl_be:\n    fatal: {ubl_xsd: error, en16931: warning}\n    on_fatal: hold\n"
        "  unknown: {layers: [ubl_xsd], otherwise: reject}\nseverities: {BE-VAT: error}\n"
    )
    policy = load_policy(path)
    assert policy.courses[Profile.UBL_BE].fatal == {"ubl_xsd": Severity.ERROR, "en16931": Severity.WARNING}
    assert policy.courses[Profile.UBL_BE].on_fatal is Decision.HOLD
    assert policy.courses[Profile.UBL_BE].layers == built_in()[Profile.UBL_BE].layers
    assert policy.courses[Profile.UNKNOWN].otherwise is Decision.REJECT
    assert policy.severities == {"BE-VAT": Severity.ERROR}
    assert policy.courses[Profile.PEPPOL_BIS3] == built_in()[Profile.PEPPOL_BIS3]


@pytest.mark.parametrize(
    "text",
    [
        "profiles: {nobody: {}}",
        "profiles: {ubl_be: {layers: [nothing]}}",
        "profiles: {ubl_be: {fatal: {ubl_xsd: terrible}}}",
        "profiles: {ubl_be: {on_fatal: shrug}}",
        "profiles: {ubl_be: {fatl: {}}}",
        "profile: {}",
        "- a list",
        "severities: {BE-VAT: 3}",
        "a: [",
    ],
)
def test_a_policy_file_with_a_mistake_says_where(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(BadPolicy, match=r"policy\.yaml"):
        load_policy(path)


def test_a_layer_asked_for_by_name_runs_alone_even_on_a_fragment():
    fragment = (
        b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2" '
        b'xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"><cbc:ID/></Invoice>'
    )
    report = Inspector(ValidationPlan(layers=("en16931",))).inspect(fragment)
    assert report.decision is Decision.REJECT
    assert {finding.layer for finding in report.findings} == {"en16931"}
    assert "BR-02" in {finding.rule for finding in report.findings}
    assert [layer for layer, _ in report.versions] == ["en16931"]


def test_a_rule_that_a_document_breaks_a_thousand_times_is_told_a_hundred_times():
    content = document(lines=300).replace(b'unitCode="C62"', b'unitCode="QQQ"')
    report = Inspector(ValidationPlan()).inspect(content)
    of_rule = [finding for finding in report.findings if finding.rule == "BR-CL-23"]
    assert len(of_rule) == 100
    assert "201 more" in of_rule[-1].message or "200 more" in of_rule[-1].message


def test_a_fault_in_our_rules_holds_one_document_and_says_so(monkeypatch):
    inspector = Inspector(ValidationPlan(layers=("belgium",)))

    class Broken:
        layer = version = "belgium"

        def check(self, document):
            raise RuntimeError("out of paper")

    inspector._rule_sets["belgium"] = Broken()
    report = inspector.inspect(document())
    assert (report.decision, report.findings[0].rule) == (Decision.HOLD, "DOC-FAULT")
    assert "out of paper" in report.reason
