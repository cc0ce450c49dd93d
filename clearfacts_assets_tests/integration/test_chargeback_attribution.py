"""Who pays: tags, the registry with its dates and aliases, exceptions; and the flags that wait for a person."""

from __future__ import annotations

import json
import re

import pytest

from clearfacts_assets.chargeback.attribution.mapping import AttributionRules
from clearfacts_assets.chargeback.attribution.registry import NotBilled
from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.chargeback.ingest.rules import FlagPattern
from clearfacts_assets.storage.chargeback.attributing import attribute_again
from clearfacts_assets.storage.chargeback.comparing import flag_anomalies, not_billed
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.chargeback import ADA, NOW, Books, row


@pytest.fixture
def registry(books: Books) -> RegistryRepository:
    return RegistryRepository(books.engine)


def put(registry: RegistryRepository, kind: str, **said: object) -> None:
    registry.put(kind, [said], actor="pat", now=NOW)


def again(books: Books) -> int:
    return attribute_again(books.engine, AttributionRules())


def test_allocated_tags_come_before_tags_where_a_row_was_split(books: Books) -> None:
    used = json.dumps({"pi_email": "bo@phys.example.edu", "project_id": "qcd", "fund_org": "PHYS-1"})
    books.put(
        row(AllocatedMethodId="even", AllocatedTags=used, ResourceId="split"),
        row(AllocatedMethodId="", AllocatedTags=used, ResourceId="whole"),
    )
    assert {one["resource_id"]: one["pi_email"] for one in books.charges()} == {
        "split": "bo@phys.example.edu",
        "whole": ADA["pi_email"],
    }


def test_every_alias_is_the_same_person_also_in_charges_that_are_there(
    books: Books, registry: RegistryRepository
) -> None:
    books.put(row(Tags=json.dumps(ADA | {"pi_email": "A.Nilsen@old.example.edu"})))
    put(registry, "investigators", email=ADA["pi_email"], name="Ada", aliases=["a.nilsen@OLD.example.edu"])
    assert again(books) == 1
    assert set(books.total().by_pi) == {ADA["pi_email"]}
    assert again(books) == 0
    books.counted()


def test_a_projects_entry_fills_what_tags_leave_out_by_the_day_of_use(
    books: Books, registry: RegistryRepository
) -> None:
    put(registry, "projects", project_id="genome", fund_org="OLD-1", pi_email=ADA["pi_email"], valid_to="2025-03-10")
    put(registry, "projects", project_id="genome", fund_org="NEW-1", pi_email=ADA["pi_email"], valid_from="2025-03-10")
    tags = json.dumps({"project_id": "Genome"})
    books.put(
        row(Tags=tags, ResourceId="early", ChargePeriodStart="2025-03-09T23:00:00Z"),
        row(Tags=tags, ResourceId="late", ChargePeriodStart="2025-03-10T00:00:00Z"),
        row(Tags=json.dumps(ADA), ResourceId="said"),
    )
    found = {one["resource_id"]: (one["fund_org"], one["status"], one["origin"]) for one in books.charges()}
    assert found == {
        "early": ("OLD-1", "clear", "registry"),
        "late": ("NEW-1", "clear", "registry"),
        "said": ("BIO-000001", "clear", "tag"),
    }


def test_an_overriding_entry_counts_whatever_the_tags_say(books: Books, registry: RegistryRepository) -> None:
    put(registry, "projects", project_id="genome", fund_org="NEW-1", overrides=True)
    books.put(row())
    assert books.charges()[0]["fund_org"] == "NEW-1"


@pytest.mark.parametrize(
    ("fund", "flag"),
    [
        ({"award_end": "2025-03-01"}, "expired_award"),
        ({"valid_from": "2025-04-01"}, "fund_not_valid"),
        ({"may_charge": ["bo@phys.example.edu"]}, "not_authorised"),
        ({"may_charge": [ADA["pi_email"]], "award_end": "2026-01-01"}, None),
    ],
)
def test_a_fund_is_charged_only_while_it_may_be(
    books: Books, registry: RegistryRepository, fund: dict[str, object], flag: str | None
) -> None:
    put(registry, "funds", **({"fund_org": ADA["fund_org"], "valid_from": ""} | fund))
    books.put(row())
    (charge,) = books.charges()
    assert (charge["flags"], charge["status"]) == (([flag], "flagged") if flag else ([], "clear"))


def test_what_a_person_decided_is_not_asked_again(books: Books, registry: RegistryRepository) -> None:
    books.put(row(Tags=""))
    books.decide(Verdict.CORRECT, books.charges()[0]["id"], **ADA)
    put(registry, "projects", project_id="genome", fund_org="NEW-1", overrides=True)
    assert again(books) == 0
    assert books.charges()[0]["fund_org"] == ADA["fund_org"]


