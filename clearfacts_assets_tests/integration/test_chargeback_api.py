"""The API of chargeback over real HTTP, on SQLite and PostgreSQL: a month from files to a sealed period."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

from sqlalchemy import select

from clearfacts_assets.storage.accounts.tables import AuditLog
from clearfacts_assets.storage.database import reading
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import ADA, SAMPLES, row, write
from clearfacts_assets_tests.fixtures.chargeback_api import BASE, code, data, load, upload

FIRST = SAMPLES / "focus/restated/2025-03-first.csv"
SECOND = SAMPLES / "focus/restated/2025-03-second.csv"


def test_a_month_from_its_files_to_a_sealed_period(api: RunningApi) -> None:
    operator, reviewer = api.client("operator"), api.client("reviewer")
    said = {"source": "aws", "period": "2025-03"}
    looked = data(upload(operator, FIRST, **said, dry_run="true"))
    assert (looked["applied"], looked["import_id"], looked["difference"]["2025-03"]["new"]["rows"]) == (False, None, 22)
    assert data(operator.get(f"{BASE}/sources"))["items"] == []  # a dry run leaves nothing
    done = data(upload(operator, FIRST, **said))
    assert (done["applied"], done["rows"], done["refused"]) == (True, 22, 0)
    assert data(upload(operator, FIRST, **said))["unchanged"]
    shown = data(operator.get(f"{BASE}/periods/2025-03"))
    names = ["charges", "list", "billed", "discount", "flagged", "rejected", "by_source", "by_pi", "by_project"]
    assert {name: shown[name] for name in names} == {name: shown["totals"]["USD"][name] for name in names}
    assert (shown["charges"], shown["billed"], shown["currency"]) == (22, "344424.3875295321450740", "USD")
    assert shown["basis"] == {"aws": "billed"}
    reconciled = data(operator.get(f"{BASE}/reconcile/2025-03"))
    assert reconciled["balanced"]
    (tied,) = reconciled["sources"]
    assert (tied["source"], tied["due"], Decimal(tied["unexplained"])) == ("aws", shown["due"], 0)
    period = f"{BASE}/periods/2025-03"
    assert code(operator.post(f"{period}/finalize", json={})) == (409, "PERIOD_NOT_ALLOWED")
    assert code(operator.post(f"{period}/reopen", json={"reason": "x"})) == (409, "PERIOD_NOT_ALLOWED")
    assert data(operator.post(f"{period}/close", json={}))["state"] == "closed"
    assert code(upload(operator, SECOND, **said)) == (409, "PERIOD_NOT_ALLOWED")
    assert code(operator.post(f"{period}/reopen", json={"reason": " "})) == (422, "VALIDATION_ERROR")
    assert data(operator.post(f"{period}/reopen", json={"reason": "late credits"}))["state"] == "open"
    data(operator.post(f"{period}/close", json={"reason": "all is here"}))
    sealed = data(reviewer.post(f"{period}/finalize", json={}))
    chain = data(reviewer.get(f"{BASE}/periods/verify"))
    assert (chain["broken"], chain["periods"][0]["hash"]) == (0, sealed["hash"])
    events = data(operator.get(period))["events"]
    assert [(one["event"], one["actor"]) for one in events[1:]] == [
        ("reopen", "operator"),
        ("close", "operator"),
        ("finalize", "reviewer"),
    ]
    assert data(upload(operator, SECOND, **said))["difference"]["2025-03"]["posted"] == "2025-04"
    assert code(operator.get(f"{BASE}/periods/1999-01")) == (404, "PERIOD_NOT_FOUND")


def test_who_closed_a_period_may_be_kept_from_finalizing_it(api: RunningApi, tmp_path: Path) -> None:
    known = api.app.state.services.configured
    object.__setattr__(
        api.app.state.services,
        "configured",
        known.model_copy(update={"chargeback": known.chargeback.model_copy(update={"two_people": True})}),
    )
    operator = api.client("operator")
    data(upload(operator, write(tmp_path / "aws.csv", [row()])))
    data(operator.post(f"{BASE}/periods/2025-03/close", json={}))
    assert code(operator.post(f"{BASE}/periods/2025-03/finalize", json={})) == (409, "PERIOD_NOT_ALLOWED")
    assert data(api.client("reviewer").post(f"{BASE}/periods/2025-03/finalize", json={}))["state"] == "finalized"


def test_charges_come_in_pages_by_filter_and_with_their_source_line(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    user = api.client("user")
    seen, cursor = [], None
    while True:
        page = data(user.get(f"{BASE}/charges", params={"limit": 3} | ({"cursor": cursor} if cursor else {})))
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(ids.values())

    def found(**which: str | list[str]) -> list[str]:
        return [one["resource_id"] for one in data(user.get(f"{BASE}/charges", params=which))["items"]]

    assert found(pi_email=ADA["pi_email"]) == ["a-1", "a-2"]
    assert found(status=["flagged", "approved"]) == ["c-1"]
    assert found(flag="missing_fund_org") == ["c-1"]
    assert found(search="quant") == ["b-1"]
    assert found(fund_org="MAT-000002", period="2025-03") == ["b-1"]
    one = data(user.get(f"{BASE}/charges/{ids['b-1']}"))
    assert (one["amount"], one["currency"], one["line"], one["file"]) == ("40.0", "USD", 4, "aws_2025-03.csv")
    assert json.loads(one["tags"])["project_id"] == "enigma"
    assert "b-1" in one["original"]["record"]
    assert one["original"]["header"][0] == "BilledCost"
    exported = api.client("reviewer").get(f"{BASE}/charges/export", params={"period": "2025-03"})
    assert exported.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert [(one["resource_id"], one["amount"]) for one in rows] == [
        ("a-1", "1.10"),
        ("a-2", "2.20"),
        ("b-1", "40.0"),
        ("c-1", "500"),
    ]
    assert code(user.get(f"{BASE}/charges/{max(ids.values()) + 1}")) == (404, "CHARGE_NOT_FOUND")
    for wrong in ("x", "-1", "9" * 19, "١"):
        assert code(user.get(f"{BASE}/charges", params={"cursor": wrong})) == (400, "INVALID_CURSOR"), wrong
    assert code(user.get(f"{BASE}/charges", params={"fund": "x"})) == (422, "VALIDATION_ERROR")
    assert code(user.get(f"{BASE}/charges", params={"period": "2025-13"})) == (422, "VALIDATION_ERROR")


def test_refused_rows_are_downloaded_mended_and_added(api: RunningApi, tmp_path: Path) -> None:
    operator = api.client("operator")
    wrong = row(BilledCost="1,5", ContractedCost="1.5", EffectiveCost="1.5", ListCost="1.5")
    file = write(tmp_path / "aws.csv", [row(), wrong])
    strict = upload(operator, file, strict="true")
    assert code(strict) == (422, "COSTS_REFUSED")
    assert strict.json()["error"]["details"]["refusals"][0]["code"] == "ambiguous_comma"
    assert data(operator.get(f"{BASE}/imports"))["items"] == []
    number = data(upload(operator, file))["import_id"]
    text = operator.get(f"{BASE}/imports/{number}/refusals").text
    (said,) = csv.DictReader(io.StringIO(text))
    assert (said["refused_line"], said["refused_column"], said["refused_code"]) == (
        "3",
        "BilledCost",
        "ambiguous_comma",
    )
    mended = write(tmp_path / "mended.csv", [said | {"BilledCost": "1.5"}])
    assert data(upload(operator, mended, source="aws", mode="append"))["rows"] == 1
    assert data(operator.get(f"{BASE}/periods/2025-03"))["billed"] == "2.50"
    page = data(operator.get(f"{BASE}/imports", params={"limit": 1}))
    assert [(one["mode"], one["rows"]) for one in page["items"]] == [("append", 1)]
    (first,) = data(operator.get(f"{BASE}/imports", params={"cursor": page["next_cursor"]}))["items"]
    assert (first["id"], first["refused"]) == (number, 1)
    shown = data(operator.get(f"{BASE}/imports/{number}"))
    assert [(one["name"], one["rows"]) for one in shown["files"]] == [("aws.csv", 1)]
    assert code(operator.get(f"{BASE}/imports/99")) == (404, "IMPORT_NOT_FOUND")
    assert code(operator.get(f"{BASE}/imports/99/refusals")) == (404, "IMPORT_NOT_FOUND")
    assert code(operator.post(f"{BASE}/imports/{number}/withdraw", json={"reason": "x"})) == (409, "CONFLICT")


def test_a_snapshot_that_takes_much_away_asks_first(api: RunningApi, tmp_path: Path) -> None:
    operator = api.client("operator")
    load(api, tmp_path)
    less = write(tmp_path / "aws_2.csv", [row(BilledCost="1.10", ResourceId="a-1", ServiceName="Storage")])
    asked = upload(operator, less, source="aws")
    assert code(asked) == (409, "IMPORT_NOT_CONFIRMED")
    assert asked.json()["error"]["details"]["difference"]["2025-03"]["withdrawn"]["rows"] == 3
    assert data(operator.get(f"{BASE}/periods/2025-03"))["charges"] == 4
    done = data(upload(operator, less, source="aws", yes="true"))
    assert done["difference"]["2025-03"]["withdrawn"]["before"] == {"USD": "542.20"}
    key = {"Idempotency-Key": "back-1"}
    path = f"{BASE}/imports/{done['import_id']}/withdraw"
    for _ in range(2):  # the second one is the same wish again
        assert data(operator.post(path, json={"reason": "wrong file"}, headers=key))["withdrawn"] == 0
    assert code(operator.post(path, json={"reason": "another"}, headers=key)) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert code(operator.post(path, json={"reason": "wrong file"})) == (409, "CONFLICT")


def test_several_files_are_one_delivery(api: RunningApi, tmp_path: Path) -> None:
    one = write(tmp_path / "aws_1.csv", [row(BilledCost="1.00")])
    two = write(tmp_path / "aws_2.csv", [row(BilledCost="2.00")])
    done = data(upload(api.client("operator"), one, two))
    assert (done["source"], done["rows"]) == ("aws", 2)
    assert len(data(api.client("user").get(f"{BASE}/imports/{done['import_id']}"))["files"]) == 2


def test_every_change_is_audited_with_who_did_it(api: RunningApi, tmp_path: Path) -> None:
    ids = load(api, tmp_path)
    operator, reviewer = api.client("operator"), api.client("reviewer")
    data(reviewer.post(f"{BASE}/review/approve", json={"ids": [ids["c-1"]], "note": "the pool pays"}))
    data(operator.post(f"{BASE}/investigators", json={"email": "Eve@x.edu"}), 201)
    data(operator.post(f"{BASE}/periods/2025-03/close", json={}))
    data(operator.put(f"{BASE}/sources", json={"name": "aws", "display_name": "Amazon"}))
    with reading(api.engine) as connection:
        wanted = select(AuditLog.action, AuditLog.user_id, AuditLog.ip_address, AuditLog.details).where(
            AuditLog.resource_type.not_in(["user", "session"])
        )
        found = list(connection.execute(wanted.order_by(AuditLog.position)))
    users = {role: api.callers.user(role).id for role in ("operator", "reviewer")}
    assert [(one.action, one.user_id) for one in found] == [
        ("chargeback_cost_sources.added", users["operator"]),
        ("cost_import.applied", users["operator"]),
        ("charge.approved", users["reviewer"]),
        ("chargeback_investigators.changed", users["operator"]),
        ("billing_period.closed", users["operator"]),
        ("chargeback_cost_sources.changed", users["operator"]),
    ]
    assert all(str(one.ip_address) == "127.0.0.1" and one.details["correlation_id"] for one in found)
