"""The desk in a real browser: a month by the keyboard, both widths, both schemes, axe-core, a session that ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from clearfacts_assets_tests.browser.test_login import PATIENCE, chromium, pytestmark  # noqa: F401
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.chargeback import row, write
from clearfacts_assets_tests.fixtures.chargeback_api import load, rows_of_two
from clearfacts_assets_tests.fixtures.desk import Person, with_books

WIDTHS = ((1440, 900), (1280, 800), (360, 780))
MONEY = (
    *("/desk", "/desk/emails?period=2025-03", "/desk/emails/1", "/desk/journals?period=2025-03", "/desk/rates"),
    *("/desk/journals/J-2025-03-0001", "/desk/journals/check/2025-03", "/desk/exceptions", "/desk/sources"),
    *("/desk/statements/generate", "/desk/settings"),
)
LONG = {"pi_email": "wilhelmina.featherstonehaugh-smythe@department-of-physics.example.edu", "project_id": "x"}
# Cards out of which something stands; those that scroll by themselves may hold what is wider.
OVERFLOWING = """[...document.querySelectorAll(".card")].filter(card => getComputedStyle(card).overflowX === "visible"
    && card.scrollWidth > card.clientWidth + 1).map(card => card.innerText.slice(0, 60))"""


@pytest.fixture
def desk(chromium: Browser, quick_api: RunningApi) -> Iterator[Page]:  # noqa: F811
    """A reviewer's browser. Each test checks that no script failed and that the policy refused nothing."""
    faults: list[str] = []
    context = chromium.new_context(base_url=quick_api.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert faults == []


def enter(page: Page, api: RunningApi, role: str) -> None:
    """With the role's session."""
    name, _, value = api.callers.cookie(role)["Cookie"].partition("=")
    page.context.add_cookies([{"name": name, "value": value, "url": api.url}])


def violations(page: Page) -> list[Any]:
    found = Axe().run(page).response
    assert found["passes"], "axe looked at the page"
    return [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]


def test_a_month_by_hand_and_key(desk: Page, quick_api: RunningApi, tmp_path: Path) -> None:
    """Files dropped, the difference seen and applied, a charge decided and undone by keys, all in one page's life."""
    enter(desk, quick_api, "operator")
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
    enter(desk, quick_api, "operator")
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
    desk.get_by_text("Close the month").click()
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
    found = []
    for number, path in enumerate(MONEY):
        desk.emulate_media(color_scheme=("light", "dark")[number % 2])  # type: ignore[arg-type]
        desk.set_viewport_size({"width": 360, "height": 780})
        desk.goto(path)
        assert desk.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert desk.evaluate(OVERFLOWING) == [], path
        found += violations(desk)
    assert found == []


def test_a_session_that_ends_in_a_form_loses_nothing(desk: Page, quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path)
    enter(desk, quick_api, "reviewer")
    desk.goto("/desk/review?period=2025-03")
    desk.get_by_role("checkbox", name="Charge 4").check()
    desk.get_by_label("Note, kept with your name").fill("the pool pays")
    desk.context.clear_cookies()
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_role("alert")).to_contain_text("You were logged out")
    expect(desk.get_by_label("Note, kept with your name")).to_have_value("the pool pays")
    enter(desk, quick_api, "reviewer")  # as in another tab
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_role("status")).to_contain_text("Approved.")
    assert "the pool pays" in Person(quick_api, "reviewer").get("/desk/review/log")


def test_pages_fit_and_axe_finds_nothing(desk: Page, quick_api: RunningApi, tmp_path: Path) -> None:
    load(quick_api, tmp_path, row(ResourceId="d-1", Tags=json.dumps(LONG), BilledCost="1234567.89"))
    enter(desk, quick_api, "operator")
    found = []
    for number, path in enumerate(("/desk", "/desk/review", "/desk/charges", "/desk/registry/funds", "/desk/imports")):
        desk.emulate_media(color_scheme=("light", "dark")[number % 2])  # type: ignore[arg-type]
        for width, height in WIDTHS:
            desk.set_viewport_size({"width": width, "height": height})
            desk.goto(path)
            assert desk.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            assert desk.evaluate(OVERFLOWING) == [], (path, width)
        found += violations(desk)
    assert found == []
