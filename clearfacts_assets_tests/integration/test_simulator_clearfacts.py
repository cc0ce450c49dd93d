"""The simulated Clearfacts and Slack: what they accept, what they refuse, and what they remember."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from datetime import date

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from clearfacts_assets.simulator.control import MOST_IN_A_PAGE
from clearfacts_assets.simulator.filing import FILE_LIMIT
from clearfacts_assets.simulator.generator import Kind
from clearfacts_assets.simulator.http import BODY_LIMIT
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

DAY = date(2026, 10, 14)
RECEIVER = RECEIVERS[0].number
UPLOAD = (
    "mutation upload($vatNumber: String!, $fileName: String!, $invoiceType: InvoiceTypeArgument!) "
    "{ uploadFile(vatnumber: $vatNumber, filename: $fileName, invoicetype: $invoiceType) { uuid, amountOfPages } }"
)


@pytest.fixture
def clearfacts(simulator: RunningSimulator):
    headers = {"Authorization": f"Bearer {simulator.clearfacts_token}"}
    with httpx.Client(base_url=simulator.clearfacts_url, headers=headers, timeout=300) as client:
        yield client


@pytest.fixture
def document(simulator: RunningSimulator) -> bytes:
    entry = next(entry for entry in simulator.generator.entries(DAY) if entry.kind is Kind.VALID)
    return simulator.generator.document(entry).encode()


def upload(
    clearfacts: httpx.Client, content: bytes, kind: str = "application/xml", **changed: object
) -> httpx.Response:
    variables = {"vatNumber": RECEIVER, "fileName": "f.xml", "invoiceType": "PURCHASE", **changed}
    return clearfacts.post(
        "/graphql",
        data={"query": UPLOAD, "variables": json.dumps(variables)},
        files={"file": ("f.xml", content, kind)},
        headers={"X-Correlation-ID": "c-1"},
    )


def query(clearfacts: httpx.Client, text: str, **variables: object) -> dict:
    answer = clearfacts.post("/graphql", json={"query": text, "variables": variables})
    assert answer.status_code == 200
    return answer.json()


def post(clearfacts: httpx.Client, document: bytes, key: str = "k-1", **changed: object) -> httpx.Response:
    body = {
        "administration": f"BE{RECEIVER}",
        "invoice_type": "PURCHASE",
        "file_name": "f.xml",
        "content": base64.b64encode(document).decode(),
        **changed,
    }
    return clearfacts.post("/invoices", json=body, headers={"Idempotency-Key": key, "X-Correlation-ID": "c-2"})


def code(answer: httpx.Response) -> str:
    return answer.json()["errors"][0]["extensions"]["code"]


def test_an_upload_is_accepted_and_listed_with_all_that_identifies_it(clearfacts, simulator, document):
    filed = upload(clearfacts, document).json()["data"]["uploadFile"]
    assert filed["amountOfPages"] == 1
    (listed,) = simulator.accepted()
    assert uuid.UUID(listed.pop("uuid")) == uuid.UUID(filed["uuid"])
    assert listed.pop("time").endswith("Z")
    number = document.decode().partition("<cbc:ID>")[2].partition("<")[0]
    supplier = document.decode().partition("<cac:PartyTaxScheme><cbc:CompanyID>")[2].partition("<")[0]
    receiver = document.decode().rpartition("<cac:PartyTaxScheme><cbc:CompanyID>")[2].partition("<")[0]
    assert listed == {
        "order": 1,
        "transport": "graphql",
        "administration": f"BE{RECEIVER}",
        "invoice_type": "PURCHASE",
        "file_name": "f.xml",
        "size": len(document),
        "sha256": hashlib.sha256(document).hexdigest(),
        "document_type": "invoice",
        "document_number": number,
        "issue_year": 2026,
        "supplier": supplier,
        "receiver": receiver,
        "idempotency_key": None,
        "request_sha256": "",
        "correlation_id": "c-1",
    }


def test_graphql_accepts_the_same_document_as_often_as_it_is_sent(clearfacts, simulator, document):
    first, second = (upload(clearfacts, document).json()["data"]["uploadFile"]["uuid"] for _ in range(2))
    assert first != second
    assert [listed["order"] for listed in simulator.accepted()] == [1, 2]


@pytest.mark.parametrize("content", [b"<html/>", b"\x00\xff", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"])
def test_a_document_is_never_judged_by_its_content(clearfacts, simulator, content):
    assert upload(clearfacts, content).json()["data"]["uploadFile"]["uuid"]
    assert simulator.accepted()[0]["document_number"] is None


@pytest.mark.parametrize(
    ("content", "kind", "changed", "expected"),
    [
        (b"<a/>", "application/xml", {"vatNumber": "BE0123456749"}, "UNKNOWN_ADMINISTRATION"),
        (b"<a/>", "text/html", {}, "UNSUPPORTED_FILE"),
        (b"", "application/xml", {}, "INVALID_FILE"),
        (b"a" * (FILE_LIMIT + 1), "application/xml", {}, "FILE_TOO_LARGE"),
    ],
)
def test_a_refusal_is_a_graphql_error_with_a_code_and_http_200(clearfacts, simulator, content, kind, changed, expected):
    answer = upload(clearfacts, content, kind, **changed)
    assert (answer.status_code, code(answer)) == (200, expected)
    assert answer.json()["data"] == {"uploadFile": None}
    assert simulator.accepted() == []


def test_an_upload_without_its_file_is_refused(clearfacts):
    variables = {"vatNumber": RECEIVER, "fileName": "f.xml", "invoiceType": "SALE"}
    answer = clearfacts.post("/graphql", data={"query": UPLOAD, "variables": json.dumps(variables)})
    assert code(answer) == "INVALID_FILE"


@pytest.mark.parametrize("changed", [{"invoiceType": "PURSE"}, {"vatNumber": None}, {"fileName": 3}])
def test_variables_are_checked_against_the_schema(clearfacts, simulator, changed):
    answer = upload(clearfacts, b"<a/>", **changed)
    assert answer.status_code == 200
    assert answer.json()["errors"]
    assert simulator.accepted() == []


def test_queries_are_checked_against_the_schema(clearfacts):
    assert query(clearfacts, "{ administrations { name shoeSize } }")["errors"][0]["message"].count("shoeSize")
    assert query(clearfacts, "{ administrations { name ")["errors"]


@pytest.mark.parametrize(
    "request_", [{"content": b"{"}, {"json": []}, {"json": {"query": ""}}, {"data": {"variables": "{}"}}]
)
def test_what_is_no_graphql_request_is_400(clearfacts, request_):
    headers = {"Content-Type": "application/json"} if "content" in request_ else {}
    assert clearfacts.post("/graphql", headers=headers, **request_).status_code == 400


def test_the_administrations_are_the_receivers_of_the_invoices(clearfacts, simulator):
    text = "query { administrations { name companyNumber address { country { iso2 } } } }"
    rows = query(clearfacts, text)["data"]["administrations"]
    assert {row["companyNumber"] for row in rows} == {company.number for company in RECEIVERS}
    assert rows[0]["address"] == {"country": {"iso2": "BE"}}
    simulator.add_administration("BE 0123.456.749")
    assert upload(clearfacts, b"<a/>", vatNumber="0123456749").json()["data"]["uploadFile"]
    one = query(clearfacts, '{ administration(companyNumber: "BE0123456749") { companyNumber } }')
    assert one == {"data": {"administration": {"companyNumber": "0123456749"}}}


def test_a_filed_document_can_be_asked_for(clearfacts, document):
    filed = upload(clearfacts, document).json()["data"]["uploadFile"]["uuid"]
    text = "query d($id: ID!) { document(id: $id) { date ... on InvoiceDocument { type paymentState } } }"
    found = query(clearfacts, text, id=filed)["data"]["document"]
    assert (found["type"], found["paymentState"]) == ("PURCHASE", "UNPAID")
    date.fromisoformat(found["date"])
    assert query(clearfacts, text, id=str(uuid.uuid4()))["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


def test_a_form_may_ask_too(clearfacts):
    answer = clearfacts.post("/graphql", data={"query": "{ administrations { name } }"})
    assert len(answer.json()["data"]["administrations"]) == len(RECEIVERS)


@pytest.mark.parametrize("path", ["/graphql", "/invoices", "/oauth2-server/userinfo"])
def test_nothing_is_answered_without_the_right_token(simulator, path):
    method = "GET" if "userinfo" in path else "POST"
    answer = httpx.request(method, simulator.clearfacts_url + path, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "UNAUTHENTICATED"


def test_userinfo_names_the_owner_of_the_token(clearfacts):
    assert clearfacts.get("/oauth2-server/userinfo").json()["username"] == "simulator"


def test_rest_replays_the_first_answer_for_the_same_key_and_body(clearfacts, simulator, document):
    first, second = post(clearfacts, document), post(clearfacts, document)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    (listed,) = simulator.accepted()
    assert (listed["transport"], listed["idempotency_key"], listed["correlation_id"]) == ("rest", "k-1", "c-2")
    assert listed["sha256"] == hashlib.sha256(document).hexdigest()


def test_rest_refuses_the_same_key_with_another_body(clearfacts, simulator, document):
    post(clearfacts, document)
    answer = post(clearfacts, document + b" ")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(simulator.accepted()) == 1


def test_rest_is_asked_what_became_of_a_key(clearfacts, document):
    filed = post(clearfacts, document, "k-7").json()
    found = clearfacts.get("/invoices", params={"idempotency_key": "k-7"}).json()
    assert found == {"invoices": [filed]}
    assert clearfacts.get("/invoices", params={"idempotency_key": "k-8"}).json() == {"invoices": []}
    assert clearfacts.get("/invoices").status_code == 400


@pytest.mark.parametrize(
    ("changed", "status", "expected"),
    [
        ({"administration": "BE0123456749"}, 422, "UNKNOWN_ADMINISTRATION"),
        ({"invoice_type": "GIFT"}, 422, "INVALID_INVOICE_TYPE"),
        ({"content": "no base64!"}, 400, "INVALID_REQUEST"),
        ({"content": 1}, 400, "INVALID_REQUEST"),
        ({"more": "text"}, 400, "INVALID_REQUEST"),
    ],
)
def test_rest_refuses_in_the_documented_form_and_keeps_no_key(clearfacts, simulator, changed, status, expected):
    answer = post(clearfacts, b"<a/>", **changed)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, expected)
    assert error["details"] == {"status_code": status, "retry_count": 0, "next_retry_at": None}
    assert simulator.accepted() == []
    assert post(clearfacts, b"<a/>").status_code == 201


def test_rest_wants_an_idempotency_key(clearfacts):
    answer = clearfacts.post("/invoices", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")


def test_a_request_beyond_every_limit_is_413(clearfacts):
    assert clearfacts.post("/graphql", content=b"x" * (BODY_LIMIT + 1)).status_code == 413


def test_the_accepted_list_is_paged(clearfacts, simulator):
    for number in range(5):
        upload(clearfacts, b"<a/>", fileName=f"{number}.xml")
    page = httpx.get(f"{simulator.url}/simulator/accepted", params={"after": 1, "limit": 2}).json()
    assert [row["file_name"] for row in page["accepted"]] == ["1.xml", "2.xml"]
    assert (page["total"], page["next"]) == (5, 3)
    assert len(simulator.accepted()) == 5
    bad = httpx.get(f"{simulator.url}/simulator/accepted", params={"limit": MOST_IN_A_PAGE + 1})
    assert bad.status_code == 400


def test_slack_keeps_what_its_own_client_sends(simulator):
    slack = WebClient(token=simulator.slack_token, base_url=simulator.slack_url)
    assert slack.auth_test()["ok"] is True
    sent = slack.chat_postMessage(channel="#invoices", text="2 failed", blocks=[{"type": "divider"}])
    assert sent["ok"] is True
    (message,) = simulator.slack_messages()
    assert (message["channel"], message["text"]) == ("#invoices", "2 failed")
    form = {"token": simulator.slack_token, "channel": "#invoices", "text": "as a form"}
    assert httpx.post(f"{simulator.slack_url}chat.postMessage", data=form).json()["ok"] is True
    assert [message["order"] for message in simulator.slack_messages()] == [1, 2]


def test_slack_refuses_with_http_200(simulator):
    stranger = WebClient(token="xoxb-wrong", base_url=simulator.slack_url)
    with pytest.raises(SlackApiError) as refused:
        stranger.chat_postMessage(channel="#invoices", text="hello")
    assert (refused.value.response.status_code, refused.value.response["error"]) == (200, "invalid_auth")
    slack = WebClient(token=simulator.slack_token, base_url=simulator.slack_url)
    with pytest.raises(SlackApiError, match="no_text"):
        slack.api_call("chat.postMessage", json={"channel": "#invoices"})
    with pytest.raises(SlackApiError, match="unknown_method"):
        slack.users_list()
    assert simulator.slack_messages() == []


def test_reset_forgets_everything(clearfacts, simulator, document):
    post(clearfacts, document)
    simulator.add_administration("BE0123456749")
    simulator.fault("erp", "down")
    simulator.inject("X", "2026-10-14T00:00:00Z", "<x/>")
    WebClient(token=simulator.slack_token, base_url=simulator.slack_url).chat_postMessage(channel="#a", text="b")
    simulator.reset()
    assert (simulator.accepted(), simulator.slack_messages(), simulator.faults(), simulator.calls()) == ([], [], {}, {})
    assert post(clearfacts, document + b" ").status_code == 201
    assert code(upload(clearfacts, b"<a/>", vatNumber="0123456749")) == "UNKNOWN_ADMINISTRATION"
