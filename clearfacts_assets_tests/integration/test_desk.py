"""The desk over HTTP, as a browser without scripts uses it: a month from its first file, by the people who run it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import Books, row, write
from clearfacts_assets_tests.fixtures.chargeback_api import load, rows_of_two
from clearfacts_assets_tests.fixtures.desk import Person, hidden, words_of
from clearfacts_assets_tests.integration.test_mended_rows import BAD, GOOD, mend

PAGES = [
    "/desk",
    "/desk/imports",
    "/desk/imports/1",
    "/desk/review",
    "/desk/review/log",
    "/desk/charges",
    "/desk/charges/1",
    "/desk/periods",
    "/desk/periods/2025-03",
    "/desk/periods/2025-03/reconcile",
    "/desk/statements",
    "/desk/statements/remarks",
    "/desk/registry/investigators",
    "/desk/registry/projects",
    "/desk/registry/funds",
    "/desk/rates",
    "/desk/budgets",
    "/desk/emails",
    "/desk/emails/preview?period=2025-03",
    "/desk/journals?period=2025-03",
    "/desk/journals/check/2025-03",
    "/desk/exceptions",
    "/desk/sources",
    "/desk/overrides",
    "/desk/credits",
    "/desk/customers",
    "/desk/emails/delegates",
    "/desk/statements/generate",
    "/desk/settings",
    "/desk/deliveries",
    "/desk/users",
    "/desk/help",
]
MOST_BYTES = 150_000  # of a page


def test_every_page_is_shown_small_and_under_a_strict_policy(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    admin = Person(quick_api, "admin")
    for path in PAGES:
        answer = admin.client.get(path)
        assert (answer.status_code, path) == (200, path), answer.text[-900:]
        assert len(answer.content) < MOST_BYTES
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=", answer.text), path
        assert answer.text.count("<h1>") == 1


def test_files_of_ours_have_the_name_of_their_content_and_are_kept(quick_api: RunningApi) -> None:
    person = Person(quick_api, "user")
    html = person.get("/desk/help")
    names = re.findall(r'(?:href|src)="(/desk/static/[^"]+)"', html)
    assert len(names) == 3
    for name in names:
        answer = person.client.get(name)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    person.get("/desk/static/desk.000000000000.css", 404)


def test_a_month_from_its_file_to_its_seal(quick_api: RunningApi, tmp_path: Path) -> None:
    coordinator, reviewer = Person(quick_api, "operator"), Person(quick_api, "reviewer")
    shown = coordinator.bring(write(tmp_path / "aws_2025-03.csv", rows_of_two()), source="aws").text
    assert "Nothing has changed yet." in words_of(shown)
    assert "No charge fits" in words_of(coordinator.get("/desk/charges"))
    applied = coordinator.post("/desk/imports/apply", files=hidden(shown, "files"), source="aws")
    assert applied.headers["location"] == "/desk/imports/1?done=imported"
    assert "1 charges wait for a decision" in words_of(coordinator.get("/desk?period=2025-03"))

    coordinator.post("/desk/periods/2025-03/close")
    assert "Close it first" not in coordinator.get("/desk/periods/2025-03")
    refused = reviewer.post("/desk/periods/2025-03/finalize", 409, confirmation="2025-03", reason="all is well")
    assert "1 charges wait for a decision" in words_of(refused.text)
    assert 'value="all is well"' in refused.text, "what was typed stays"

    waiting = reviewer.get("/desk/review?period=2025-03")
    number = hidden(waiting, "seen").split()[0]
    decided = reviewer.post("/desk/review", verdict="approve", ids=number, note="the pool pays")
    assert f"undo={number}" in decided.headers["location"]
    assert "the pool pays" in words_of(reviewer.get("/desk/review/log"))
    assert "Type 2025-03 to confirm" in words_of(
        reviewer.post("/desk/periods/2025-03/finalize", 422, confirmation="2025-04").text
    )
    reviewer.post("/desk/periods/2025-03/finalize", confirmation="2025-03")
    assert "Sealed 4 charges" in words_of(coordinator.get("/desk/periods/2025-03"))
    actions = [one["action"] for one in quick_api.client("admin").get("/api/v1/audit").json()["data"]["items"]]
    assert {"billing_period.closed", "charge.approved", "billing_period.finalized"} <= set(actions)


def test_a_refused_row_is_mended_in_the_page(quick_api: RunningApi, tmp_path: Path) -> None:
    person = Person(quick_api, "operator")
    rows = [row(BilledCost="1.10"), row(BilledCost="12,5", ResourceId="x")]
    shown = person.bring(write(tmp_path / "aws_2025-03.csv", rows), source="aws").text
    person.post("/desk/imports/apply", files=hidden(shown, "files"), source="aws")
    html = person.get("/desk/imports/1")
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", html, re.DOTALL)
    assert text
    mended = unescape(text[1]).replace('"12,5"', "12.5")
    shown = person.post("/desk/imports/1/mend", 200, rows=mended).text
    person.post("/desk/imports/apply", files=hidden(shown, "files"), source="aws", mode="append")
    assert "13.60" in words_of(person.get("/desk?period=2025-03"))
    assert person.client.get("/desk/imports/1/refusals").text.count("\n") == 0, "what was mended is not shown again"


def test_files_wait_only_for_who_brought_them(quick_api: RunningApi, tmp_path: Path) -> None:
    first, second = Person(quick_api, "operator"), Person(quick_api, "operator", "somebody.else")
    token = hidden(first.bring(write(tmp_path / "a.csv", rows_of_two()), source="aws").text, "files")
    assert "not there any more" in second.post("/desk/imports/apply", 409, files=token, source="aws").text
    assert "not there any more" in first.post("/desk/imports/apply", 409, files="../../etc", source="aws").text


def test_two_reviewers_do_not_decide_over_each_other(quick_api: RunningApi, tmp_path: Path) -> None:
    number = str(load(quick_api, tmp_path)["c-1"])
    one, other = Person(quick_api, "reviewer"), Person(quick_api, "reviewer", "second")
    one.post("/desk/review", verdict="approve", ids=number, seen=f"{number} flagged")
    late = other.post("/desk/review", 409, verdict="reject", ids=number, seen=f"{number} flagged", note="mine")
    assert "when you looked" in words_of(late.text)


def test_a_correction_that_lacks_all_keeps_what_was_typed_and_one_that_is_whole_approves(
    quick_api: RunningApi, tmp_path: Path
) -> None:
    number = str(load(quick_api, tmp_path)["c-1"])
    person = Person(quick_api, "reviewer")
    lacking = person.post("/desk/review?period=2025-03", 422, verdict="correct", ids=number, note="its tags were lost")
    assert 'value="its tags were lost"' in lacking.text
    assert re.search(rf'name="ids" value="{number}"[^>]*checked', lacking.text)
    fields = {"to_pi_email": "ada@bio.example.edu", "to_project_id": "genome", "to_fund_org": "BIO-100123"}
    person.post("/desk/review", verdict="correct", ids=number, **fields)
    assert "BIO-100123" in words_of(person.get(f"/desk/charges/{number}"))
    person.post("/desk/review", verdict="undo", ids=number)
    assert number in words_of(person.get("/desk/review"))


def test_charges_are_filtered_by_the_address_and_come_a_page_at_a_time(quick_api: RunningApi, tmp_path: Path) -> None:
    rows = [row(BilledCost="1", ResourceId=f"r-{number:03}") for number in range(60)]
    person = Person(quick_api, "operator")
    shown = person.bring(write(tmp_path / "aws_2025-03.csv", rows), source="aws").text
    person.post("/desk/imports/apply", files=hidden(shown, "files"), source="aws")
    first = person.get("/desk/charges?period=2025-03&columns=resource_id")
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = person.get(following[1].replace("&amp;", "&"))
    assert ("r-049" in first, "r-050" in first, "r-050" in second) == (True, False, True)
    assert "r-007" in person.get("/desk/charges?search=R-007&columns=resource_id")
    person.get("/desk/charges?status=unheard_of", 422)
    person.get("/desk/charges?cursor=nonsense", 400)
    assert person.client.get("/desk/charges/export?search=r-007").text.count("\n") == 2


def test_the_registry_is_kept_and_a_wrong_entry_stays_in_its_form(quick_api: RunningApi, tmp_path: Path) -> None:
    person = Person(quick_api, "operator")
    wrong = person.post("/desk/registry/funds", 422, new="yes", fund_org="BIO-1", budget="1.234.5,x", name="Genes")
    assert 'value="Genes"' in wrong.text
    person.post("/desk/registry/funds", new="yes", fund_org="BIO-1", budget="5000.00", currency="USD", name="Genes")
    assert (
        "There is such an entry already" in person.post("/desk/registry/funds", 409, new="yes", fund_org="BIO-1").text
    )
    person.post("/desk/registry/funds", fund_org="BIO-1", name="Genomes")
    assert "5,000.00 USD" in words_of(person.get("/desk/registry/funds?search=genomes")).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    file = {"files": ("people.csv", b"email,name,aliases\nada@bio.example.edu,Ada,alovelace;ada\n")}
    answer = person.client.post("/desk/registry/investigators/import", files=file, data={"csrf": person.token()})
    assert answer.status_code == 303, answer.text
    assert "alovelace" in person.get("/desk/registry/investigators")
    assert 'value="ada;alovelace"' in person.get("/desk/registry/investigators?edit=ada@bio.example.edu")


def test_a_price_is_written_tried_and_applied(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    wrong = person.post("/desk/rates", 422, form="rule", kind="markup", name="overhead", definition="{no")
    assert "{no</textarea>" in wrong.text
    person.post("/desk/rates", form="rule", kind="markup", name="overhead", definition='{"percent": "10"}')
    tried = words_of(person.post("/desk/rates/run", 200, period="2025-03").text)
    assert "47.63" in tried, "43.30 and ten percent"
    assert "Nothing was written." in tried
    person.post("/desk/rates/run", period="2025-03", apply="yes")
    assert "markup" in words_of(person.get("/desk/charges/1"))


def test_users_are_added_bound_and_disabled_by_an_admin(quick_api: RunningApi) -> None:
    admin = Person(quick_api, "admin")
    weak = admin.post("/desk/users", 422, username="new.one", email="new@example.be", role="user", password="short")
    assert 'value="new.one"' in weak.text
    assert "short" not in weak.text.partition("<main")[2].replace("shorter", "").replace("too short", "")
    admin.post("/desk/users", username="new.one", email="new@example.be", role="user", password="violet tractor plum")
    user = quick_api.callers.users.named("new.one")
    admin.post(f"/desk/users/{user.id}", role="user", investigator="ADA@bio.example.edu", active="yes")
    assert quick_api.callers.users.named("new.one").investigator == "ada@bio.example.edu"
    admin.post(f"/desk/users/{user.id}", role="user", investigator="ada@bio.example.edu")
    assert not quick_api.callers.users.named("new.one").is_active


@pytest.mark.parametrize(("language", "month"), [("nl", "maart 2025"), ("fr", "mars 2025"), ("en", "March 2025")])
def test_the_language_is_the_browsers_until_somebody_chooses(
    quick_api: RunningApi, tmp_path: Path, language: str, month: str
) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "user")
    person.client.headers["Accept-Language"] = f"{language}-BE,en;q=0.5"
    html = person.get("/desk/periods")
    assert f'<html lang="{language}">' in html
    assert month in words_of(html)
    chosen = person.post("/desk/language", language="nl", back="//elsewhere.example")
    assert chosen.headers["location"] == "/desk"
    assert "clearfacts_language=nl" in chosen.headers["set-cookie"]


def test_the_difference_tells_of_rows_that_a_person_mended(quick_api: RunningApi, tmp_path: Path) -> None:
    books = Books(quick_api.engine, tmp_path)
    mend(books, books.put(*GOOD, BAD), "1.50")
    person = Person(quick_api, "operator")
    other = write(tmp_path / "aws_2025-03.csv", [*GOOD, BAD | {"BilledCost": "1,7"}])
    shown = person.bring(other, source="aws").text
    assert "unmended 1 1.50 USD" in words_of(shown)
    person.post("/desk/imports/apply", files=hidden(shown, "files"), source="aws")
    assert "Month new changed retagged withdrawn unmended equal March 2025 0 0 0 0 1 10" in words_of(
        person.get("/desk/imports/3")
    )
    assert "unmended" not in words_of(person.get("/desk/imports/1"))
