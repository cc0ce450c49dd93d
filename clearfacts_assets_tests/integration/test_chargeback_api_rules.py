"""Rates, rules, credits, pools and budgets over the API: the same functions as the commands, on both databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import ADA
from clearfacts_assets_tests.fixtures.chargeback_api import BASE, audited, bound, code, data, load

RULES, RATES = f"{BASE}/rules", f"{BASE}/rates"
HALF = {"payer": "Provost", "percent": "50", "scope": {"projects": ["genome"]}}
CPU = {"service": "HPC cpu", "unit": "core-hour", "price": "0.05", "currency": "USD", "valid_from": "2025-01-01"}


def test_a_rule_is_written_applied_rehearsed_and_explained(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    operator, user = api.client("operator"), api.client("user")
    rule = {"kind": "subsidy", "name": "half", "definition": HALF, "note": "a pilot"}
    version = data(operator.post(RULES, json=rule), 201)
    assert (version["number"], version["definition"], version["actor"]) == (1, HALF, "operator")
    assert data(operator.post(RULES, json=rule), 201)["id"] == version["id"]  # what it says already adds nothing
    rehearsed = data(operator.post(f"{RULES}/run", json={"period": "2025-03", "dry_run": True}))
    assert (rehearsed["dry_run"], rehearsed["totals"]["USD"]["due"]) == (True, "41.65")
    assert data(user.get(f"{RULES}/explain/{ids['a-1']}"))["why"].startswith("rules were not applied")
    ran = data(operator.post(f"{RULES}/run", json={"period": "2025-03"}))
    assert (ran["added"], ran["totals"], ran["later"]) == (rehearsed["added"], rehearsed["totals"], [])
    again = data(operator.post(f"{RULES}/run", json={"period": "2025-03"}))
    assert (again["run_id"], again["added"], again["withdrawn"]) == (None, 0, 0)
    told = data(user.get(f"{RULES}/explain/{ids['a-1']}"))
    assert (told["list"], told["due"], told["payers"]["Provost"]) == ("1.10", "0.55", "0.55")
    assert told["lines"][-1]["rule"] == "subsidy half v1"
    (listed,) = data(user.get(RULES, params={"kind": "subsidy"}))["items"]
    assert (listed["used"], listed["approved_by"]) == (True, "operator")
    ended = data(operator.post(f"{RULES}/end", json={"kind": "subsidy", "name": "half", "day": "2025-03-01"}))
    assert (ended["number"], ended["definition"]) == (2, {"ended": True})
    assert data(operator.post(f"{RULES}/run", json={"period": "2025-03"}))["totals"]["USD"]["due"] == "43.30"
    assert audited(api, "billing_rule.") == [("billing_rule.added", "operator")] * 2
    assert audited(api, "ledger.") == [("ledger.computed", "operator")] * 2


def test_what_is_not_there_is_said_by_its_code(quick_api: RunningApi) -> None:
    operator, user = quick_api.client("operator"), quick_api.client("user")
    assert code(operator.post(f"{RULES}/run", json={"period": "2025-03"})) == (404, "PERIOD_NOT_FOUND")
    assert code(operator.post(f"{RULES}/99/approve")) == (404, "RULE_NOT_FOUND")
    unknown = {"kind": "subsidy", "name": "x", "day": "2025-03-01"}
    assert code(operator.post(f"{RULES}/end", json=unknown)) == (404, "RULE_NOT_FOUND")
    assert code(user.get(f"{RULES}/explain/99")) == (404, "CHARGE_NOT_FOUND")
    assert code(user.get(f"{BASE}/credits", params={"name": "x"})) == (404, "RULE_NOT_FOUND")
    wish = {"service": "HPC", "quantity": "1"}
    assert code(user.get(f"{RATES}/estimate", params=wish)) == (404, "RULE_NOT_FOUND")
    assert data(user.get(f"{BASE}/pools/2025-03")) == {"period": "2025-03", "pools": [], "given": []}
    assert data(user.get(f"{BASE}/credits/paid"))["rows"] == []
    assert data(user.get(f"{BASE}/budgets")) == {"budgets": []}


def test_a_rate_has_versions_classes_and_a_price_for_a_wish(api: RunningApi) -> None:
    operator, user = api.client("operator"), api.client("user")
    tiers = {"tiers": [{"beyond": "1000", "price": "0.04"}], "minimum": "1.00"}
    first = data(operator.post(RATES, json=CPU | tiers), 201)
    assert (first["name"], first["number"]) == ("HPC cpu / internal", 1)
    data(operator.post(RATES, json=CPU | {"rate_class": "commercial", "price": "0.20"}), 201)
    data(operator.post(f"{RATES}/classes", json={"institution": "acme.com", "rate_class": "commercial"}), 201)
    person = {"email": "eve@acme.com", "institution": "acme.com"}
    data(operator.post(f"{BASE}/investigators", json=person), 201)

    def cost(quantity: str, **said: str) -> tuple[str, str]:
        asked = {"service": "HPC cpu", "quantity": quantity, "day": "2025-03-01"} | said
        told = data(user.get(f"{RATES}/estimate", params=asked))
        return told["rate_class"], told["cost"]

    assert cost("2000") == ("internal", "90.00")
    assert cost("1") == ("internal", "1.00")
    assert cost("2000", pi_email="eve@acme.com") == ("commercial", "400.00")
    assert cost("60", unit="core-minute", rate_class="commercial") == ("commercial", "0.20")
    raised = data(operator.post(RATES, json=CPU | {"price": "0.06", "valid_from": "2025-07-01"}), 201)
    assert raised["number"] == 2
    assert cost("100", day="2025-07-01") == ("internal", "6.00")
    assert len(data(user.get(RATES))["items"]) == 4
    assert len(data(user.get(RATES, params={"service": "HPC cpu"}))["items"]) == 3
    for wrong in ({"quantity": "many"}, {"quantity": "1" * 41}, {"day": "soon"}, {"unit": "token"}):
        asked = {"service": "HPC cpu", "quantity": "1"} | wrong
        assert code(user.get(f"{RATES}/estimate", params=asked)) == (422, "VALIDATION_ERROR"), wrong


@pytest.fixture
def careful_api(
    product_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> RunningApi:
    """Where rates and rules count only once another person approves them."""
    monkeypatch.setenv("CLEARFACTS_RATES__TWO_PEOPLE", "true")
    found: RunningApi = request.getfixturevalue("quick_api")
    return found


def test_with_two_people_somebody_else_approves(careful_api: RunningApi) -> None:
    operator, reviewer, user = (careful_api.client(role) for role in ("operator", "reviewer", "user"))
    version = data(operator.post(RATES, json=CPU), 201)
    assert version["approved_by"] is None
    wish = {"service": "HPC cpu", "quantity": "1", "day": "2025-03-01"}
    assert code(user.get(f"{RATES}/estimate", params=wish)) == (404, "RULE_NOT_FOUND")
    assert code(operator.post(f"{RULES}/{version['id']}/approve")) == (409, "CONFLICT")
    assert data(reviewer.post(f"{RULES}/{version['id']}/approve"))["approved_by"] == "reviewer"
    assert code(reviewer.post(f"{RULES}/{version['id']}/approve")) == (409, "CONFLICT")
    assert data(user.get(f"{RATES}/estimate", params=wish))["cost"] == "0.05"
    assert audited(careful_api, "billing_rule.") == [
        ("billing_rule.added", "operator"),
        ("billing_rule.approved", "reviewer"),
    ]


def test_credits_pools_and_budgets_are_told(api: RunningApi, tmp_path: Path) -> None:
    load(api, tmp_path)
    operator, user = api.client("operator"), api.client("user")
    cap = {"payer": "NSF", "amount": "2.00", "currency": "USD", "window": "month", "scope": {"projects": ["genome"]}}
    data(operator.post(f"{BASE}/credits", json={"name": "cap", "definition": cap}), 201)
    pool = {"method": "even", "scope": {"services": ["Quantum"]}}
    data(operator.post(f"{BASE}/pools", json={"name": "shared", "definition": pool}), 201)
    fund = {"fund_org": ADA["fund_org"], "budget": "100.00", "currency": "USD"}
    data(operator.post(f"{BASE}/funds", json=fund), 201)
    data(operator.post(f"{RULES}/run", json={"period": "2025-03"}))
    (credit,) = data(user.get(f"{BASE}/credits", params={"period": "2025-03"}))["items"]
    assert (credit["paid"], credit["balances"][0]["left"]) == ("2.00", "0.00")
    paid = data(user.get(f"{BASE}/credits/paid", params={"payer": "NSF"}))
    assert (paid["totals"], paid["rows"][0]["pi_email"]) == ({"USD": "2.00"}, ADA["pi_email"])
    (shared,) = data(user.get(f"{BASE}/pools/2025-03"))["pools"]
    assert (shared["pool"], shared["taken"], shared["left"]) == ("shared", "40.00", "0.00")
    (budget,) = data(user.get(f"{BASE}/budgets"))["budgets"]
    assert (budget["fund_org"], budget["budget"]) == (ADA["fund_org"], "100.00")
    assert data(operator.post(f"{BASE}/budgets/check"))["told"] == 0


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"payer": "x"},
        {"payer": "x", "percent": 50.5},
        {"payer": "x", "percent": "101"},
        {"payer": {"a": 1}, "percent": "5"},
        {"payer": "x", "percent": "5", "scope": ["a"]},
        {"payer": "x", "percent": "5", "scope": {"projects": [{"a": "b"}]}},
        {"payer": "x", "percent": "5", "scope": {"everything": True}},
        {"payer": "x", "percent": "5", "order": 10**40},
        {"payer": "x\x00", "percent": "5"},
        {"payer": "\ud800", "percent": "5"},
        {"payer": "x" * 501, "percent": "5"},
        {"payer": "x", "percent": "5", "scope": {"projects": ["a"] * 10_001}},
        {"payer": "x", "percent": "NaN"},
        {"payer": "x", "percent": "5", "else": "?"},
    ],
)
def test_a_definition_that_cannot_be_understood_is_refused(quick_api: RunningApi, definition: dict[str, Any]) -> None:
    body = json.dumps({"kind": "subsidy", "name": "s", "definition": definition})
    operator = quick_api.client("operator")
    answer = operator.post(RULES, content=body, headers={"Content-Type": "application/json"})
    assert code(answer) == (422, "VALIDATION_ERROR")
    assert data(operator.get(RULES))["items"] == []


@pytest.mark.parametrize("part", ["1e999999999", "1/0", "0.4.4", "9" * 100, "1e5%"])
def test_a_part_that_would_be_computed_for_hours_is_refused(quick_api: RunningApi, part: str) -> None:
    said = {"parts": [{"fund_org": "A", "part": part}, {"fund_org": "B", "part": "1/2"}]}
    body = {"kind": "split", "name": "s", "definition": said}
    assert code(quick_api.client("operator").post(RULES, json=body)) == (422, "VALIDATION_ERROR")


def test_a_bound_user_gets_the_own_charges_explained_and_the_own_price(quick_api: RunningApi, tmp_path: Path) -> None:
    ids = load(quick_api, tmp_path)
    operator, client = quick_api.client("operator"), bound(quick_api)
    data(operator.post(RATES, json=CPU), 201)
    assert data(client.get(f"{RULES}/explain/{ids['a-1']}"))["id"] == ids["a-1"]
    assert code(client.get(f"{RULES}/explain/{ids['b-1']}")) == (404, "CHARGE_NOT_FOUND")
    wish = {"service": "HPC cpu", "quantity": "10", "day": "2025-03-01", "rate_class": "commercial"}
    assert data(client.get(f"{RATES}/estimate", params=wish))["rate_class"] == "internal"
    for path in ("/rules", "/rates", "/credits", "/credits/paid", "/pools/2025-03", "/budgets"):
        assert client.get(BASE + path).status_code == 403, path
    assert client.post(RULES, json={}).status_code == 403
