"""The desk in a real browser: a month as coordinator, reviewer, investigator and finance; by keys alone, at each width,
in both modes, with axe-core; two at once, on a slow network, with a session that ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import TEST
from clearfacts_assets_tests.fixtures.chargeback import ADA, NOW, row, write
from clearfacts_assets_tests.fixtures.chargeback_api import load, rows_of_two
from clearfacts_assets_tests.fixtures.desk import Person, with_books
from clearfacts_assets_tests.fixtures.desk_browser import PATIENCE, bring, enter, problems, watch
from clearfacts_assets_tests.fixtures.ubl_documents import document
from clearfacts_assets_tests.security.test_desk_invoice import kept

# Each with what the month of ``with_a_month`` left. An investigator's own pages have a test of their own.
PAGES = (
    *(
        "/desk",
        "/desk/imports",
        "/desk/imports/1",
        "/desk/review",
        "/desk/review/log",
        "/desk/charges",
        "/desk/charges/4",
    ),
    *("/desk/periods", "/desk/periods/2025-03", "/desk/periods/2025-03/reconcile", "/desk/statements/remarks"),
    *("/desk/statements", "/desk/statements/S-2025-03-0001", "/desk/statements/generate", "/desk/registry/funds"),
    *("/desk/emails?period=2025-03", "/desk/emails/1", "/desk/emails/preview?period=2025-03", "/desk/emails/delegates"),
    *("/desk/journals?period=2025-03", "/desk/journals/J-2025-03-0001", "/desk/journals/check/2025-03"),
    *(
        "/desk/registry/projects",
        "/desk/overrides",
        "/desk/exceptions",
        "/desk/sources",
        "/desk/credits",
        "/desk/rates",
    ),
    *("/desk/budgets", "/desk/customers", "/desk/deliveries", "/desk/invoices/ERP-7", "/desk/settings", "/desk/users"),
    *("/desk/help", "/desk/nothing"),
)
LONG = {
    "pi_email": "wilhelmina.featherstonehaugh-smythe@department-of-physics.example.edu",
    "project_id": "x",
    "fund_org": "PHY-1",
}


@pytest.fixture
def desk(chromium: Browser, quick_api: RunningApi) -> Iterator[Page]:
    """A reviewer's browser. Each test checks that no script failed and that the policy refused nothing."""
    faults: list[str] = []
    context = chromium.new_context(
        base_url=quick_api.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert faults == []


def lines_of(found: dict[str, list[Any]]) -> str:
    """What is wrong, a line each."""
    return "\n".join(f"{path}: {one}" for path, wrong in found.items() for one in wrong)


def with_a_month(api: RunningApi, folder: Path) -> None:
    """A closed month with a long name in it, its statements, mails and journal, an override, and an invoice."""
    load(api, folder, row(ResourceId="d-1", Tags=json.dumps(LONG), BilledCost="1234567.89"))
    with_books(api)
    person, month = Person(api, "operator"), {"period": "2025-03"}
    person.post("/desk/overrides", resource="no-such-*", **ADA, reason="a machine to come")
    person.post("/desk/emails/delegates", pi_email=ADA["pi_email"], delegate="office@bio.example.edu")
    person.post("/desk/periods/2025-03/close")
    person.post("/desk/statements/generate", **month, apply="yes")
    person.post("/desk/emails/send", **month)
    person.post("/desk/journals", **month, apply="yes")
    kept(api, document(), "ERP-7")


def test_a_month_by_hand_and_key(desk: Page, quick_api: RunningApi, tmp_path: Path) -> None:
    """Files dropped, the difference seen and applied, a charge decided and undone by keys, all in one page's life."""
    enter(desk.context, quick_api, "operator")
    desk.goto("/desk/imports")
    desk.get_by_label("Files of one delivery").set_input_files(write(tmp_path / "aws_2025-03.csv", rows_of_two()))
    desk.get_by_label("Source").fill("aws")
    desk.get_by_role("button", name="Show what would change").click()
    expect(desk.get_by_role("heading", name="What would change")).to_be_visible()
    desk.get_by_role("button", name="Apply").click()
    expect(desk.get_by_role("status")).to_have_text("Imported.")
    desk.goto("/desk/review")
    desk.keyboard.press("j")
    expect(desk.get_by_role("checkbox", name="Charge 4")).to_be_focused()
    desk.keyboard.press("a")
    expect(desk.get_by_role("heading", name="Nothing waits")).to_be_visible()
    desk.keyboard.press("u")
    expect(desk.get_by_role("checkbox", name="Charge 4")).to_be_visible()
    desk.keyboard.press("j")
    desk.keyboard.press("e")
    expect(desk.get_by_label("Pi email")).to_be_focused()


DROP = """([name, text]) => {
    const carried = new DataTransfer();
    carried.items.add(new File([text], name, { type: "text/csv" }));
    const box = document.querySelector("[data-upload]");
    for (const kind of ["dragover", "drop"])
        box.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: carried }));
    return box.querySelector("input[type=file]").files.length;
}"""


def test_a_month_goes_from_dropped_files_to_a_posted_journal_on_a_slow_network(
    desk: Page, quick_api: RunningApi, tmp_path: Path
) -> None:
    with_books(quick_api)
    enter(desk.context, quick_api, "operator")
    desk.goto("/desk/imports")
    file = write(tmp_path / "aws_2025-03.csv", rows_of_two())
    assert desk.evaluate(DROP, [file.name, file.read_text("utf-8")]) == 1
    slow = desk.context.new_cdp_session(desk)
    slow.send("Network.enable")
    limits = {"offline": False, "latency": 300, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    slow.send("Network.emulateNetworkConditions", limits)
    desk.get_by_role("button", name="Show what would change").click()
    desk.get_by_role("button", name="Apply").click()
    expect(desk.get_by_role("status")).to_have_text("Imported.")
    slow.send("Network.emulateNetworkConditions", {**limits, "latency": 0, "downloadThroughput": -1})
    desk.goto("/desk/periods/2025-03")
    desk.get_by_role("button", name="Close", exact=True).click()
    expect(desk.get_by_role("status")).to_have_text("The month is closed.")
    desk.goto("/desk/statements/generate")
    desk.get_by_role("button", name="Show what would be issued").press("Enter")
    desk.get_by_role("button", name="Issue them").press("Enter")
    expect(desk.get_by_role("status")).to_have_text("The statements were made.")
    desk.get_by_role("link", name="Send them").click()
    desk.get_by_role("button", name="Send them").click()
    expect(desk.get_by_role("status")).to_have_text("The mails wait: no mail server is set.")
    desk.goto("/desk/journals?period=2025-03")
    desk.get_by_role("button", name="Show what would be written").click()
    desk.get_by_role("button", name="Make it").click()
    expect(desk.get_by_role("status")).to_have_text("The journals were made.")
    desk.get_by_role("link", name="J-2025-03-0001", exact=True).click()
    desk.get_by_label("Its own number of the journal").fill("DOC1")
    desk.get_by_role("button", name="It is posted").click()
    expect(desk.get_by_role("status")).to_have_text("What the general ledger said was kept.")


def test_a_session_that_ends_in_a_form_loses_nothing(desk: Page, quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    enter(desk.context, quick_api, "reviewer")
    desk.goto("/desk/review?period=2025-03")
    desk.get_by_role("checkbox", name="Charge 4").check()
    desk.get_by_label("Note, kept with your name").fill("the pool pays")
    desk.context.clear_cookies()
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_role("alert")).to_contain_text("You were logged out")
    expect(desk.get_by_label("Note, kept with your name")).to_have_value("the pool pays")
    enter(desk.context, quick_api, "reviewer")  # as in another tab
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_role("status")).to_contain_text("Approved.")
    assert "the pool pays" in Person(quick_api, "reviewer").get("/desk/review/log")


def test_every_page_fits_each_width_stays_where_it_is_and_axe_finds_nothing(
    desk: Page, quick_api: RunningApi, tmp_path: Path
) -> None:
    with_a_month(quick_api, tmp_path)
    enter(desk.context, quick_api, "admin")
    watch(desk.context)
    found = {}
    for path in PAGES:
        desk.goto(path)
        found[path] = problems(desk)
    desk.goto("/desk/settings")
    desk.get_by_label("Regular expression").fill("^(?P<orgn>[^-]+)-(?P<fund>.+)$")
    desk.get_by_label("Texts, a line each").fill("BIO-000001")
    desk.get_by_role("button", name="Try").click()
    expect(desk.get_by_role("cell", name="orgn = BIO")).to_be_visible()
    found["a pattern was tried"] = problems(desk)
    desk.goto("/desk/rates")
    desk.get_by_text("Any rule").click()
    desk.get_by_label("Kind").select_option("markup")
    desk.get_by_label("Name", exact=True).fill("overhead")
    desk.get_by_role("button", name="Try it first, on").last.click()
    expect(desk.get_by_role("heading", name="with this version")).to_be_visible()
    found["a rule was tried"] = problems(desk)
    assert lines_of(found) == ""


def test_an_investigator_sees_the_own_month_says_what_is_wrong_and_nothing_of_others(
    desk: Page, quick_api: RunningApi, tmp_path: Path
) -> None:
    with_a_month(quick_api, tmp_path)
    user = quick_api.callers.user("user", "bound")
    quick_api.callers.users.change(user.id, investigator=ADA["pi_email"], actor=TEST, now=NOW)
    bring(desk.context, quick_api, quick_api.callers.cookie_of(user))
    watch(desk.context)
    found = {}
    for path in ("/desk?period=2025-03", "/desk/charges", "/desk/statements", "/desk/charges/1"):
        desk.goto(path)
        assert [one for one in ("alan@", "enigma", "MAT-000002", "wilhelmina") if one in desk.content()] == [], path
        found[path] = problems(desk)
    desk.goto("/desk?period=2025-03")
    menu = desk.get_by_role("navigation", name="Pages").get_by_role("link")
    assert menu.all_inner_texts() == ["My costs", "Charges", "Statements", "Help"]
    expect(desk.get_by_role("region", name="Funds")).to_contain_text("BIO-000001")
    desk.get_by_role("link", name="S-2025-03-").click()
    desk.get_by_label("What is not right?").fill("the disk was gone by then")
    desk.get_by_label("On which line").fill("1")
    desk.get_by_role("button", name="Send the remark").click()
    expect(desk.get_by_role("status")).to_contain_text("Your remark was kept.")
    expect(desk.get_by_text("the disk was gone by then")).to_be_visible()
    found["a statement"] = problems(desk)
    assert lines_of(found) == ""


def test_a_reviewer_decides_many_by_keys_alone_and_another_ones_decision_stands(
    desk: Page, quick_api: RunningApi, tmp_path: Path
) -> None:
    load(quick_api, tmp_path, *[row(ResourceId=f"n-{one}", Tags="{}", BilledCost="1") for one in range(3)])
    enter(desk.context, quick_api, "reviewer")
    desk.goto("/desk/review?period=2025-03")
    other = desk.context.browser.new_context(base_url=quick_api.url)  # type: ignore[union-attr]
    enter(other, quick_api, "admin")
    second = other.new_page()
    second.goto("/desk/review?period=2025-03")
    keys = desk.keyboard
    keys.press("Tab")
    expect(desk.get_by_role("link", name="Skip to the page")).to_be_focused()
    for key in ("j", "x", "j", "x", "a"):
        keys.press(key)
    expect(desk.get_by_role("status")).to_contain_text("Approved. (2 charges)")
    second.get_by_role("checkbox", name="Charge 4").check()
    second.get_by_role("button", name="Reject").click()
    expect(second.get_by_role("alert")).to_contain_text("4")
    expect(second.get_by_role("checkbox", name="Charge 4")).to_have_count(0)
    other.close()
    keys.press("u")
    expect(desk.get_by_role("status")).to_contain_text("The last decision was taken back.")
    for key in ("j", "k", "r"):
        keys.press(key)
    expect(desk.get_by_role("status")).to_contain_text("Rejected.")
    keys.press("j")
    keys.press("e")
    expect(desk.get_by_label("Pi email")).to_be_focused()
    keys.type(ADA["pi_email"])
    keys.press("Tab")
    keys.type("genome")
    keys.press("Tab")
    keys.type("BIO-000001")
    desk.get_by_role("button", name="Correct and approve").press("Enter")
    expect(desk.get_by_role("status")).to_contain_text("Corrected and approved.")
    desk.get_by_role("link", name="Log", exact=True).press("Enter")
    expect(desk.get_by_role("heading", name="Log of the review")).to_be_visible()
    said = desk.get_by_role("row").all_inner_texts()[1:]
    assert [one.split("\t")[2] for one in said] == ["correct", "reject", "undo", "undo", "approve", "approve"]


def test_a_reviewer_who_is_quicker_than_the_server_loses_no_key_and_a_refusal_stops_the_rest(
    desk: Page, quick_api: RunningApi, tmp_path: Path
) -> None:
    load(quick_api, tmp_path, *[row(ResourceId=f"n-{one}", Tags="{}", BilledCost="1") for one in range(4)])
    enter(desk.context, quick_api, "reviewer")
    desk.goto("/desk/review?period=2025-03")
    waiting = desk.locator("tr[data-row] input[name=ids]")
    expect(waiting).to_have_count(5)
    slow = desk.context.new_cdp_session(desk)
    slow.send("Network.enable")
    limits = {"offline": False, "latency": 100, "downloadThroughput": -1, "uploadThroughput": -1}
    slow.send("Network.emulateNetworkConditions", limits)
    for key in ("j", "a", "j", "r"):
        desk.keyboard.press(key)
    expect(waiting).to_have_count(3)
    expect(desk.get_by_role("status")).to_contain_text("Rejected.")
    first = int(waiting.first.get_attribute("value") or "0")
    Person(quick_api, "admin").post("/desk/review", ids=str(first), verdict="approve")
    for key in ("k", "k", "a", "a"):
        desk.keyboard.press(key)
    expect(desk.get_by_role("alert")).to_contain_text(str(first))
    expect(waiting).to_have_count(2)


def test_finance_sees_makes_fetches_and_answers_a_journal(desk: Page, quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    with_books(quick_api)
    person, month = Person(quick_api, "operator"), {"period": "2025-03"}
    person.post("/desk/periods/2025-03/close")
    person.post("/desk/statements/generate", **month, apply="yes")
    enter(desk.context, quick_api, "reviewer")
    desk.goto("/desk/journals?period=2025-03")
    desk.get_by_role("button", name="Show what would be written").click()
    expect(desk.get_by_text("43.30\u00a0USD").first).to_be_visible()
    expect(desk.get_by_text("Nothing was written.")).to_be_visible()
    desk.get_by_role("button", name="Make it").click()
    expect(desk.get_by_role("status")).to_have_text("The journals were made.")
    desk.get_by_role("link", name="J-2025-03-0001", exact=True).click()
    with desk.expect_download() as fetched:
        desk.get_by_role("button", name="Download").click()
    assert fetched.value.path().read_text("utf-8").count("\n") > 3
    desk.get_by_label("Its own number of the journal").fill("DOC1")
    desk.get_by_role("button", name="It is posted").click()
    expect(desk.get_by_role("status")).to_have_text("What the general ledger said was kept.")
    desk.get_by_role("link", name="Does the month tie out?").click()
    expect(desk.get_by_role("row", name="Unexplained")).to_contain_text("0.00\u00a0USD")
