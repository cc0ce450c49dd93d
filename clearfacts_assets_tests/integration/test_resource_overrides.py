"""Who pays for a resource, whatever its tags say: at import, afterwards, and for ever on the charge. Both databases."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clearfacts_assets.chargeback.attribution.entries import checked
from clearfacts_assets.chargeback.attribution.mapping import AttributionRules
from clearfacts_assets.chargeback.attribution.overrides import Override, Overrides
from clearfacts_assets.chargeback.attribution.review import Verdict
from clearfacts_assets.storage.chargeback.attributing import attribute_again
from clearfacts_assets.storage.chargeback.charges import ChargeRepository
from clearfacts_assets.storage.chargeback.overriding import OverrideRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import ADA, NOW, Books, outcome_rows, row
from clearfacts_assets_tests.fixtures.chargeback_api import BASE, audited, bound, code, data, load, upload

ALAN = {"pi_email": "alan@math.example.edu", "project_id": "enigma", "fund_org": "MAT-000002"}
PAYS = ("pi_email", "project_id", "fund_org")


def lay(books: Books, resource: str, **said: str) -> int:
    entry = checked("overrides", {"resource": resource, "reason": "the grant says so"} | said)
    return OverrideRepository(books.engine).add([entry], actor="rita", now=NOW)[0]


def ask_again(books: Books) -> int:
    return attribute_again(books.engine, AttributionRules())


def who(books: Books, resource: str, **which: Any) -> tuple[str, ...]:
    (one,) = books.charges(resource_id=resource, **which)
    return tuple(one[name] for name in (*PAYS, "origin", "status"))


def test_an_override_comes_before_tags_and_stands_on_the_charge(books: Books) -> None:
    books.put(row(ResourceId="vm-1"), row(ResourceId="vm-2"))
    id_ = lay(books, "vm-1", **ALAN)
    assert ask_again(books) == 1
    assert who(books, "vm-1") == (*ALAN.values(), f"override {id_}", "clear")
    assert who(books, "vm-2") == (*ADA.values(), "tag", "clear")
    assert books.total().by_pi.keys() == {ADA["pi_email"], ALAN["pi_email"]}
    (charge,) = books.charges(resource_id="vm-1")
    shown = ChargeRepository(books.engine).show(charge["id"])["override"]
    assert shown["words"] == f"attributed by override {id_} of vm-1 by rita because the grant says so"
    assert ask_again(books) == 0
    same = books.put(row(ResourceId="vm-1"), row(ResourceId="vm-2"), row(ResourceId="vm-3"), name="b.csv")
    assert outcome_rows(same) == {"equal": 2, "new": 1}
    OverrideRepository(books.engine).end(id_, "2025-03-01", actor="rita", now=NOW)
    assert (ask_again(books), who(books, "vm-1")) == (1, (*ADA.values(), "tag", "clear"))


def test_an_import_is_attributed_as_what_is_there_already(books: Books) -> None:
    """Bad tags, no tags and other people's tags, at import and asked again."""
    lay(books, "vm-*", **ALAN)
    id_ = lay(books, "VM-9", pi_email="Eve@Bio.example.edu")
    books.put(
        row(ResourceId="vm-1", Tags="{not json"),
        row(ResourceId="vm-2", Tags="{}"),
        row(ResourceId="vm-9"),
        row(ResourceId="db-1", Tags="{not json"),
    )
    found = {one: who(books, one) for one in ("vm-1", "vm-2", "vm-9", "db-1")}
    assert found["vm-1"] == found["vm-2"] == (*ALAN.values(), "override 1", "clear")
    # What an override leaves out, the tags say; an exact id comes before a pattern.
    assert found["vm-9"] == ("eve@bio.example.edu", "genome", "BIO-000001", f"override {id_}", "clear")
    assert found["db-1"][-1] == "flagged"
    assert ask_again(books) == 0
    OverrideRepository(books.engine).end(1, "2025-01-01", actor="rita", now=NOW)
    assert ask_again(books) == 2
    (unread,) = books.charges(resource_id="vm-1")
    assert "unreadable_tags" in unread["flags"]
    books.counted()


def test_its_project_fills_what_it_leaves_out_before_tags_do(books: Books) -> None:
    project = {"project_id": "enigma", "pi_email": "alan@math.example.edu", "fund_org": "MAT-9", "overrides": True}
    RegistryRepository(books.engine).put("projects", [project | {"valid_from": ""}], actor="pat", now=NOW)
    lay(books, "vm-1", project_id="enigma", fund_org="MAT-1")
    books.put(row(ResourceId="vm-1"))
    assert who(books, "vm-1")[:3] == ("alan@math.example.edu", "enigma", "MAT-1")


@pytest.mark.parametrize(("start", "of"), [("01", "1"), ("09", "1"), ("10", "2"), ("19", "2"), ("20", "tag")])
def test_each_holds_for_its_days(books: Books, start: str, of: str) -> None:
    lay(books, "vm-1", **ALAN, valid_to="2025-03-20")
    lay(books, "vm-1", fund_org="MAT-2", valid_from="2025-03-10", valid_to="2025-03-20")
    end = f"2025-03-{int(start) + 1:02d}T00:00:00Z"
    books.put(row(ResourceId="vm-1", ChargePeriodStart=f"2025-03-{start}T00:00:00Z", ChargePeriodEnd=end))
    assert who(books, "vm-1")[3].removeprefix("override ") == of


