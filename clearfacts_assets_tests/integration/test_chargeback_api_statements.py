"""Statements, their mails and disputes over the API: what the commands do, for whom it may be, and on record."""

from __future__ import annotations

import csv
import hashlib
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearfacts_assets.simulator.mail import MailFault, MailServer
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import ADA, row, write
from clearfacts_assets_tests.fixtures.chargeback_api import ALAN, BASE, audited, bound, code, data, load, upload

STATEMENTS, EMAILS, DISPUTES = f"{BASE}/statements", f"{BASE}/emails", f"{BASE}/disputes"
ADAS, ALANS = "S-2025-03-0001", "S-2025-03-0002"
PERIOD = {"period": "2025-03"}


def issue(api: RunningApi, folder: Path) -> dict[str, int]:
    """The month of two investigators: closed, and its statements issued by the reviewer."""
    ids = load(api, folder)
    data(api.client("operator").post(f"{BASE}/review/reject", json={"ids": [ids["c-1"]]}))
    data(api.client("operator").post(f"{BASE}/periods/2025-03/close", json={}))
    data(api.client("reviewer").post(f"{STATEMENTS}/generate", json=PERIOD))
    return ids


def test_a_month_is_rehearsed_issued_once_and_looked_at(api: RunningApi, tmp_path: Path) -> None:
    load(api, tmp_path)
    operator, reviewer, user = (api.client(role) for role in ("operator", "reviewer", "user"))
    assert code(reviewer.post(f"{STATEMENTS}/generate", json={"period": "2025-02"})) == (404, "PERIOD_NOT_FOUND")
    assert code(reviewer.post(f"{STATEMENTS}/generate", json=PERIOD)) == (409, "PERIOD_NOT_ALLOWED")
    data(operator.post(f"{BASE}/review/reject", json={**PERIOD, "all": True}))
    data(operator.post(f"{BASE}/periods/2025-03/close", json={}))
    rehearsed = data(reviewer.post(f"{STATEMENTS}/generate", json={**PERIOD, "dry_run": True}))
    assert (len(rehearsed["new"]), rehearsed["difference"]) == (2, {"USD": "43.30"})
    assert data(user.get(STATEMENTS))["items"] == []
    issued = data(reviewer.post(f"{STATEMENTS}/generate", json=PERIOD))
    assert (issued["new"], issued["problems"]) == ([ADAS, ALANS], [])
    assert issued["tie_out"] == data(user.get(f"{STATEMENTS}/tie-out", params=PERIOD))["tie_out"]
    assert [(one["printed"], one["balanced"]) for one in issued["tie_out"]] == [("43.30", True)]
    again = data(reviewer.post(f"{STATEMENTS}/generate", json=PERIOD))
    assert (again["new"], again["corrected"], again["unchanged"]) == ([], [], 2)
    page = data(user.get(STATEMENTS, params={"limit": 1}))
    rest = data(user.get(STATEMENTS, params={"limit": 1, "cursor": page["next_cursor"]}))
    assert [one["number"] for one in (*page["items"], *rest["items"])] == [ADAS, ALANS]
    assert rest["next_cursor"] is None
    assert code(user.get(STATEMENTS, params={"cursor": "x"})) == (400, "INVALID_CURSOR")
    (alans,) = data(user.get(STATEMENTS, params={"subject": ALAN["pi_email"], "period": "2025-03"}))["items"]
    assert (alans["number"], alans["due"], alans["currency"], alans["state"]) == (ALANS, "40.00", "USD", "issued")
    shown = data(user.get(f"{STATEMENTS}/{ADAS}"))
    assert (shown["due"], [one["event"] for one in shown["events"]]) == ("3.30", ["issued"])
    same = data(user.post(f"{STATEMENTS}/recompute", json=PERIOD))
    assert (len(same["statements"]), same["different"]) == (2, 0)
    assert audited(api, "chargeback_statement") == [("chargeback_statements.issued", "reviewer")]


