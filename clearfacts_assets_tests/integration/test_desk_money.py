"""From a closed month to its posted journal on the desk; rules tried before they are kept; sources, patterns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clearfacts_assets.desk.patterns import BadPattern, Matched, try_pattern
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback_api import audited, load
from clearfacts_assets_tests.fixtures.desk import Person, hidden, with_books, words_of

BLANK = "\N{NO-BREAK SPACE}"
REPORT = (
    "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@x\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
)


def plain(html: str) -> str:
    return words_of(html).replace(BLANK, " ")


def test_a_closed_month_becomes_statements_mails_and_a_posted_journal(api: RunningApi, tmp_path: Path) -> None:
    """On both databases."""
    load(api, tmp_path)
    with_books(api)
    person, month = Person(api, "operator"), {"period": "2025-03"}
    assert "No month is closed" in plain(person.get("/desk/statements/generate"))
    person.post("/desk/periods/2025-03/close")
    would = plain(person.post("/desk/statements/generate", 200, **month).text)
    assert "New 2" in would
    assert "Nothing was written." in would
    assert "None yet." in plain(person.get("/desk/statements?period=2025-03"))
    person.post("/desk/statements/generate", **month, apply="yes")
    listed = person.get("/desk/statements?period=2025-03")
    number = re.findall(r"S-2025-03-\d+", listed)[0]
    assert "charge" in person.client.get(f"/desk/statements/{number}/lines").text
    assert "2 people would get a mail." in plain(person.get("/desk/emails/preview?period=2025-03"))
    person.post("/desk/emails/send", **month)
    mails = plain(person.get("/desk/emails?period=2025-03"))
    assert mails.count(" ready 0 ") == 2, mails
    person.post("/desk/emails/1/drop", 422)
    person.post("/desk/emails/1/drop", reason="she asked for paper")
    assert "she asked for paper" in plain(person.get("/desk/emails/1"))
    assert "know that it may arrive twice" in plain(person.post("/desk/emails/1/resend", 422, to="a@b.be").text)
    once = hidden(person.get("/desk/emails/1"), "once")
    for _ in range(2):
        person.post("/desk/emails/1/resend", knowingly="yes", once=once, to="office@bio.example.edu")
    assert plain(person.get("/desk/emails")).count("office@bio.example.edu") == 1
    person.post("/desk/emails/2/bounced", 409, reason="never sent")
    person.post("/desk/emails/bounces", 404, message=REPORT)

    assert "Charged to funds by journals 0.00 USD" in plain(person.get("/desk/journals/check/2025-03"))
    would = plain(person.post("/desk/journals", 200, **month).text)
    assert "43.30 USD debit and credit" in would
    assert "None yet." in would
    person.post("/desk/journals", **month, apply="yes", once="1")
    person.post("/desk/journals", **month, apply="yes", once="1")
    path = "/desk/journals/J-2025-03-0001"
    assert "43.30 USD" in plain(person.get(path))
    assert "Debit" in person.client.get(f"{path}/file?format=gl").text
    assert "Say which lines" in plain(person.post(f"{path}/posted", 422, verdict="refused", refused=" ").text)
    person.post(f"{path}/posted", verdict="refused", refused="1 the fund is closed\nand late")
    assert "line 1: the fund is closed" in plain(person.get(path))
    person.post(f"{path}/posted", verdict="posted", reference="DOC1")
    assert "posted DOC1" in plain(person.get(path)).replace("The ledger's own number ", "posted ")
    assert "Charged to funds by journals 43.30 USD Unexplained 0.00 USD" in plain(
        person.get("/desk/journals/check/2025-03")
    )
    person.post(f"{path}/reverse", reason="the wrong month")
    assert "J-2025-03-0002" in person.get("/desk/journals?period=2025-03")
    user = Person(api, "user")
    user.post("/desk/journals", 403, **month)
    user.post("/desk/emails/send", 403, **month)
    user.post("/desk/statements/generate", 403, **month)
    assert user.client.get(f"{path}/file").status_code == 403
    assert {one for one, _ in audited(api, "chargeback_")} >= {
        "chargeback_mails.wanted",
        "chargeback_mail.dropped",
        "chargeback_mail.resent",
    }
    user.get("/desk/journals/J-9", 404)
    user.get("/desk/emails/99", 404)


def test_a_rule_is_tried_on_a_month_before_it_is_saved(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    said = {"form": "rule", "kind": "markup", "name": "overhead", "definition": '{"percent": "10"}'}
    tried = person.post("/desk/rates", 200, **said, period="2025-03", **{"try": "yes"})
    shown = plain(tried.text)
    assert "alan@math.example.edu 40.00 USD 44.00 USD 4.00 USD ada@bio.example.edu 3.30 USD 3.63 USD 0.33 USD" in shown
    assert "All 43.30 USD 47.63 USD 4.33 USD" in shown
    assert 'value="overhead"' in tried.text, "the form still has it"
    assert "No rule yet" in plain(person.get("/desk/rates"))
    assert "Due 43.30 USD As billed" in plain(person.get("/desk?period=2025-03"))
    person.post("/desk/rates", **said)
    again = plain(person.post("/desk/rates", 200, **said, period="2025-03", **{"try": "yes"}).text)
    assert "Nobody would owe anything else." in again
    assert (
        "nothing is known of 2031-01"
        in person.post("/desk/rates", 404, **said, period="2031-01", **{"try": "yes"}).text.lower()
    )


def test_sources_are_kept_and_what_is_not_billed_is_told_with_its_sum(quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    person = Person(quick_api, "operator")
    assert "There is a source aws already" in person.post("/desk/sources", 409, new="yes", name="aws").text
    wrong = person.post("/desk/sources", 422, new="yes", name="hpc", basis="guessed", pattern="slurm_*")
    assert 'value="slurm_*"' in wrong.text
    person.post("/desk/sources", name="aws", basis="billed", credit_fund_org="IT-CLOUD", pattern="aws_*.csv")
    assert "aws_*.csv billed IT-CLOUD" in plain(person.get("/desk/sources"))
    lacking = person.post("/desk/exceptions", 422, kind="person", name="alan@math.example.edu")
    assert 'value="alan@math.example.edu"' in lacking.text
    person.post("/desk/exceptions", kind="person", name="alan@math.example.edu", reason="he teaches here")
    shown = plain(person.get("/desk/exceptions"))
    assert "March 2025 alan@math.example.edu enigma Quantum 1 40.00 USD" in shown
    person.post("/desk/exceptions/1/end", valid_to="2025-03-01")
    assert "40.00 USD" not in plain(person.get("/desk/exceptions"))


def test_a_pattern_is_tried_and_one_that_never_ends_is_given_up(quick_api: RunningApi) -> None:
    person = Person(quick_api, "operator")
    fund = r"^(?P<orgn>[^-]+)-(?P<fund>.+)$"
    tried = plain(person.post("/desk/settings/try", 200, pattern=fund, texts="BIO-100123\nnone").text)
    assert "BIO-100123 matches BIO-100123 orgn = BIO , fund = 100123" in tried
    assert "none no match" in tried
    assert "It is no regular expression" in person.post("/desk/settings/try", 422, pattern="(", texts="a").text
    assert try_pattern("b+", ["abb", "a"]) == [Matched("abb", "bb", {}), Matched("a", None, {})]
    with pytest.raises(BadPattern, match="too long"):
        try_pattern("(a+)+$", ["a" * 60 + "!"], seconds=0.5)
    admin = Person(quick_api, "admin")
    person.post("/desk/settings/slack.on_success", 403, value="true")
    key = re.search(r'action="/desk/settings/([a-z_]+\.[a-z_.]+)"[^>]*>', admin.get("/desk/settings"))
    assert key
    admin.post("/desk/settings/no.such", 404, value="1")
    assert "type the new secret" in admin.post("/desk/settings/slack.token", 422, value="").text
    admin.post(f"/desk/settings/{key[1]}", reset="yes")
    Person(quick_api, "user").get("/desk/settings", 403)
