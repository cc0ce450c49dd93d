"""Parties and keys: one invoice is one however it is written, two are two, and a stranger is no Belgian company."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearfacts_assets.invoices.delivery.addressing import PURCHASE, SALE, administration, company_number
from clearfacts_assets.invoices.model import DocumentType, Invoice, InvoiceKey, number_form
from clearfacts_assets.invoices.parties import Party, contradictions, in_words, is_belgian, normal_form
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets_tests.fixtures.submissions import invoice
from clearfacts_assets_tests.fixtures.ubl_documents import document, edited

OPERATOR = Path(__file__).parents[1] / "fixtures" / "operator"
OTHER_COMPANY = "0123456749"

UNHURRIED = settings(deadline=None)  # other work on the machine says nothing about ours
# Made once: one that is made for each draw is looked at anew each time, which takes longer than the draw.
MAYBE = st.booleans()
GAPS = st.sampled_from(["", " ", ".", "-", "\u00a0", "/"])
BEFORE = st.sampled_from(["", " "])
COUNTRY_BEFORE = st.sampled_from(["BE", "be", "Be", "BE ", "BE."])
FIRST_DIGITS = st.integers(2_000_000, 19_999_999)


def operator_invoice(name: str) -> Invoice:
    return read_invoice(parse((OPERATOR / name).read_bytes()).root)


def digest(one: Invoice) -> str:
    return InvoiceKey.of(one, "clearfacts").digest


# --- Belgian companies ------------------------------------------------------------------------------------------------


@st.composite
def enterprise_numbers(draw: st.DrawFn) -> str:
    """Ten digits with right check digits."""
    first = draw(FIRST_DIGITS)
    return f"{first:08}{97 - first % 97:02}"


def spelled(draw: st.DrawFn, number: str) -> str:
    """The number with marks, in old or new length, with or without BE."""
    digits = number[1:] if number[0] == "0" and draw(MAYBE) else number
    before = draw(COUNTRY_BEFORE) if draw(MAYBE) else ""
    return draw(BEFORE) + before + "".join(digit + draw(GAPS) for digit in digits)


BELGIAN_SCHEMES = [
    "0208",
    "9925",
    "9956",
    "BE:EN",
    "BE:VAT",
    "BE:CBE",
    "be:cbe",
    "BE:KBO",
    "iso6523-actorid-upis::0208",
]
SCHEMES = st.sampled_from(BELGIAN_SCHEMES)
IDENTIFIERS = st.sets(st.sampled_from(["endpoint", "legal_id", "vat_id"]), min_size=1)
OTHERS = st.lists(st.sampled_from(["0088:5412345000020", "KL-1234", "SEPA:BE69ZZZ0123456749"]), max_size=2)
NAMES = st.sampled_from(["Proef NV", "PROEF", ""])
COUNTRIES = st.sampled_from(["BE", "be", None])


@st.composite
def belgian_parties(draw: st.DrawFn, number: str) -> Party:
    """A company with any of its identifiers, at least one, and others that are no company's number."""
    found = {name: spelled(draw, number) for name in sorted(draw(IDENTIFIERS))}
    if "endpoint" in found:
        found["endpoint"] = f"{draw(SCHEMES)}:{found['endpoint']}"
    elif draw(MAYBE):
        found["endpoint"] = "0088:5412345000013"
    if "legal_id" in found and draw(MAYBE):
        found["legal_scheme"] = draw(SCHEMES)
    return Party(name=draw(NAMES), country=draw(COUNTRIES), other_ids=tuple(draw(OTHERS)), **found)


@UNHURRIED
@given(st.data(), enterprise_numbers())
def test_a_belgian_company_has_one_form_however_it_is_written(data: st.DataObject, number: str) -> None:
    party = data.draw(belgian_parties(number))
    assert normal_form(party) == f"BE{number}"
    assert is_belgian(normal_form(party))
    assert contradictions(replace(invoice("F-1"), customer=party)) == ()


@pytest.mark.slow
@UNHURRIED
@given(st.data(), enterprise_numbers(), enterprise_numbers())
def test_an_invoice_has_one_key_however_its_parties_are_written(data: st.DataObject, one: str, other: str) -> None:
    ways = [
        replace(invoice("F-1"), supplier=data.draw(belgian_parties(one)), customer=data.draw(belgian_parties(other)))
        for _ in range(2)
    ]
    assert InvoiceKey.of(ways[0], "clearfacts") == InvoiceKey.of(ways[1], "clearfacts")
    assert digest(ways[0]) == digest(ways[1])


@UNHURRIED
@given(st.data(), enterprise_numbers(), enterprise_numbers())
def test_two_companies_have_two_keys(data: st.DataObject, one: str, other: str) -> None:
    same = one == other
    ways = [replace(invoice("F-1"), supplier=data.draw(belgian_parties(number))) for number in (one, other)]
    assert (digest(ways[0]) == digest(ways[1])) is same


