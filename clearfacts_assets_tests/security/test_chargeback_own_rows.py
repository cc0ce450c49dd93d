"""A user who is bound to an investigator sees that one's charges: by no id, filter, file, sum or path another's."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clearfacts_assets.storage.accounts.users import BadUser
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import TEST
from clearfacts_assets_tests.fixtures.chargeback import ADA, NOW
from clearfacts_assets_tests.fixtures.chargeback_api import ALAN, BASE, bound, code, data, load

PATHS_OF_OTHERS = [
    *(f"{BASE}{path}" for path in ("/review", "/imports", "/imports/1", "/imports/1/refusals", "/reconcile/2025-03")),
    *(f"{BASE}{path}" for path in ("/investigators", "/projects", "/funds", "/exceptions", "/sources")),
    *(f"{BASE}{path}" for path in ("/overrides", "/rates", "/rules", "/credits", "/credits/paid", "/pools/2025-03")),
    *(f"{BASE}{path}" for path in ("/budgets", "/emails", "/emails/1", "/emails/preview?period=2025-03")),
    f"{BASE}/statements/tie-out?period=2025-03",
    f"{BASE}/periods/verify",
    "/api/v1/invoices/history",
    "/api/v1/jobs",
    "/api/v1/deliveries",
    "/api/v1/admin/health",
    "/api/v1/users",
]


def test_a_bound_user_sees_the_own_charges_in_lists_files_and_sums(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    client = bound(api)
    mine = [ids["a-1"], ids["a-2"]]

    def listed(**which: str | int) -> list[int]:
        return [one["id"] for one in data(client.get(f"{BASE}/charges", params=which))["items"]]

    assert listed() == mine
    assert listed(period="2025-03") == mine
    for which in (
        {"pi_email": ALAN["pi_email"]},
        {"project_id": "enigma"},
        {"fund_org": "MAT-000002"},
        {"search": "quantum"},
        {"status": "flagged"},
        {"flag": "missing_fund_org"},
        {"resource_id": "b-1"},
        {"cursor": ids["a-2"]},
    ):
        assert listed(**which) == [], which
        exported = client.get(f"{BASE}/charges/export", params={k: v for k, v in which.items() if k != "cursor"})
        found = [int(one["id"]) for one in csv.DictReader(io.StringIO(exported.text))]
        assert found == ([] if "cursor" not in which else mine), which
    assert data(client.get(f"{BASE}/charges/{ids['a-1']}"))["pi_email"] == ADA["pi_email"]
    shown = data(client.get(f"{BASE}/periods/2025-03"))
    assert (shown["charges"], shown["billed"], shown["due"], shown["flagged"]) == (2, "3.30", "3.30", "0")
    assert shown["by_pi"] == {ADA["pi_email"]: "3.30"}
    assert (shown["by_project"], shown["flags"]) == ({"genome": "3.30"}, {})
    assert list(shown["by_service"]) == ["Storage", "Virtual Machines"]


def test_another_ones_charge_is_as_one_that_is_not_there(quick_api: RunningApi, tmp_path: Path) -> None:
    ids = load(quick_api, tmp_path)
    client, others = bound(quick_api), (ids["b-1"], ids["c-1"], 10**6)
    answers = [client.get(f"{BASE}/charges/{one}") for one in others]
    assert [code(one) for one in answers] == [(404, "CHARGE_NOT_FOUND")] * 3
    told = {one.json()["error"]["message"].replace(str(id_), "N") for one, id_ in zip(answers, others, strict=True)}
    assert told == {"There is no charge N."}


def test_what_a_sealed_period_says_of_everybody_is_not_told(quick_api: RunningApi, tmp_path: Path) -> None:
    ids = load(quick_api, tmp_path)
    operator = quick_api.client("operator")
    data(operator.post(f"{BASE}/review/reject", json={"ids": [ids["c-1"]]}))
    for step in ("close", "finalize"):
        data(operator.post(f"{BASE}/periods/2025-03/{step}", json={}))
    told = data(bound(quick_api).get(f"{BASE}/periods/2025-03"))
    assert (told["state"], told["finalized_rows"], told["hash"], told["events"]) == ("finalized", None, None, [])
    (listed,) = data(bound(quick_api).get(f"{BASE}/periods"))["items"]
    assert (listed["finalized_rows"], listed["hash"]) == (None, None)
    # The amount that was rejected; an instant's microseconds may have its digits too.
    assert [name for name, value in told.items() if "500" in str(value) and not name.endswith("_at")] == []


def test_a_bound_user_gets_nothing_else(quick_api: RunningApi, tmp_path: Path) -> None:
    ids = load(quick_api, tmp_path)
    client = bound(quick_api)
    assert {path: client.get(path).status_code for path in PATHS_OF_OTHERS} == dict.fromkeys(PATHS_OF_OTHERS, 403)
    asked: list[Callable[[], httpx.Response]] = [
        lambda: client.post(f"{BASE}/review/approve", json={"ids": [ids["a-1"]]}),
        lambda: client.post(f"{BASE}/periods/2025-03/close", json={}),
        lambda: client.post(f"{BASE}/imports", files=[("files", ("aws.csv", b"x"))]),
        lambda: client.post("/graphql", json={"query": "{ version }"}),  # Dagster's tables tell of everybody
    ]
    assert [one().status_code for one in asked] == [403] * 4


def test_a_person_is_one_under_every_address(quick_api: RunningApi, tmp_path: Path) -> None:
    """Bound by an alias, and by an address that became an alias later."""
    load(quick_api, tmp_path)
    operator, admin = quick_api.client("operator"), quick_api.client("admin")
    client = bound(quick_api, "ada@old.example.edu")
    assert data(client.get(f"{BASE}/charges"))["items"] == []
    data(operator.post(f"{BASE}/investigators", json={"email": ADA["pi_email"]}), 201)
    alias = {"name": ADA["pi_email"], "alias": "ada@old.example.edu"}
    data(operator.post(f"{BASE}/investigators/aliases", json=alias))
    assert len(data(client.get(f"{BASE}/charges"))["items"]) == 2
    user = quick_api.callers.user("user", "bound")
    path = f"/api/v1/users/{user.id}"
    assert data(admin.patch(path, json={"investigator": "Ada@Old.example.edu"}))["investigator"] == ADA["pi_email"]
    assert data(admin.patch(path, json={"investigator": ""}))["investigator"] is None
    assert len(data(client.get(f"{BASE}/charges"))["items"]) == 4


def test_only_the_role_user_can_be_bound_and_stays_so_until_it_is_ended(quick_api: RunningApi) -> None:
    """Else another role would silently show everything again."""
    callers = quick_api.callers
    for role in ("reviewer", "operator", "admin"):
        with pytest.raises(BadUser):
            callers.users.change(callers.user(role).id, investigator="ada@x.edu", actor=TEST, now=NOW)
    user = callers.user("user", "bound")
    callers.users.change(user.id, investigator="ada@x.edu", actor=TEST, now=NOW)
    raised = quick_api.client("admin").patch(f"/api/v1/users/{user.id}", json={"role": "reviewer"})
    assert code(raised) == (422, "VALIDATION_ERROR")