def test_a_persons_decision_and_a_finalized_month_stay_as_they_are(books: Books) -> None:
    books.put(row(ResourceId="vm-1"), row(ResourceId="vm-2", Tags="{}"))
    (waiting,) = books.charges(status=("flagged",))
    books.decide(Verdict.CORRECT, waiting["id"], **ADA)
    lay(books, "*", **ALAN)
    assert (ask_again(books), who(books, "vm-2")[:3]) == (1, tuple(ADA.values()))
    books.finalize("2025-03")
    OverrideRepository(books.engine).end(1, "2025-01-01", actor="rita", now=NOW)
    assert (ask_again(books), who(books, "vm-1")[3]) == (0, "override 1")


def test_what_is_laid_down_never_changes_but_in_its_end(books: Books) -> None:
    id_ = lay(books, "vm-1", **ALAN)
    assert lay(books, "vm-1", **ALAN) == id_  # the same again is the same one
    for statement in ("UPDATE resource_overrides SET reason = 'x'", "DELETE FROM resource_overrides"):
        with pytest.raises(DBAPIError), books.engine.begin() as connection:
            connection.execute(text(statement))


def test_patterns_are_quick_whatever_they_are_made_of() -> None:
    every = [Override(1, "*a" * 240), Override(2, "[x]?"), Override(3, "exact")]
    known = Overrides(every)
    assert known.of("a" * 10_000 + "b", "2025-03-01") is None
    assert [one.id if one else None for one in (known.of("[X]1", ""), known.of("x1", ""), known.of("EXACT ", ""))] == [
        2,
        None,
        3,
    ]
    assert known.of("", "") is None


def test_overrides_over_the_api(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    operator, user, path = api.client("operator"), api.client("user"), f"{BASE}/overrides"
    body = {"resource": "c-*", **ALAN, "reason": "Alan's new cluster", "valid_from": "2025-01-01"}
    first = data(operator.post(path, json=body), 201)
    assert first["charges_changed"] == 1
    assert data(operator.post(path, json=body), 201) == {"id": first["id"], "charges_changed": 0}
    shown = data(user.get(f"{BASE}/charges/{ids['c-1']}"))
    assert (shown["pi_email"], shown["status"], shown["origin"]) == (ALAN["pi_email"], "clear", "override 1")
    assert shown["override"]["words"] == "attributed by override 1 of c-* by operator because Alan's new cluster"
    assert data(user.get(f"{BASE}/charges/{ids['a-1']}"))["override"] is None
    (listed,) = data(user.get(path, params={"resource": "c-*"}))["items"]
    assert (listed["actor"], listed["valid_from"], date.fromisoformat(listed["at"][:10]) > date(2025, 1, 1)) == (
        "operator",
        "2025-01-01",
        True,
    )
    csv = tmp_path / "overrides.csv"
    csv.write_text("resource,fund_org,reason\na-1,BIO-7,moved\na-2,BIO-7,moved\n")
    done = data(upload(operator, csv, path="/overrides/import"))
    assert done == {"entries": 2, "charges_changed": 2}
    assert data(upload(operator, csv, path="/overrides/import")) == {"entries": 2, "charges_changed": 0}
    assert data(user.get(f"{BASE}/periods/2025-03"))["by_fund"]["BIO-7"] == "3.30"
    ended = data(operator.post(f"{path}/{first['id']}/end", json={"valid_to": "2025-02-01"}))
    assert ended["charges_changed"] == 1
    assert code(operator.post(f"{path}/99/end", json={"valid_to": "2025-02-01"})) == (404, "REGISTRY_ENTRY_NOT_FOUND")
    csv.write_text("resource,fund_org,reason\na-1,BIO-7,moved\na-2,BIO-7,\n")
    refused = upload(operator, csv, path="/overrides/import")
    assert (code(refused), refused.json()["error"]["message"][:7]) == ((422, "VALIDATION_ERROR"), "Line 3:")
    assert bound(api).get(path).status_code == 403
    assert audited(api, "chargeback_overrides.") == [
        *[("chargeback_overrides.added", "operator")] * 3,
        ("chargeback_overrides.ended", "operator"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": "\t"},
        {"pi_email": "", "project_id": "", "fund_org": ""},
        {"resource": ""},
        {"resource": "x" * 501},
        {"valid_from": "soon"},
        {"valid_from": "2025-02-01", "valid_to": "2025-02-01"},
        {"pi_email": "a\x00"},
    ],
)
def test_an_override_says_what_who_and_why(quick_api: RunningApi, wrong: dict[str, str]) -> None:
    body = {"resource": "c-1", **ALAN, "reason": "because"} | wrong
    answer = quick_api.client("operator").post(f"{BASE}/overrides", content=json.dumps(body), headers=JSON)
    assert code(answer) == (422, "VALIDATION_ERROR")


JSON = {"Content-Type": "application/json"}