def test_the_same_invoice_with_and_without_the_buyers_vat_number_has_one_key() -> None:
    one, other = operator_invoice("04a-buyer-with-vat.xml"), operator_invoice("04b-buyer-without-vat.xml")
    assert (one.customer.vat_id, other.customer.vat_id) == ("BE0999000228", None)
    assert digest(one) == digest(other)
    assert InvoiceKey.of(other, "clearfacts").receiver == "BE0999000228"


@pytest.mark.parametrize(
    "party",
    [
        Party(
            "Client", vat_id="BE0987654394", legal_scheme="0208", legal_id="987.654.394", endpoint="9925:BE0987654394"
        ),
        Party("Client", endpoint="BE:CBE:0987654394"),
        Party("Client", legal_id="0987.654.394", country="BE"),
        Party("Client", legal_id="0987654394"),
        Party("Client", vat_id="987654394", vat_scheme="BE:VAT"),
        Party("Client", vat_id="DE123456789", legal_id="0987654394", legal_scheme="0208"),
        Party("Client", endpoint="0088:5412345000013", other_ids=("0208:0987654394",)),
        Party("Client", other_ids=("BE 0987.654.394",)),
        Party("Client", vat_id="N/A", legal_id="0987654394", country="BE"),
        Party("Client", legal_id="0208:0987654394"),
        Party("Client", vat_id="BTW BE 0987.654.394"),
        Party("Client", legal_id="TVA: 0987.654.394", country="BE"),
    ],
)
def test_these_are_one_belgian_company(party: Party) -> None:
    assert normal_form(party) == "BE0987654394"


# --- and whoever is none ----------------------------------------------------------------------------------------------

