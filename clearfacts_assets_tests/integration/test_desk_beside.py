"""Beside the month on the desk: years, copies of mails, overrides, credits, customers; and who gets no file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import ADA, row, write
from clearfacts_assets_tests.fixtures.chargeback_api import audited, load, rows_of_two
from clearfacts_assets_tests.fixtures.desk import Person, hidden, words_of

SAID = {"form": "rule", "kind": "credit", "name": "start"}
CREDIT = '{"payer": "dean@example.edu", "amount": "30", "currency": "USD"}'


def plain(html: str) -> str:
    return words_of(html).replace("\N{NO-BREAK SPACE}", " ")


def test_a_year_is_seen_then_issued_and_copies_of_mails_go_to_delegates(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person, month = Person(quick_api, "operator"), {"period": "2025-03"}
    person.post("/desk/periods/2025-03/close")
    person.post("/desk/statements/generate", **month, apply="yes")
    year = {"pi_email": "Ada@bio.example.edu", "year": "2025"}
    assert "Say whose year it is." in person.post("/desk/statements/year", 422, year="2025").text
    assert "no statement in 2024" in person.post("/desk/statements/year", 409, **year | {"year": "2024"}).text
    assert "New 1" in plain(person.post("/desk/statements/year", 200, **year).text)
    issued = person.post("/desk/statements/year", **year, apply="yes")
    assert "ada@bio.example.edu" in plain(person.get(issued.headers["location"]))
    copy = {"pi_email": "Ada@bio.example.edu", "delegate": "office@bio.example.edu"}
    wrong = person.post("/desk/emails/delegates", 422, pi_email="ada@bio.example.edu", delegate="the office")
    assert 'value="the office"' in wrong.text
    person.post("/desk/emails/delegates", **copy)
    assert "ada@bio.example.edu office@bio.example.edu" in plain(person.get("/desk/emails/delegates"))
    person.post("/desk/emails/send", **month)
    assert "Copies office@bio.example.edu" in plain(person.get("/desk/emails/1"))
    person.post("/desk/emails/delegates", **copy, remove="yes")
    assert "Nobody gets copies." in plain(person.get("/desk/emails/delegates"))
    would = plain(person.post("/desk/customers", 200, **month).text)
    assert "0 statements unchanged, 2 of internal funds. Nothing was written." in would
    Person(quick_api, "reviewer").post("/desk/emails/delegates", 403, **copy)
    assert {one for one, _ in audited(quick_api, "chargeback_investigators")} == {
        "chargeback_investigators.delegate_added",
        "chargeback_investigators.delegate_removed",
    }


def test_an_override_says_who_pays_until_it_ends(quick_api: RunningApi, tmp_path: Path) -> None:
    ids = load(quick_api, tmp_path)
    person, charge = Person(quick_api, "operator"), f"/desk/charges/{ids['c-1']}"
    lacking = person.post("/desk/overrides", 422, resource="c-*", pi_email=ADA["pi_email"])
    assert 'value="c-*"' in lacking.text
    said = {"resource": "c-*", **ADA, "reason": "her machine"}
    person.post("/desk/overrides", **said)
    assert "ada@bio.example.edu" in plain(person.get(charge))
    assert "c-* ada@bio.example.edu" in plain(person.get("/desk/overrides?search=machine"))
    assert "None yet." in plain(person.get("/desk/overrides?search=nothing"))
    assert "Say from which day" in person.post("/desk/overrides/1/end", 422).text
    person.post("/desk/overrides/1/end", valid_to="2025-03-01")
    assert "ada@bio.example.edu" not in plain(person.get(charge)).partition("Where it comes from")[0]
    person.post("/desk/overrides/9/end", 404, valid_to="2025-03-01")
    Person(quick_api, "reviewer").post("/desk/overrides", 403, **said)


def test_a_credit_shows_what_it_paid_and_left_and_a_rule_ends(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    assert "Nobody pays for others yet" in plain(person.get("/desk/credits"))
    person.post("/desk/rates", **SAID, definition=CREDIT)
    person.post("/desk/rates/run", period="2025-03", apply="yes")
    shown = plain(person.get("/desk/credits?period=2025-03"))
    assert re.search(r"start dean@example\.edu 30\.00 USD once all 30\.00 USD 0\.00 USD", shown), shown
    assert "alan@math.example.edu enigma" in shown
    person.post("/desk/rates/end", 422, rule="credit start")
    person.post("/desk/rates/end", rule="credit start", valid_from="2025-03-01")
    person.post("/desk/rates/run", period="2025-03", apply="yes")
    assert "dean@example.edu enigma" not in plain(person.get("/desk/credits?period=2025-03"))
    person.get("/desk/credits?period=never", 422)


def test_who_may_take_no_file_away_is_told_and_gets_no_button(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    user, told = Person(quick_api, "user"), "Files are for those who may take them away"
    page = user.get("/desk/charges")
    assert told in page
    assert "/desk/charges/export" not in page
    user.get("/desk/charges/export", 403)
    assert told not in Person(quick_api, "reviewer").get("/desk/charges")


def test_what_the_desk_refuses_is_told_in_the_readers_language(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    person.client.headers["Accept-Language"] = "nl"
    assert "Selecteer minstens één kost." in person.post("/desk/review", 422, verdict="approve").text
    long = person.post("/desk/periods/2025-03/close", 422, reason="x" * 1001).text
    assert "Een reden heeft hoogstens 1000 tekens." in long
    missing = person.get("/desk/nothing", 404)
    assert "Geen pagina heet" in missing
    assert "Zoek het in zijn lijst" in missing
    assert "Verbruikt" in person.get("/desk/charges/1")


def test_what_the_engine_refuses_is_told_in_the_readers_language(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    person.client.headers["Accept-Language"] = "nl"
    said = {"confirmation": "2025-03"}
    early = plain(person.post("/desk/periods/2025-03/finalize", 409, **said).text)
    assert "2025-03 kan niet vastgelegd worden: sluit ze eerst af." in early
    person.post("/desk/periods/2025-03/close")
    waiting = plain(person.post("/desk/periods/2025-03/finalize", 409, **said).text)
    assert "2025-03: 1 kosten wachten op een beslissing." in waiting
    assert "Er is geen kost 99." in plain(person.get("/desk/charges/99", 404))
    wrong = {"resource": "c-*", **ADA, "reason": "hers", "valid_from": "1 maart"}
    assert "'1 maart' is geen dag: schrijf 2025-03-01." in plain(person.post("/desk/overrides", 422, **wrong).text)
    person.client.headers["Accept-Language"] = "fr"
    again = plain(person.post("/desk/periods/2025-03/close", 409).text)
    assert "2025-03 ne peut être clôturé : il est déjà clôturé." in again
    reader = Person(quick_api, "user")
    reader.client.headers["Accept-Language"] = "fr"
    assert "Cela demande le droit periods:close." in plain(reader.post("/desk/periods/2025-03/close", 403).text)


def test_refused_rows_and_what_stops_an_import_are_told_in_the_readers_language(
    quick_api: RunningApi, tmp_path: Path
) -> None:
    person = Person(quick_api, "operator")
    person.client.headers["Accept-Language"] = "nl"
    file = write(tmp_path / "aws_2025-03.csv", [*rows_of_two(), row(BilledCost="12,5", ResourceId="x")])
    file.write_text(file.read_text("utf-8") + "one,two\n", "utf-8")
    width = file.read_text("utf-8").partition("\n")[0].count(",") + 1
    comma = "BilledCost '12,5': de komma kan een decimale komma of een duizendtal zijn"
    shown = person.bring(file, source="aws").text
    assert comma in plain(shown)
    assert f"2 cellen waar de kop er {width} heeft" in plain(shown)
    person.post("/desk/imports/apply", files=hidden(shown, "files"), source="aws")
    assert comma in plain(person.get("/desk/imports/1")), "also as it was stored"
    person.client.headers["Accept-Language"] = "fr"
    shown = person.bring(write(tmp_path / "aws_2025-03.csv", [row(ResourceId="alone")]), source="aws").text
    stopped = person.post("/desk/imports/apply", 200, files=hidden(shown, "files"), source="aws").text
    standing = len(rows_of_two())
    said = f"{standing} des {standing} coûts seraient retirés pour mars 2025 : une livraison de tout le mois remplace"
    assert said in plain(stopped)


def test_a_form_that_does_not_fit_says_so_in_the_readers_language(quick_api: RunningApi) -> None:
    admin = Person(quick_api, "admin")
    admin.client.headers["Accept-Language"] = "fr"
    said = {"username": "x", "email": "x@example.be", "role": "chef", "password": "a-long-password-17"}
    told = plain(admin.post("/desk/users", 422, **said).text)
    assert "role: un de 'admin', 'operator', 'reviewer', 'user', 'service'." in told
    empty = plain(admin.post("/desk/users", 422, **said | {"role": "user", "password": ""}).text)
    assert "password: au moins 1 caractères." in empty


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/desk/periods/2025-03/reconcile", "Exported by the provider"),
        ("/desk/journals/check/2025-03", "Exported by the provider"),
        ("/desk/credits?period=2025-03", "Nobody pays for others yet"),
    ],
)
def test_what_needs_seconds_in_a_large_month_sends_its_top_first(
    quick_api: RunningApi, tmp_path: Path, path: str, rest: str
) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "user")
    with person.client.stream("GET", path) as answer:
        assert (answer.status_code, answer.headers.get("transfer-encoding")) == (200, "chunked")
        top, _, later = answer.read().decode().partition("<!-- -->")
    assert "It is being computed" in top
    assert rest in later
    assert rest not in top
    person.get(path.replace("2025-03", "never"), 422)