def test_an_exception_is_not_billed_seen_and_reported(books: Books, registry: RegistryRepository) -> None:
    books.put(row(), row(ResourceId="course-vm", BilledCost="5.00"))
    id_ = registry.add_exception(NotBilled("resource", "course-vm", "a course"), actor="pat", now=NOW)
    assert again(books) == 1
    total = books.total()
    assert (str(total.due), str(total.not_billed), str(total.billed)) == ("1.00", "5.00", "6.00")
    assert [(one["amount"], one["charges"]) for one in not_billed(books.engine)] == [("5.00", 1)]
    registry.end_exception(id_, "2025-03-01", actor="pat", now=NOW)
    assert again(books) == 1
    assert str(books.total().due) == "6.00"


def test_patterns_of_funds_and_services_hold_charges(books: Books) -> None:
    books.put(
        row(ResourceId="test-vm"),
        row(Tags=json.dumps(ADA | {"fund_org": "odd"})),
        row(),
        patterns=[FlagPattern("test", re.compile("^test-"))],
        funds=[re.compile(r"^[A-Z]+-\d+$")],
    )
    assert [one["flags"] for one in books.charges()] == [["pattern_match"], ["invalid_fund_org"], []]


def test_the_same_row_from_two_sources_is_suspected(books: Books) -> None:
    books.put(row(), row(ResourceId="other"))
    books.put(row(), name="b.csv", source="copy")
    (charge,) = books.charges(source="copy")
    assert charge["flags"] == ["suspected_duplicate"]
    assert str(books.total().due) == "2.00"


def test_unknown_prices_and_currencies_are_said(books: Books) -> None:
    books.put(
        row(ListCost="0", ResourceId="zero"),
        row(ListCost="NULL", ResourceId="null"),
        row(ChargePeriodEnd="2025-03-02T30:00:00Z", ResourceId="date"),
    )
    assert [(one["flags"], one["status"]) for one in books.charges()] == [
        (["unknown_list_price"], "clear"),
        (["unknown_list_price", "unknown_price"], "flagged"),
        (["unreadable_date"], "flagged"),
    ]
    books.put(row(BillingCurrency=None), name="b.csv", source="old")
    (charge,) = books.charges(source="old")
    assert (charge["currency"], charge["flags"]) == ("XXX", ["unknown_currency"])
    books.put(row(BillingCurrency=None), name="c.csv", source="told", currency="EUR")
    assert books.charges(source="told")[0]["currency"] == "EUR"
    words = ("usd", "US$", "Tokens", "XXX", "DÖL")
    books.put(*(row(BillingCurrency=one, ResourceId=one) for one in words), name="d.csv", source="words")
    assert {one["resource_id"]: one["flags"] for one in books.charges(source="words")} == {
        "usd": [],
        **{one: ["unknown_currency"] for one in words[1:]},
    }


def test_a_month_far_above_those_before_is_flagged(books: Books) -> None:
    for month, cost in (("01", "100"), ("02", "110"), ("03", "90"), ("04", "400")):
        books.put(row(BillingPeriodStart=f"2025-{month}-01", BilledCost=cost), name=f"{month}.csv")
    with books.engine.begin() as connection:
        assert flag_anomalies(connection, "2025-03", 3) == 0
        assert flag_anomalies(connection, "2025-04", 3) == 1
    assert books.charges(period="2025-04")[0]["flags"] == ["anomaly"]
    assert books.total("2025-04").due == 0
    with books.engine.begin() as connection:
        assert flag_anomalies(connection, "2025-04", 3) == 0
    books.counted("2025-04")


def test_a_new_tag_mapping_is_read_when_the_export_comes_again(books: Books) -> None:
    tags = json.dumps({"owner": ADA["pi_email"], **{name: ADA[name] for name in ("project_id", "fund_org")}})
    books.put(row(Tags=tags))
    assert books.charges()[0]["status"] == "flagged"
    mapping = {"pi_email": "owner", "project_id": "project_id", "fund_org": "fund_org"}
    (difference,) = books.put(row(Tags=tags), mapping=mapping).differences
    assert difference.changes["retagged"].rows == 1
    assert (books.charges()[0]["status"], set(books.total().by_pi)) == ("clear", {ADA["pi_email"]})
    books.counted()


def test_new_patterns_are_asked_again_of_charges_that_are_there(books: Books) -> None:
    books.put(row(ResourceId="test-vm"), row())
    pattern = FlagPattern("test", re.compile("^test-"))
    assert attribute_again(books.engine, AttributionRules(), [pattern]) == 1
    assert [one["flags"] for one in books.charges()] == [["pattern_match"], []]
    assert attribute_again(books.engine, AttributionRules()) == 1
    assert books.total().flagged == 0
