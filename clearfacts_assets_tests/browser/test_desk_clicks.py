"""How many clicks each task takes on the desk, counted in the browser as a person makes them, for docs/desk.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import row, write
from clearfacts_assets_tests.fixtures.chargeback_api import rows_of_two
from clearfacts_assets_tests.fixtures.desk import Person, with_books
from clearfacts_assets_tests.fixtures.desk_browser import PATIENCE, clicks, enter, watch

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "desk.md"
TABLE = re.compile(r"^\| (?P<task>[^|]+) \| (?P<here>\d+) \| (?P<there>[^|]+) \|$", re.MULTILINE)


class Clicking:
    """Somebody at the desk. ``done`` ends a task, and counts."""

    def __init__(self, page: Page, office: Person) -> None:
        self.page, self.office = page, office
        self.counted: dict[str, int] = {}

    def menu(self, name: str) -> None:
        self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        expect(self.page.get_by_role("link", name=name, exact=True).first).to_have_attribute("aria-current", "page")
        expect(self.page.locator("main[aria-busy]")).to_have_count(0)  # where it was that page already, it comes anew

    def link(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()

    def button(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def told(self, text: str) -> None:
        expect(self.page.get_by_role("status").first).to_contain_text(text)

    def done(self, task: str) -> None:
        self.counted[task] = clicks(self.page)


def bring(who: Clicking, folder: Path) -> None:
    waiting = [row(ResourceId=f"n-{one}", Tags='{"fund_org": "BIO-000001"}', BilledCost="7") for one in range(3)]
    page, files = who.page, [write(folder / "aws_2025-03.csv", [*rows_of_two()[:3], *waiting[:2]])]
    files.append(write(folder / "aws_2025-03_b.csv", waiting[2:]))
    who.menu("Cost sources")
    page.get_by_text("Add a source").click()
    page.get_by_label("Name", exact=True).fill("aws")
    page.get_by_label("Names of its files").fill("aws_*.csv")
    page.get_by_label("Fund that journals credit").fill("IT-CLOUD")
    who.button("Save")
    who.told("Saved.")
    who.done("add a cost source, with its pattern and the fund it credits")
    who.menu("Imports")
    page.get_by_label("Files of one delivery").set_input_files(files)
    who.button("Show what would change")
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    seen = clicks(page)
    who.counted["see what an import would do, and do nothing"] = seen
    who.button("Apply")
    who.told("Imported.")
    who.counted["import several files at once, source and month guessed"] = seen + clicks(page)


def look_and_decide(who: Clicking) -> None:
    page = who.page
    who.menu("Charges")
    page.get_by_label("Search").fill("Quantum")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    who.done("find charges by any text")
    who.menu("Charges")
    with page.expect_download():
        who.link("Export as CSV")
    who.done("export charges as CSV")
    who.menu("Review")
    page.get_by_role("checkbox", name="Charge 4").check()
    page.get_by_label("Note, kept with your name").fill("she said so")
    who.button("Approve")
    who.told("Approved.")
    who.done("approve or reject one, with a note")
    who.menu("Review")
    page.keyboard.press("j")
    page.keyboard.press("a")
    who.told("Approved.")
    who.done("approve or reject one, by the keyboard")
    who.menu("Dashboard")
    page.get_by_role("link", name="Next step: Review what waits").click()
    page.get_by_label("all that fit the filters").check()
    who.button("Approve")
    who.told("Approved.")
    who.done("approve or reject all of a month")
    who.menu("Review")
    who.link("Log")
    expect(page.get_by_role("heading", name="Log of the review")).to_be_visible()
    who.done("see who decided what, and when")


def close(who: Clicking) -> None:
    page = who.page
    who.menu("Months")
    who.link("March 2025")
    page.get_by_role("button", name="Close", exact=True).click()
    who.told("The month is closed.")
    who.done("close a month")
    who.menu("Months")
    who.link("March 2025")
    page.locator("#reason-reopen").fill("one file is missing")
    who.button("Open again")
    who.told("The month is open again.")
    who.done("open it again, with a reason")
    who.menu("Months")
    who.link("March 2025")
    page.get_by_role("button", name="Close", exact=True).click()
    who.told("The month is closed.")
    clicks(page)


def issue(who: Clicking) -> None:
    page = who.page
    who.menu("Statements")
    who.link("Make statements")
    who.button("Show what would be issued")
    who.button("Issue them")
    who.told("The statements were made.")
    who.done("make all statements of a month")
    who.menu("Statements")
    page.get_by_role("link", name="S-2025-03-0001").click()
    expect(page.get_by_role("heading", name="S-2025-03-0001")).to_be_visible()
    looked = clicks(page)
    who.counted["look at a statement"] = looked
    with page.expect_download():
        who.link("Download the PDF")
    who.counted["download its PDF"] = looked + clicks(page)
    who.menu("E-mails")
    who.button("Show who would get a mail")
    who.button("Send them")
    who.told("The mails wait")
    who.done("send all statements")
    who.menu("E-mails")
    who.done("see what was sent, and what came back")
    mail = page.get_by_role("main").get_by_role("link", name=re.compile("@")).first
    # No mail server is set: somebody has decided that it never leaves.
    who.office.post(f"{mail.get_attribute('href')}/drop", reason="on paper")
    mail.click()
    page.get_by_text("Send it again", exact=True).first.click()
    page.get_by_label("I know that it may arrive twice").check()
    page.get_by_role("button", name="Send it again").click()
    who.told("It was sent once more")
    who.counted["send one again"] = 1 + clicks(page)


def book(who: Clicking) -> None:
    page = who.page
    who.menu("Journals")
    who.button("Show what would be written")
    expect(page.get_by_text("Nothing was written.")).to_be_visible()
    seen = clicks(page)
    who.counted["see a journal's lines before it is made"] = seen
    who.button("Make it")
    who.told("The journals were made.")
    who.counted["make it"] = seen + clicks(page)
    who.menu("Journals")
    with page.expect_download():
        page.get_by_role("link", name="Download the file of J-2025-03-0001").click()
    who.done("download a journal")
    who.menu("Months")
    who.link("March 2025")
    page.get_by_text("Finalize the month").click()
    page.get_by_label("Type 2025-03 to confirm").fill("2025-03")
    who.button("Finalize for ever")
    who.told("The month is finalized.")
    who.done("finalize a month")


def administer(who: Clicking) -> None:
    page = who.page
    who.menu("Settings")
    page.get_by_label("Regular expression").fill("^IT-")
    page.get_by_label("Texts, a line each").fill("IT-CLOUD")
    who.button("Try")
    expect(page.get_by_role("region", name="What the pattern finds")).to_be_visible()
    who.done("try a pattern")
    who.menu("Users")
    page.get_by_text("Add a user").click()
    page.get_by_label("User name").fill("kim")
    page.get_by_label("E-mail").fill("kim@example.org")
    page.get_by_label("Role").first.select_option("reviewer")
    page.get_by_label("First password").fill("a long enough secret 41")
    page.get_by_role("button", name="Add", exact=True).click()
    who.told("The user was saved.")
    who.done("add a user with a role")


TASKS: tuple[Callable[[Clicking], None], ...] = (look_and_decide, close, issue, book, administer)


def test_the_docs_say_how_many_clicks_each_task_takes(
    chromium: Browser,
    quick_api: RunningApi,
    tmp_path: Path,
) -> None:
    with_books(quick_api)
    context = chromium.new_context(base_url=quick_api.url, viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(PATIENCE)
    enter(context, quick_api, "admin")
    watch(context, counting=True)
    page = context.new_page()
    page.goto("/desk/help")
    clicks(page)
    who = Clicking(page, Person(quick_api, "operator"))
    bring(who, tmp_path)
    for task in TASKS:
        task(who)
    context.close()
    said = {one["task"]: int(one["here"]) for one in TABLE.finditer(DOCUMENT.read_text("utf-8"))}
    assert who.counted == said, "docs/desk.md, the clicks of each task"


@pytest.mark.parametrize("task", ["look at a statement", "try a pattern"])
def test_the_table_names_the_other_tools_clicks(task: str) -> None:
    assert {one["task"]: one["there"] for one in TABLE.finditer(DOCUMENT.read_text("utf-8"))}[task]
