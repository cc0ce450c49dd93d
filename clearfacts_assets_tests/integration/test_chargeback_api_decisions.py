"""Decisions and the registry over the API, on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback_api import ALAN, BASE, code, data, load, upload

REVIEW = f"{BASE}/review"


def test_what_waits_is_approved_rejected_corrected_and_undone(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    reviewer, one = api.client("reviewer"), {"ids": [ids["c-1"]]}

    def total(name: str) -> Any:
        return data(reviewer.get(f"{BASE}/periods/2025-03"))[name]

    (waiting,) = data(reviewer.get(REVIEW, params={"period": "2025-03", "flag": "missing_fund_org"}))["items"]
    assert (waiting["id"], waiting["status"], total("flagged")) == (ids["c-1"], "flagged", "500")
    key = {"Idempotency-Key": "approve-1"}
    for _ in range(2):  # an answer that was lost is asked for again
        done = data(reviewer.post(f"{REVIEW}/approve", json={**one, "note": "the pool pays"}, headers=key))
        assert done == {"verdict": "approve", "decided": 1, "charges": [ids["c-1"]]}
    assert code(reviewer.post(f"{REVIEW}/approve", json=one, headers=key)) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert code(reviewer.post(f"{REVIEW}/approve", json=one)) == (409, "CHARGE_NOT_DECIDABLE")
    assert (total("flagged"), total("due")) == ("0", "543.30")
    assert data(reviewer.post(f"{REVIEW}/undo", json=one))["decided"] == 1
    assert data(reviewer.post(f"{REVIEW}/reject", json={"period": "2025-03", "all": True}))["charges"] == one["ids"]
    assert (total("rejected"), total("due")) == ("500", "43.30")
    to = {"pi_email": ALAN["pi_email"], "project_id": "enigma", "fund_org": "MAT-000002"}
    data(reviewer.post(f"{REVIEW}/correct", json={**one, "to": to, "note": "Alan's machine"}))
    assert total("by_pi")[ALAN["pi_email"]] == "540.0"
    decisions = data(reviewer.get(f"{BASE}/charges/{ids['c-1']}"))["decisions"]
    assert [(d["verdict"], d["actor"], d["note"]) for d in decisions] == [
        ("approve", "reviewer", "the pool pays"),
        ("undo", "reviewer", ""),
        ("reject", "reviewer", ""),
        ("correct", "reviewer", "Alan's machine"),
    ]


def test_a_decision_on_what_has_changed_is_refused(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    reviewer = api.client("reviewer")
    seen = {"ids": [ids["c-1"]], "seen": [{"id": ids["c-1"], "status": "flagged"}]}
    data(reviewer.post(f"{REVIEW}/approve", json=seen))
    assert code(reviewer.post(f"{REVIEW}/reject", json=seen)) == (409, "CHARGE_CHANGED")
    assert code(reviewer.post(f"{REVIEW}/approve", json={"ids": [10**9]})) == (404, "CHARGE_NOT_FOUND")
    assert code(reviewer.post(f"{REVIEW}/undo", json={"ids": [ids["a-1"]]})) == (409, "CHARGE_NOT_DECIDABLE")
    for step in ("close", "finalize"):
        data(api.client("operator").post(f"{BASE}/periods/2025-03/{step}", json={}))
    assert code(reviewer.post(f"{REVIEW}/undo", json={"ids": [ids["c-1"]]})) == (409, "PERIOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"period": "2025-03"},
        {"ids": ["1"]},
        {"ids": [0]},
        {"ids": [2**63]},
        {"period": "2025-03", "flag": "nonsense"},
        {"period": "2025-03", "all": True, "note": "x" * 1001},
        {"all": True},
    ],
)
def test_a_decision_has_to_say_about_what(quick_api: RunningApi, body: dict[str, Any]) -> None:
    assert code(quick_api.client("reviewer").post(f"{REVIEW}/approve", json=body)) == (422, "VALIDATION_ERROR")


def test_a_waiting_period_is_not_finalized(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    operator = quick_api.client("operator")
    data(operator.post(f"{BASE}/periods/2025-03/close", json={}))
    assert code(operator.post(f"{BASE}/periods/2025-03/finalize", json={})) == (409, "CHARGES_WAITING")


def test_the_registry_fills_what_tags_leave_out(api: RunningApi, tmp_path: Path) -> None:
    load(api, tmp_path)
    operator, user = api.client("operator"), api.client("user")
    entry = {"project_id": "enigma", "fund_org": "MAT-9", "overrides": True}
    assert data(operator.post(f"{BASE}/projects", json=entry), 201) == {"entries": 1, "charges_changed": 1}
    assert code(operator.post(f"{BASE}/projects", json=entry)) == (409, "CONFLICT")
    assert data(operator.put(f"{BASE}/projects", json=entry | {"fund_org": "MAT-10"}))["charges_changed"] == 1
    assert code(operator.put(f"{BASE}/projects", json={"project_id": "x"})) == (404, "REGISTRY_ENTRY_NOT_FOUND")
    assert data(user.get(f"{BASE}/periods/2025-03"))["by_fund"]["MAT-10"] == "40.0"
    csv = tmp_path / "funds.csv"
    csv.write_text('fund_org,budget,currency,award_end,may_charge\nMAT-10,"50,000.10",USD,2025-01-01,a@x.edu;b@x.edu\n')
    done = data(upload(operator, csv, path="/funds/import"))
    assert done == {"entries": 1, "charges_changed": 1}
    (fund,) = data(user.get(f"{BASE}/funds"))["items"]
    assert (fund["budget"], fund["may_charge"], fund["award_end"]) == ("50000.10", ["a@x.edu", "b@x.edu"], "2025-01-01")
    waiting = data(user.get(REVIEW, params={"flag": "expired_award"}))["items"]
    assert [one["resource_id"] for one in waiting] == ["b-1"]
    people = tmp_path / "people.csv"
    people.write_text("email,name,aliases\nada@bio.example.edu,Ada,alovelace;Ada L.\n")
    data(upload(operator, people, path="/investigators/import"))
    (ada,) = data(user.get(f"{BASE}/investigators"))["items"]
    assert (ada["name"], ada["aliases"]) == ("Ada", ["ada l.", "alovelace"])
    unknown = {"name": "nobody@x.edu", "alias": "n"}
    assert code(operator.post(f"{BASE}/investigators/aliases", json=unknown)) == (404, "REGISTRY_ENTRY_NOT_FOUND")


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("funds", "fund_org,budget\nA,1\nB,1.2.3\n", "Line 3: budget '1.2.3'"),
        ("funds", "fund_org,award_end\nA,1.3.2025\n", "Line 2: '1.3.2025' is no day"),
        ("funds", "name\nA\n", "The header has no fund_org"),
        ("funds", "fund_org,currency\nA,USDOLLARSES\n", "Line 2: currency is longer than 10"),
        ("projects", "project_id,overrides\nA,perhaps\n", "Line 2: overrides is 'perhaps'"),
        ("projects", "project_id\n\x00\n", "Line 2: project_id has a character"),
        ("projects", "project_id\nA,B\n", "Line 2: it has more cells"),
        ("investigators", f"email,aliases\na@x.edu,{'x' * 501}\n", "Line 2: one of aliases is longer"),
        ("investigators", "", "The header has no email"),
    ],
)
def test_a_registry_file_is_taken_whole_or_refused_with_its_line(
    api: RunningApi, tmp_path: Path, kind: str, text: str, why: str
) -> None:
    file = tmp_path / "file.csv"
    file.write_text(text)
    operator = api.client("operator")
    answer = upload(operator, file, path=f"/{kind}/import")
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["message"].startswith(why)
    assert data(operator.get(f"{BASE}/{kind}"))["items"] == []


def test_an_exception_keeps_charges_from_being_billed_until_it_ends(api: RunningApi, tmp_path: Path) -> None:
    load(api, tmp_path)
    operator = api.client("operator")
    body = {"kind": "project", "name": "enigma", "reason": "a course", "valid_from": "2025-01-01"}
    key = {"Idempotency-Key": "course"}
    first = data(operator.post(f"{BASE}/exceptions", json=body, headers=key), 201)
    assert first["charges_changed"] == 1
    again = data(operator.post(f"{BASE}/exceptions", json=body, headers=key), 201)
    assert again == {"id": first["id"], "charges_changed": 0}
    told = data(operator.get(f"{BASE}/exceptions"))
    assert [(one["name"], one["actor"]) for one in told["exceptions"]] == [("enigma", "operator")]
    assert [(one["project_id"], one["amount"], one["currency"]) for one in told["not_billed"]] == [
        ("enigma", "40.0", "USD")
    ]
    end = data(operator.post(f"{BASE}/exceptions/{first['id']}/end", json={"valid_to": "2025-02-01"}))
    assert end["charges_changed"] == 1
    assert code(operator.post(f"{BASE}/exceptions/99/end", json={"valid_to": "2025-02-01"})) == (
        404,
        "REGISTRY_ENTRY_NOT_FOUND",
    )
    assert code(operator.post(f"{BASE}/exceptions", json=body | {"valid_to": "soon"})) == (422, "VALIDATION_ERROR")


def test_a_source_is_added_changed_and_keeps_its_basis_once_sealed(api: RunningApi, tmp_path: Path) -> None:
    operator = api.client("operator")
    body = {"name": "aws", "basis": "effective", "pattern": "aws_*.csv"}
    assert data(operator.post(f"{BASE}/sources", json=body), 201)["basis"] == "effective"
    assert code(operator.post(f"{BASE}/sources", json=body)) == (409, "CONFLICT")
    assert code(operator.put(f"{BASE}/sources", json={"name": "gcp"})) == (404, "REGISTRY_ENTRY_NOT_FOUND")
    ids = load(api, tmp_path)
    (source,) = data(operator.get(f"{BASE}/sources"))["items"]
    assert source["last_import"] is not None
    data(operator.post(f"{REVIEW}/approve", json={"ids": [ids["c-1"]]}))
    for step in ("close", "finalize"):
        data(operator.post(f"{BASE}/periods/2025-03/{step}", json={}))
    assert code(operator.put(f"{BASE}/sources", json={"name": "aws", "basis": "list"})) == (409, "CONFLICT")
    assert code(operator.put(f"{BASE}/sources", json={"name": "aws", "basis": "free"})) == (422, "VALIDATION_ERROR")