STRANGERS = {
    "a SIREN": Party("F", legal_id="999000228", legal_scheme="0002", endpoint="0002:999000228", country="FR"),
    "a SIREN under a scheme, no country": Party("F", legal_id="999000228", legal_scheme="0002"),
    "a SIREN stored without its scheme": Party("F", legal_id="999000228", endpoint="0002:999000228"),
    "a number beside a foreign VAT number": Party("F", vat_id="FR40999000228", legal_id="999000228"),
    "a number at a foreign address": Party("F", legal_id="0999000228", country="NL"),
    "a number beside a foreign legal number": Party("F", endpoint="0106:12345678", legal_id="0999000228"),
    "a KvK number of ten digits": Party("F", legal_id="0999000228", legal_scheme="NL:KVK"),
    "a foreign VAT number without its prefix": Party("F", vat_id="0999000228", country="PL"),
    "a German VAT number": Party("F", endpoint="9930:0999000228"),
    "an unknown register": Party("F", endpoint="0240:0999000228"),
    "a GLN": Party("F", endpoint="0088:0999000228"),
    "the supplier's number for its customer": Party("F", other_ids=("0999000228",), country="BE"),
    "wrong check digits": Party("F", legal_id="0999000229", country="BE"),
    "an establishment": Party("F", endpoint="0208:2999000228"),
    "a short number": Party("F", endpoint="0106:123456"),
    "a name of digits": Party("0999000228"),
    "nobody": Party(""),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_never_becomes_a_belgian_company(stranger: Party) -> None:
    form = normal_form(stranger)
    assert not is_belgian(form)
    # However much a reader leaves out, ten digits never remain.
    address = "".join(character for character in form if character.isalnum()).removeprefix("BE")
    assert not address or not address.isdigit()
    assert company_number(form) != "0999000228"
    assert in_words(form) != "a Belgian enterprise number"


def test_a_siren_is_addressed_to_no_belgian_company() -> None:
    french = operator_invoice("foreign-siren.xml")
    assert administration(french, PURCHASE) == "SIREN:999000228"
    assert in_words("SIREN:999000228") == "a SIREN"
    assert administration(french, SALE) == "BE0999000129"


DIGITS = st.text("0123456789", min_size=5, max_size=14).filter(lambda text: text.strip("0"))
FOREIGN_SCHEMES = ["0002", "0009", "0060", "0088", "0106", "0192", "0199", "0007", "0240", "9906", "9930", "9944", "EM"]


@UNHURRIED
@given(st.sampled_from(FOREIGN_SCHEMES), DIGITS, st.sampled_from(["FR", "NL", "US", None]))
def test_no_number_under_another_scheme_becomes_belgian(scheme: str, digits: str, country: str | None) -> None:
    for party in (
        Party("F", legal_id=digits, legal_scheme=scheme, country=country),
        Party("F", endpoint=f"{scheme}:{digits}", country=country),
        Party("F", legal_id=digits, endpoint=f"{scheme}:{digits}", country=country),
    ):
        assert not is_belgian(normal_form(party))


@pytest.mark.parametrize(
    ("form", "parties"),
    [
        (
            "SIREN:552100554",
            [
                Party("F", vat_id="FR 92 552 100 554"),
                Party("F", vat_id="92552100554", country="FR"),
                Party("F", endpoint="9957:FR92552100554"),
                Party("F", endpoint="0009:55210055400013"),
                Party("F", legal_id="552 100 554", legal_scheme="FR:SIRENE"),
                Party("F", legal_id="552100554", country="FR"),
                Party("F", vat_id="FR92552100554", legal_id="55210055400013", legal_scheme="0009"),
            ],
        ),
        (
            "DE123456789",
            [
                Party("F", vat_id="DE123456789"),
                Party("F", vat_id="de 123 456 789", endpoint="0088:4012345000009", legal_id="HRB 12345"),
                Party("F", vat_id="123456789", country="DE"),
                Party("F", endpoint="9930:DE123456789"),
                Party("F", endpoint="DE:VAT:123456789"),
            ],
        ),
        (
            "IT12345678903",
            [
                Party("F", endpoint="9906:IT12345678903"),
                Party("F", endpoint="0211:12345678903"),
                Party("F", vat_id="12345678903", country="IT"),
                Party("F", endpoint="IT:VAT:IT12345678903"),
            ],
        ),
        ("EL094259216", [Party("F", vat_id="GR 094259216"), Party("F", endpoint="9933:EL094259216")]),
        ("GB980780684", [Party("F", vat_id="GB 980 7806 84"), Party("F", vat_id="XI980780684")]),
        ("NO:ORG:923829644", [Party("F", vat_id="NO923829644MVA"), Party("F", endpoint="0192:923829644")]),
        ("SE:ORG:5560360793", [Party("F", vat_id="SE556036079301"), Party("F", endpoint="0007:556036-0793")]),
        ("FI:ORG:01120389", [Party("F", vat_id="FI01120389"), Party("F", endpoint="0037:00370112038911")]),
        ("CH:UID:107787577", [Party("F", vat_id="CHE-107.787.577 MWST"), Party("F", endpoint="0183:CHE107787577")]),
        ("GLN:5412345000013", [Party("F", endpoint="0088:5412345000013"), Party("G", endpoint="GLN:5412345000013")]),
        ("NL:KVK:12345678", [Party("F", endpoint="0106:12345678"), Party("F", endpoint="KVK:1234 5678")]),
        ("EAS-0240:123X", [Party("F", endpoint="0240:123x")]),
        ("EM:a.b@proef.example", [Party("F", endpoint="EM:A.B@Proef.example")]),
        ("ID:HRB12345", [Party("F", legal_id="HRB 12345"), Party("G", legal_id="hrb-12345", country="DE")]),
        ("NAME:PROEFNV", [Party("Proef NV"), Party(" PROEF  N.V. "), Party("Proef NV", vat_id="N/A", legal_id="-")]),
    ],
)  # fmt: skip
def test_a_foreign_party_has_one_form_too(form: str, parties: list[Party]) -> None:
    assert {normal_form(party) for party in parties} == {form}


# --- what contradicts itself ------------------------------------------------------------------------------------------


def told(**customer: object) -> tuple[str, ...]:
    return contradictions(replace(invoice("F-1"), customer=Party("Client", **customer)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("customer", "shown"),
    [
        ({"vat_id": "BE0987654394", "endpoint": f"0208:{OTHER_COMPANY}"}, ("BE0987654394", f"0208:{OTHER_COMPANY}")),
        ({"vat_id": "BE0987654394", "legal_id": "0123.456.749", "country": "BE"}, ("BE0987654394", "0123.456.749")),
        ({"legal_id": "0208:0987654394", "endpoint": f"9925:BE{OTHER_COMPANY}"}, ("0987654394", "9925:BE")),
        ({"vat_id": "BE0987654394", "other_ids": (f"0208:{OTHER_COMPANY}",)}, ("BE0987654394", OTHER_COMPANY)),
        ({"vat_id": "FR92552100554", "endpoint": "0009:99900022800013"}, ("FR92552100554", "99900022800013")),
        ({"vat_id": "DE123456789", "endpoint": "9930:DE987654321"}, ("DE123456789", "9930:DE987654321")),
    ],
)  # fmt: skip
def test_two_companies_numbers_in_one_party_contradict_each_other(customer: dict, shown: tuple[str, ...]) -> None:
    (reason,) = told(**customer)
    assert reason.startswith("the customer's ")
    assert all(part in reason for part in shown)


@pytest.mark.parametrize(
    "customer",
    [
        {"vat_id": "BE0987654394", "endpoint": "0088:5412345000013"},
        {"vat_id": "BE0987654394", "endpoint": "0208:0987654394", "legal_id": "987.654.394"},
        {"vat_id": "BE0987654394", "legal_id": "2123456749", "legal_scheme": "0208"},  # an establishment
        {"vat_id": "FR92552100554", "legal_id": "55210055400013", "legal_scheme": "0009", "endpoint": "0002:552100554"},
        {"endpoint": "0088:5412345000013", "other_ids": ("0088:5412345000020",)},
        {"vat_id": "DE123456789", "legal_id": "0987654394", "legal_scheme": "0208"},
        {"vat_id": "DK12345678", "endpoint": "0184:87654321"},
        {"vat_id": "BE0987654394", "other_ids": (OTHER_COMPANY, "KL-1")},  # the supplier's numbers for its customer
        {"vat_id": "BE0987654394", "legal_id": "N/A"},
        {},
    ],
)
def test_numbers_of_different_kinds_do_not_contradict_each_other(customer: dict) -> None:
    assert told(**customer) == ()


def test_a_supplier_is_looked_at_as_a_customer_is() -> None:
    party = Party("Fourni", vat_id="BE0987654394", endpoint=f"0208:{OTHER_COMPANY}")
    assert contradictions(replace(invoice("F-1"), supplier=party)) == (
        f"the supplier's VAT number BE0987654394 (BE0987654394) and endpoint 0208:{OTHER_COMPANY} (BE{OTHER_COMPANY}) "
        "are two companies' numbers",
    )


# --- number, year and kind of document --------------------------------------------------------------------------------

NUMBERS = st.text("ABCXYZ0123456789-/._ ", min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
BLANKS = st.sampled_from(["", " ", "\u00a0", "\u200b", "\t"])


@UNHURRIED
@given(st.data(), NUMBERS)
def test_a_number_is_one_whatever_its_blanks_and_letter_case(data: st.DataObject, number: str) -> None:
    other = "".join(data.draw(BLANKS) + (character.lower() if data.draw(MAYBE) else character) for character in number)
    assert digest(invoice(number)) == digest(invoice(other))


@UNHURRIED
@given(NUMBERS, NUMBERS)
def test_two_numbers_are_two(one: str, other: str) -> None:
    same = "".join(one.split()).upper() == "".join(other.split()).upper()
    assert (digest(invoice(one)) == digest(invoice(other))) is same


@pytest.mark.parametrize(
    ("one", "other"), [("7", "007"), ("1/11", "11/1"), ("2026/7", "2026-7"), ("F1", "F-1"), ("F.1", "F1"), ("É1", "E1")]
)
def test_zeros_and_marks_of_a_number_count(one: str, other: str) -> None:
    assert digest(invoice(one)) != digest(invoice(other))


def test_a_number_is_shown_as_it_is_written() -> None:
    assert InvoiceKey.of(invoice("f 2026\u20117"), "clearfacts").number == "f 2026\u20117"
    assert number_form("f 2026\u20117") == "F2026-7"


def kind(root: DocumentType, code: str | None) -> Invoice:
    return replace(invoice("F-1"), document_type=root, type_code=code)


@pytest.mark.parametrize("code", ["380", "383", "384", "386", "389", "751", None])
def test_every_kind_of_invoice_with_one_number_is_one_invoice(code: str | None) -> None:
    assert digest(kind(DocumentType.INVOICE, code)) == digest(kind(DocumentType.INVOICE, "380"))


@pytest.mark.parametrize("code", ["381", "261", "396"])
def test_a_credit_note_is_one_under_either_root_and_never_the_invoice_of_its_number(code: str) -> None:
    assert digest(kind(DocumentType.INVOICE, code)) == digest(kind(DocumentType.CREDIT_NOTE, "381"))
    assert digest(kind(DocumentType.INVOICE, code)) != digest(kind(DocumentType.INVOICE, "380"))


def test_an_invoice_of_type_381_is_read_as_a_credit_note() -> None:
    content = edited(document(), ">380<", ">381<")
    assert read_invoice(parse(content).root).document_type is DocumentType.CREDIT_NOTE


def test_the_year_is_that_of_the_date_on_the_invoice() -> None:
    eve, new_year = (replace(invoice("1"), issue_date=day) for day in (date(2026, 12, 31), date(2027, 1, 1)))
    assert digest(eve) != digest(new_year)
    assert digest(eve) == digest(replace(eve, issue_date=date(2026, 1, 1)))
    with_zone = edited(document(), "<cbc:IssueDate>2026-11-20<", "<cbc:IssueDate>2026-12-31+14:00<")
    assert InvoiceKey.of(read_invoice(parse(with_zone).root), "clearfacts").issue_year == 2026


def test_two_destinations_are_two() -> None:
    assert InvoiceKey.of(invoice("1"), "clearfacts") != InvoiceKey.of(invoice("1"), "another")
    assert InvoiceKey.of(invoice("1"), "clearfacts") != "clearfacts"
