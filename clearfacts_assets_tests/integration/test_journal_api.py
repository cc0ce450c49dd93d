"""Journals over the API: made once, fetched as a file, answered, taken back; who may what."""

from __future__ import annotations

import csv
import io

import pytest

from clearfacts_assets.storage.accounts.audit import entries
from clearfacts_assets_tests.fixtures.chargeback import Books, row
from clearfacts_assets_tests.fixtures.chargeback_api import BASE, code, data
from clearfacts_assets_tests.fixtures.statements import Office

JOURNALS = f"{BASE}/journals"


@pytest.fixture
def month(quick_api, renderer, tmp_path):
    """An API whose ledger has a month of one issued statement."""
    office = Office(Books(quick_api.app.state.services.engine, tmp_path), renderer)
    office.books.put(row(BilledCost="10.00"))
    office.close()
    office.generate()
    services = quick_api.app.state.services
    said = {"credit_fund": "IT-CLOUD", "default_account": "54000"}
    configured = services.configured
    configured = configured.model_copy(update={"journals": configured.journals.model_copy(update=said)})
    object.__setattr__(services, "configured", configured)
    return quick_api


def test_a_journal_is_made_once_fetched_answered_and_taken_back(month):
    reviewer, service = month.client("reviewer"), month.client("service")
    would = data(reviewer.post(JOURNALS, json={"period": "2025-03", "dry_run": True}), 201)["journals"]
    assert [(one["number"], one["state"], one["debit"]) for one in would] == [("J-2025-03-0001", "not kept", "10.00")]
    key = {"Idempotency-Key": "march"}
    made = [data(reviewer.post(JOURNALS, json={"period": "2025-03"}, headers=key), 201) for _ in range(2)]
    assert made[0] == made[1]
    other = reviewer.post(JOURNALS, json={"period": "2025-04"}, headers=key)
    assert code(other) == (422, "IDEMPOTENCY_KEY_REUSED")
    again = reviewer.post(JOURNALS, json={"period": "2025-03"})
    assert (code(again), "never exported twice" in again.json()["error"]["message"]) == ((409, "CONFLICT"), True)
    listed = data(reviewer.get(JOURNALS, params={"period": "2025-03"}))["items"]
    assert [(one["number"], one["state"], one["credit"]) for one in listed] == [("J-2025-03-0001", "exported", "10.00")]
    one = f"{JOURNALS}/J-2025-03-0001"
    assert [entry["fund_org"] for entry in data(reviewer.get(one))["entries"]] == ["BIO-000001", "IT-CLOUD"]
    file = service.get(f"{one}/file", params={"format": "gl"})
    assert (file.status_code, file.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert 'filename="J-2025-03-0001_USD_gl.csv"' in file.headers["content-disposition"]
    assert [each["Debit"] for each in csv.DictReader(io.StringIO(file.text))] == ["10.00", ""]
    assert code(service.get(f"{one}/file", params={"format": "xls"})) == (422, "VALIDATION_ERROR")
    refused = data(service.post(f"{one}/posted", json={"refused": [{"line": 1, "message": "closed"}]}))
    assert refused == {"posted": [], "refused": {"J-2025-03-0001": [{"line": 1, "message": "closed"}]}}
    assert data(reviewer.get(f"{JOURNALS}/check/2025-03"))["done"] is False
    posted = data(service.post(f"{one}/posted", json={"reference": "DOC1"}))
    assert posted["posted"] == ["J-2025-03-0001"]
    assert data(reviewer.get(f"{JOURNALS}/check/2025-03"))["done"] is True
    assert code(reviewer.post(f"{one}/reverse", json={"reason": " "})) == (422, "VALIDATION_ERROR")
    (back,) = data(reviewer.post(f"{one}/reverse", json={"reason": "the wrong month"}))["journals"]
    assert (back["kind"], back["number"]) == ("reversal", "J-2025-03-0002")
    assert code(reviewer.post(f"{one}/reverse", json={"reason": "again"})) == (409, "CONFLICT")
    audited = entries(month.app.state.services.engine, resource_id="J-2025-03-0001").items
    assert [(entry.action, entry.details["actor"]) for entry in audited] == [
        ("chargeback_journal.reversed", "reviewer"),
        ("chargeback_journal.posted", audited[1].details["actor"]),
        ("chargeback_journal.refused", audited[1].details["actor"]),
        ("chargeback_journal.exported", "reviewer"),
    ]


def test_what_is_not_there_and_who_may_not(month):
    reviewer, user = month.client("reviewer"), month.client("user")
    assert code(reviewer.get(f"{JOURNALS}/J-9")) == (404, "JOURNAL_NOT_FOUND")
    assert code(reviewer.get(f"{JOURNALS}/J-9/file")) == (404, "JOURNAL_NOT_FOUND")
    assert code(reviewer.get(JOURNALS, params={"cursor": "x"})) == (400, "INVALID_CURSOR")
    assert code(user.post(JOURNALS, json={"period": "2025-03"})) == (403, "FORBIDDEN")
    draft = {"period": "2025-03", "draft": True}
    (made,) = data(reviewer.post(JOURNALS, json=draft), 201)["journals"]
    one = f"{JOURNALS}/{made['number']}"
    assert code(reviewer.get(f"{one}/file")) == (409, "CONFLICT")
    assert data(reviewer.post(f"{one}/export"))["state"] == "exported"
    assert code(user.get(f"{one}/file")) == (403, "FORBIDDEN")  # who only looks exports no journal
    assert data(user.get(one))["state"] == "exported"
    assert code(reviewer.post(f"{one}/posted", json={"refused": [{"line": 9}]})) == (404, "JOURNAL_NOT_FOUND")
