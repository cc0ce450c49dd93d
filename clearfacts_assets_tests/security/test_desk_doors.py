"""Who gets into which page of the desk: strangers, roles, forged forms, and an investigator who sees nobody else's."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert

from clearfacts_assets.chargeback.statements.making import make
from clearfacts_assets.chargeback.statements.typesetting import TypstRenderer
from clearfacts_assets.desk.routes import ROUTES
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance, IssueOptions
from clearfacts_assets.storage.chargeback.issuing.issuer import StatementIssuer
from clearfacts_assets.storage.chargeback.issuing.repository import StatementFilter, StatementRepository
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import PASSWORD
from clearfacts_assets_tests.fixtures.chargeback import NOW
from clearfacts_assets_tests.fixtures.chargeback_api import load
from clearfacts_assets_tests.fixtures.desk import Person, hidden, investigator, words_of
from clearfacts_assets_tests.fixtures.statements import ORGANISATION, TODAY

ALANS = ("alan@math.example.edu", "enigma", "MAT-000002", "b-1", "Quantum", "40.0")
READS_OF_ALL = [
    "/desk/imports",
    "/desk/imports/1",
    "/desk/imports/1/refusals",
    "/desk/review",
    "/desk/review/log",
    "/desk/periods",
    "/desk/periods/2025-03",
    "/desk/periods/2025-03/reconcile",
    "/desk/statements/remarks",
    "/desk/registry/investigators",
    "/desk/registry/projects",
    "/desk/registry/funds",
    "/desk/rates",
    "/desk/budgets",
    "/desk/emails",
    "/desk/emails/preview",
    "/desk/emails/1",
    "/desk/journals",
    "/desk/journals/check/2025-03",
    "/desk/journals/J-1",
    "/desk/journals/J-1/file",
    "/desk/exceptions",
    "/desk/overrides",
    "/desk/credits",
    "/desk/customers",
    "/desk/emails/delegates",
    "/desk/sources",
    "/desk/statements/generate",
    "/desk/settings",
    "/desk/invoices/ERP-1",
    "/desk/registry",
    "/desk/deliveries/00000000-0000-0000-0000-000000000000",
    "/desk/deliveries",
    "/desk/users",
]
OF_EVERYBODY = {"/desk", "/desk/help", "/desk/static/{name}", "/desk/charges", "/desk/charges/export"}
OF_EVERYBODY |= {"/desk/charges/{charge_id}", "/desk/statements", "/desk/statements/{number}", "/desk/{rest:path}"}
OF_EVERYBODY |= {"/desk/statements/{number}/pdf", "/desk/statements/{number}/lines"}


def test_a_stranger_is_led_to_the_login_and_back(quick_api: RunningApi) -> None:
    client = quick_api.client(None)
    answer = client.get("/desk/charges?period=2025-03", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/login?next=/desk/charges%3Fperiod%3D2025-03",
    )
    assert client.post("/desk/periods", data={"period": "2025-03"}).status_code == 401


def test_an_investigator_sees_the_own_charges_in_every_page_and_export(quick_api: RunningApi, tmp_path: Path) -> None:
    ids = load(quick_api, tmp_path)
    ada = investigator(quick_api)
    pages = ["/desk", "/desk?period=2025-03", "/desk/charges", "/desk/charges?search=b-1", "/desk/charges/export"]
    pages += ["/desk/charges?pi_email=alan@math.example.edu&columns=resource_id", "/desk/statements", "/desk/help"]
    pages += [f"/desk/charges/{ids['a-1']}", "/desk/charges/export?pi_email=alan@math.example.edu"]
    for path in pages:
        text = ada.get(path)
        found = text.partition('id="results"')[2] if 'id="results"' in text else text.partition("<main")[2] or text
        assert [one for one in ALANS if one in found] == [], path
    assert "3.30" in ada.get("/desk?period=2025-03"), "her own are there"
    assert ada.get("/desk/charges/export").count("\n") == 3
    ada.get(f"/desk/charges/{ids['b-1']}", 404)
    ada.get("/desk/statements/S-2025-03-0001", 404)


def test_an_investigator_gets_no_page_that_tells_of_others(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    ada = investigator(quick_api)
    for path in READS_OF_ALL:
        ada.get(path, 403)
    said = [one for one in ROUTES if "GET" in one.methods]  # type: ignore[attr-defined]
    left = {one.path for one in said} - OF_EVERYBODY  # type: ignore[attr-defined]
    untried = {
        one.path  # type: ignore[attr-defined]
        for one in said
        if one.path in left and not any(one.path_regex.match(path) for path in READS_OF_ALL)  # type: ignore[attr-defined]
    }
    assert untried == set(), "each page is tried, or is everybody's"
    ada.post("/desk/review", 403, verdict="approve", ids="1")
    ada.post("/desk/periods/2025-03/close", 403)


def test_a_form_without_the_sessions_token_or_from_another_site_changes_nothing(
    quick_api: RunningApi, tmp_path: Path
) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    token = person.token()
    for fields, origin in (({}, quick_api.url), ({"csrf": "0" * 64}, quick_api.url), ({"csrf": token}, "https://evil")):
        answer = person.client.post("/desk/periods/2025-03/close", data=fields, headers={"Origin": origin})
        assert answer.status_code == 403
    files = {"files": ("a.csv", b"x\n")}
    assert person.client.post("/desk/imports", files=files, data={"csrf": "no"}).status_code == 403
    assert person.client.post("/desk/registry/funds/import", files=files).status_code == 403
    # Files in a place where a small form belongs are not read, and their token is missing.
    assert person.client.post("/desk/periods/2025-03/close", files=files, data={"csrf": token}).status_code == 403
    assert quick_api.client("operator").get("/api/v1/chargeback/periods/2025-03").json()["data"]["state"] == "open"


def test_what_people_typed_is_never_markup(quick_api: RunningApi) -> None:
    person = Person(quick_api, "operator")
    evil = '"><script>alert(1)</script>'
    person.post("/desk/registry/funds", new="yes", fund_org=evil, name=evil)
    html = person.get("/desk/registry/funds")
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html
    assert "<script>alert" not in person.get(f"/desk/charges?search={evil}")


def test_a_form_that_is_too_long_is_refused(quick_api: RunningApi) -> None:
    person = Person(quick_api, "operator")
    assert person.client.post("/desk/periods", data={"period": "x" * 300_000}).status_code == 413


def test_an_investigator_gets_the_own_statements_alone_and_remarks_on_them(
    quick_api: RunningApi, renderer: TypstRenderer, tmp_path: Path
) -> None:
    load(quick_api, tmp_path)
    Person(quick_api, "operator").post("/desk/periods/2025-03/close")
    issuer = StatementIssuer(
        quick_api.engine,
        lambda orders: (make(renderer, one) for one in orders),
        IssueOptions(ORGANISATION),
        {"t": renderer.digest},
    )
    issuer.investigators("2025-03", Issuance("pat", TODAY))
    standing = StatementRepository(quick_api.engine).list(StatementFilter("2025-03", states=("issued",)))
    numbers = {one["subject"]: one["number"] for one in standing}
    ada, hers = investigator(quick_api), numbers.pop("ada@bio.example.edu")
    assert numbers, "there are others"
    for path in ("/desk", "/desk?period=2025-03", "/desk/statements"):
        page = ada.get(path)
        assert [one for one in numbers.values() if one in page] == []
        assert hers in page
    for number in numbers.values():
        ada.get(f"/desk/statements/{number}", 404)
        ada.get(f"/desk/statements/{number}/pdf", 404)
        ada.get(f"/desk/statements/{number}/lines", 404)
        assert "There is no statement" in ada.post(f"/desk/statements/{number}/remark", 404, text="mine").text
    ada.get(f"/desk/statements/{hers}")
    pdf = ada.client.get(f"/desk/statements/{hers}/pdf")
    assert (pdf.content[:5], pdf.headers["x-frame-options"]) == (b"%PDF-", "SAMEORIGIN")
    ada.post(f"/desk/statements/{hers}/void", 403, reason="no")
    ada.post(f"/desk/statements/{hers}/remark", text="the disk was <b>gone</b> by then")
    reviewer = Person(quick_api, "reviewer")
    remarks = reviewer.get("/desk/statements/remarks")
    assert "the disk was &lt;b&gt;gone" in remarks
    reviewer.post("/desk/statements/remarks/1", verdict="agreed", text="it will be mended")
    assert "it will be mended" in words_of(reviewer.get("/desk/statements/remarks"))


def test_a_parked_invoice_is_decided_once_and_with_a_reason(quick_api: RunningApi) -> None:
    delivery_id = uuid4()
    said = {"destination": "clearfacts", "receiver": "BE0123456749", "supplier": "BE0987654394", "number": "2026/17"}
    said |= {"document_type": "invoice", "key_digest": delivery_id.hex * 2, "content_sha256": delivery_id.hex * 2}
    with quick_api.engine.begin() as connection:
        values = {**said, "id": delivery_id, "issue_year": 2026, "state": State.PARKED, "created_at": NOW}
        connection.execute(insert(Delivery).values(**values, updated_at=NOW))
    person, path = Person(quick_api, "reviewer"), f"/desk/deliveries/{delivery_id}"
    assert "2026/17" in words_of(person.get("/desk/deliveries"))
    seen = {"state": hidden(person.get(path), "state"), "generation": hidden(person.get(path), "generation")}
    person.post(path, 422, verdict="delivered", **seen)
    person.post(path, verdict="delivered", reason="seen under its file name", **seen)
    assert "seen under its file name" in words_of(person.get(path))
    assert "Nothing was decided" in words_of(person.post(path, 409, verdict="waive", reason="late", **seen).text)
    Person(quick_api, "user").post(path, 403, verdict="waive", reason="mine", **seen)


def test_an_investigator_comes_from_the_login_to_the_desk(quick_api: RunningApi) -> None:
    investigator(quick_api)
    client = quick_api.client(None)
    token = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
    assert token
    fields = {"csrf": token[1], "next": "/", "username": "bound", "password": PASSWORD}
    answer = client.post("/login", data=fields, headers={"Origin": quick_api.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk")


def test_numbers_that_no_database_holds_are_told_and_not_tried(quick_api: RunningApi) -> None:
    person, long = Person(quick_api, "operator"), "9" * 25
    person.get(f"/desk/charges/{long}", 422)
    person.get(f"/desk/charges?import_id={long}", 422)
    person.get("/desk/charges?search=%00a&period=%00")
    person.get("/desk/statements/S%00", 404)
    person.post("/desk/review", 422, verdict="approve", ids=long)
    person.post(f"/desk/rates/approve/{long}", 422)
    person.post(f"/desk/statements/remarks/{long}", 422, verdict="agreed", text="yes")