def test_the_very_pdf_that_was_issued_and_its_lines_are_downloaded(api: RunningApi, tmp_path: Path) -> None:
    ids = issue(api, tmp_path)
    reviewer, viewer = api.client("reviewer"), api.client("user")
    shown = data(reviewer.get(f"{STATEMENTS}/{ADAS}"))
    pdf = reviewer.get(f"{STATEMENTS}/{ADAS}/pdf")
    assert (pdf.status_code, pdf.headers["content-type"], pdf.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert hashlib.sha256(pdf.content).hexdigest() == shown["pdf_sha256"]
    assert pdf.headers["content-disposition"] == f'attachment; filename="{shown["file_name"]}"'
    lines = reviewer.get(f"{STATEMENTS}/{ADAS}/lines", params={"version": 1})
    told = {int(one["charge"]): one["due"] for one in csv.DictReader(io.StringIO(lines.text))}
    assert told == {ids["a-1"]: "1.10", ids["a-2"]: "2.20"}
    for name in ("pdf", "lines"):
        assert code(viewer.get(f"{STATEMENTS}/{ADAS}/{name}")) == (403, "FORBIDDEN")
        assert code(reviewer.get(f"{STATEMENTS}/S-2025-03-0009/{name}")) == (404, "STATEMENT_NOT_FOUND")
    assert code(viewer.get(f"{BASE}/charges/export")) == (403, "FORBIDDEN")


def test_a_correction_names_its_difference_and_a_void_frees_its_charges(api: RunningApi, tmp_path: Path) -> None:
    issue(api, tmp_path)
    operator, reviewer = api.client("operator"), api.client("reviewer")
    data(operator.post(f"{BASE}/periods/2025-03/reopen", json={"reason": "a row was missing"}))
    more = write(tmp_path / "more.csv", [row(BilledCost="6.70", ResourceId="a-3")])
    data(upload(operator, more, source="aws", mode="append"))
    data(operator.post(f"{BASE}/periods/2025-03/close", json={}))
    corrected = data(reviewer.post(f"{STATEMENTS}/generate", json=PERIOD))
    assert (corrected["corrected"], corrected["difference"]) == ([ADAS], {"USD": "6.70"})
    told = data(reviewer.get(f"{STATEMENTS}/{ADAS}/diff"))["difference"]
    assert told[-1] == {"what": "in all", "before": "3.30", "now": "10.00", "difference": "6.70"}
    states = data(reviewer.get(STATEMENTS, params={"state": ["corrected", "issued"]}))["items"]
    assert [(one["number"], one["version"]) for one in states] == [(ADAS, 1), (ALANS, 1), (ADAS, 2)]
    assert code(reviewer.post(f"{STATEMENTS}/{ALANS}/void", json={"reason": " "})) == (422, "VALIDATION_ERROR")
    void = data(reviewer.post(f"{STATEMENTS}/{ALANS}/void", json={"reason": "wrong person"}))
    assert (void["number"], void["state"]) == (ALANS, "voided")
    assert code(reviewer.post(f"{STATEMENTS}/{ALANS}/void", json={"reason": "x"})) == (409, "STATEMENT_NOT_ALLOWED")
    assert code(reviewer.post(f"{STATEMENTS}/{ADAS}/accept")) == (409, "STATEMENT_NOT_ALLOWED")
    assert data(reviewer.post(f"{STATEMENTS}/generate", json=PERIOD))["new"] == [ALANS]
    wish = {"pi_email": ADA["pi_email"], "year": "2025"}
    assert data(reviewer.post(f"{STATEMENTS}/year", json=wish))["new"] == ["Y-2025-0001"]
    nobody = {"pi_email": "nobody@x.edu", "year": "2025"}
    assert code(reviewer.post(f"{STATEMENTS}/year", json=nobody)) == (409, "CONFLICT")
    assert audited(api, "chargeback_statement.") == [("chargeback_statement.voided", "reviewer")]


def test_an_investigator_sees_downloads_and_objects_to_the_own_statements_only(api: RunningApi, tmp_path: Path) -> None:
    issue(api, tmp_path)
    reviewer, client = api.client("reviewer"), bound(api)
    assert [one["number"] for one in data(client.get(STATEMENTS))["items"]] == [ADAS]
    for which in ({"subject": ALAN["pi_email"]}, {"kind": "sponsor"}, {"state": "draft"}):
        assert data(client.get(STATEMENTS, params=which))["items"] == [], which
    assert data(client.get(f"{STATEMENTS}/{ADAS}"))["events"] == []
    assert client.get(f"{STATEMENTS}/{ADAS}/pdf").content[:5] == b"%PDF-"
    assert client.get(f"{STATEMENTS}/{ADAS}/lines").status_code == 200
    for path in ("", "/pdf", "/lines", "/diff", "?version=1"):
        assert code(client.get(f"{STATEMENTS}/{ALANS}{path}")) == (404, "STATEMENT_NOT_FOUND"), path
    assert code(client.get(f"{STATEMENTS}/{ADAS}/diff")) == (404, "STATEMENT_NOT_FOUND")  # there is one version
    remark = {"number": ADAS, "line": 1, "text": "the disk was deleted in February"}
    key = {"Idempotency-Key": "remark-1"}
    first = data(client.post(DISPUTES, json=remark, headers=key), 201)
    assert data(client.post(DISPUTES, json=remark, headers=key), 201) == first
    reused = client.post(DISPUTES, json={**remark, "line": None}, headers=key)
    assert code(reused) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert code(client.post(DISPUTES, json={**remark, "number": ALANS})) == (404, "STATEMENT_NOT_FOUND")
    assert code(client.post(DISPUTES, json={**remark, "line": 99})) == (409, "DISPUTE_NOT_ALLOWED")
    answer = {"verdict": "declined", "text": "it was deleted on 14 March"}
    assert code(client.post(f"{DISPUTES}/{first['id']}/answer", json=answer)) == (403, "FORBIDDEN")
    (waiting,) = data(reviewer.get(DISPUTES, params={"open": True}))["items"]
    assert (waiting["number"], waiting["line"], waiting["actor"], waiting["verdict"]) == (ADAS, 1, "bound", None)
    data(reviewer.post(f"{DISPUTES}/{first['id']}/answer", json=answer))
    assert code(reviewer.post(f"{DISPUTES}/{first['id']}/answer", json=answer)) == (409, "DISPUTE_NOT_ALLOWED")
    assert code(reviewer.post(f"{DISPUTES}/99/answer", json=answer)) == (404, "DISPUTE_NOT_FOUND")
    (answered,) = data(client.get(DISPUTES))["items"]
    assert (answered["verdict"], answered["answered_by"]) == ("declined", "reviewer")
    data(reviewer.post(DISPUTES, json={"number": ALANS, "text": "by telephone"}), 201)
    assert len(data(client.get(DISPUTES))["items"]) == 1
    assert audited(api, "chargeback_statement.") == [
        ("chargeback_statement.objected", "bound"),
        ("chargeback_statement.answered", "reviewer"),
        ("chargeback_statement.objected", "reviewer"),
    ]
    posts = ("generate", "year", f"{ADAS}/void", f"{ADAS}/accept", "recompute")
    assert [client.post(f"{STATEMENTS}/{one}", json={}).status_code for one in posts] == [403] * 5
    assert [client.get(EMAILS + one).status_code for one in ("", "/1", "/preview?period=2025-03")] == [403] * 3


def test_a_draft_is_nothing_to_an_investigator(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    operator = quick_api.client("operator")
    data(operator.post(f"{BASE}/periods/2025-03/close", json={}))
    data(operator.post(f"{STATEMENTS}/generate", json={**PERIOD, "draft": True}))
    assert {one["state"] for one in data(operator.get(STATEMENTS))["items"]} == {"draft"}
    client = bound(quick_api)
    assert data(client.get(STATEMENTS, params={"state": ["draft", "voided"]}))["items"] == []
    assert code(client.get(f"{STATEMENTS}/{ADAS}", params={"version": 0})) == (404, "STATEMENT_NOT_FOUND")
    data(operator.post(f"{STATEMENTS}/{ADAS}/void", json={"reason": "no"}))
    assert data(client.get(STATEMENTS, params={"state": ["draft", "voided"]}))["items"] == []
    assert code(client.get(f"{STATEMENTS}/{ADAS}/pdf")) == (404, "STATEMENT_NOT_FOUND")
    for wrong in ({"kind": "year"}, {"kind": "sponsor", "draft": True}, {"kind": "nobody"}, {"period": "2025"}):
        answer = operator.post(f"{STATEMENTS}/generate", json=PERIOD | wrong)
        assert code(answer) == (422, "VALIDATION_ERROR"), wrong


@pytest.fixture
def graceful_api(
    product_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> RunningApi:
    """Where statements are first proposed."""
    monkeypatch.setenv("CLEARFACTS_STATEMENTS__GRACE", "true")
    found: RunningApi = request.getfixturevalue("quick_api")
    return found


def test_what_is_proposed_is_issued_by_a_yes(graceful_api: RunningApi, tmp_path: Path) -> None:
    issue(graceful_api, tmp_path)
    reviewer = graceful_api.client("reviewer")
    assert data(reviewer.get(f"{STATEMENTS}/{ADAS}"))["state"] == "proposed"
    assert data(reviewer.post(f"{STATEMENTS}/{ADAS}/accept"))["state"] == "issued"
    assert audited(graceful_api, "chargeback_statement.") == [("chargeback_statement.accepted", "reviewer")]


def test_others_are_answered_while_a_month_is_being_issued(api: RunningApi, tmp_path: Path) -> None:
    """The ledger is held by somebody else, so that the work cannot end before we let it."""
    issue(api, tmp_path)
    reviewer, user, done = api.client("reviewer"), api.client("user"), []
    with api.engine.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("SELECT 1")  # SQLite's transactions are its writer's from their beginning
        only_writer(connection)
        bodies = [{**PERIOD}, {**PERIOD, "kind": "department"}]
        asking = [
            threading.Thread(target=lambda body=body: done.append(reviewer.post(f"{STATEMENTS}/generate", json=body)))
            for body in bodies
        ]
        for one in asking:
            one.start()
        while api.under_way < 2:
            time.sleep(0.005)
        assert len(data(user.get(STATEMENTS))["items"]) == 2
        assert user.get(f"{BASE}/periods").status_code == 200
        assert done == []
        transaction.rollback()
    for one in asking:
        one.join()
    assert sorted(data(one)["kind"] for one in done) == ["department", "investigator"]


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def mailing(
    mail_server: MailServer,
    product_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> RunningApi:
    """An API with a mail server behind it."""
    mail_server.room.clear()
    for name, value in mail_server.environment().items():
        monkeypatch.setenv(name, value)
    found: RunningApi = request.getfixturevalue("quick_api")
    return found


def test_mails_are_looked_at_sent_once_and_sent_again_knowingly(
    mailing: RunningApi, mail_server: MailServer, tmp_path: Path
) -> None:
    issue(mailing, tmp_path)
    reviewer, user = mailing.client("reviewer"), mailing.client("user")
    previews = data(user.get(f"{EMAILS}/preview", params=PERIOD))["items"]
    assert [(one["to"], len(one["files"]), "3.30" in one["text"]) for one in previews] == [
        (ADA["pi_email"], 1, True),
        (ALAN["pi_email"], 1, False),
    ]
    would = data(reviewer.post(f"{EMAILS}/send", json={**PERIOD, "dry_run": True}))
    assert (would["would_send"], mail_server.room.taken) == ({ADA["pi_email"]: [ADAS], ALAN["pi_email"]: [ALANS]}, [])
    sent = data(reviewer.post(f"{EMAILS}/send", json=PERIOD))
    assert (sent["wanted"], sent["sent"], len(mail_server.room.taken)) == (2, 2, 2), sent
    assert data(reviewer.post(f"{EMAILS}/send", json=PERIOD))["sent"] == 0
    mail_server.room.faults.append(MailFault("accept_then_drop"))
    key = {"Idempotency-Key": "again-1"}
    again = data(reviewer.post(f"{EMAILS}/1/resend", json={"to": "office@bio.example.edu"}, headers=key))
    assert (again["id"], again["repeats"], again["unknown"]) == (3, 1, 1)
    repeated = data(reviewer.post(f"{EMAILS}/1/resend", json={"to": "office@bio.example.edu"}, headers=key))
    assert (repeated["id"], len(mail_server.room.taken)) == (3, 3)
    why = {"reason": "she has it"}
    assert data(reviewer.post(f"{EMAILS}/3/confirm", json=why)) == {"id": 3, "state": "sent"}
    assert code(reviewer.post(f"{EMAILS}/3/drop", json=why)) == (409, "EMAIL_NOT_ALLOWED")
    assert data(reviewer.post(f"{EMAILS}/2/bounced", json={"reason": "no such mailbox"}))["state"] == "bounced"
    (bounced,) = data(user.get(EMAILS, params={"state": "bounced"}))["items"]
    assert (bounced["recipient"], bounced["reason"]) == (ALAN["pi_email"], "no such mailbox")
    told = data(user.get(f"{EMAILS}/1"))
    assert (told["statements"], told["history"][-1]["event"]) == ([f"{ADAS} v1"], "resent")
    page = data(user.get(EMAILS, params={"limit": 2}))
    assert [one["id"] for one in page["items"]] == [1, 2]
    assert [one["id"] for one in data(user.get(EMAILS, params={"cursor": page["next_cursor"]}))["items"]] == [3]
    assert code(user.get(f"{EMAILS}/99")) == (404, "EMAIL_NOT_FOUND")
    assert code(reviewer.post(f"{EMAILS}/bounces", json={"message": "hello"})) == (404, "EMAIL_NOT_FOUND")
    report = (
        "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@x\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {told['message_id']}\r\n\r\n--b--\r\n"
    )
    assert data(reviewer.post(f"{EMAILS}/bounces", json={"message": report})) == {"id": 3, "state": "bounced"}
    assert audited(mailing, "chargeback_mail") == [
        ("chargeback_mails.wanted", "reviewer"),
        ("chargeback_mail.resent", "reviewer"),
        ("chargeback_mail.confirmed", "reviewer"),
        ("chargeback_mail.bounced", "reviewer"),
        ("chargeback_mail.bounced", "reviewer"),
    ]


def test_without_a_mail_server_mails_wait_and_delegates_are_named(quick_api: RunningApi, tmp_path: Path) -> None:
    issue(quick_api, tmp_path)
    operator = quick_api.client("operator")
    delegate = {"pi_email": ADA["pi_email"], "delegate": "lab@bio.example.edu"}
    assert data(operator.post(f"{EMAILS}/delegates", json=delegate))["copies"] is True
    wrong = {**delegate, "delegate": "no..address@x"}
    assert code(operator.post(f"{EMAILS}/delegates", json=wrong)) == (422, "VALIDATION_ERROR")
    waiting = data(operator.post(f"{EMAILS}/send", json=PERIOD))
    assert (waiting["wanted"], waiting["sent"], waiting["stopped"]) == (2, 0, "email.host is not set: the mails wait")
    (adas,) = data(operator.get(EMAILS, params={"to": ADA["pi_email"]}))["items"]
    assert (adas["state"], adas["copies"]) == ("ready", ["lab@bio.example.edu"])
    assert code(operator.post(f"{EMAILS}/send", json={"dry_run": True})) == (422, "VALIDATION_ERROR")
    assert data(operator.post(f"{EMAILS}/{adas['id']}/drop", json={"reason": "by hand"}))["state"] == "dropped"
    assert audited(quick_api, "chargeback_investigators.delegate") == [
        ("chargeback_investigators.delegate_added", "operator")
    ]
