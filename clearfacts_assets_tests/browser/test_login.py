"""A real browser at the door: the login page, Dagster's UI for an operator and for a reader, and the way out."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import PASSWORD
from clearfacts_assets_tests.fixtures.desk_browser import PATIENCE


@pytest.fixture
def page(chromium: Browser, quick_api: RunningApi) -> Iterator[Page]:
    """At a server of the application that also speaks websockets. Each test checks that no script failed."""
    server = uvicorn.Server(uvicorn.Config(quick_api.app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    context = chromium.new_context(base_url=f"http://127.0.0.1:{port}", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    server.should_exit = True
    thread.join(120)
    assert faults == []


def log_in(page: Page, api: RunningApi, role: str, password: str = PASSWORD) -> None:
    api.callers.user(role)
    page.get_by_label("User name").fill(role)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_stranger_is_asked_who_it_is_and_led_on_afterwards(page: Page, quick_api: RunningApi) -> None:
    page.goto("/jobs?x=1")
    expect(page).to_have_title(re.compile("Log in"))
    expect(page.get_by_label("User name")).to_be_focused()
    log_in(page, quick_api, "operator", "not the password")
    expect(page.get_by_role("alert")).to_have_text("That name and password do not fit together.")
    expect(page.get_by_label("User name")).to_have_value("operator")
    log_in(page, quick_api, "operator")
    page.wait_for_url("**/jobs?x=1")


def test_an_operator_has_dagsters_ui_whole(page: Page, quick_api: RunningApi) -> None:
    page.goto("/assets")
    with page.expect_websocket(lambda socket: socket.url.endswith("/graphql")):
        log_in(page, quick_api, "operator")
    expect(page.get_by_text("raw_invoices").first).to_be_visible()
    page.goto("/locations/clearfacts_assets/jobs/manual_trigger/playground")
    expect(page.get_by_role("button", name="Launch Run")).to_be_visible()


def test_a_reader_sees_everything_and_changes_nothing(page: Page, quick_api: RunningApi) -> None:
    page.goto("/locations/clearfacts_assets/jobs/manual_trigger")
    log_in(page, quick_api, "user")
    expect(page.get_by_text("raw_invoices").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Materialize all"))).to_be_disabled()
    expect(page.get_by_text("Launchpad")).to_have_count(0)
    # What the page does not offer is refused too.
    status = page.evaluate(
        """() => fetch("/graphql", {method: "POST", headers: {"Content-Type": "application/json"},
             body: JSON.stringify({query: "mutation { setConcurrencyLimit(concurrencyKey: \\"x\\", limit: 1) }"})})
             .then(answer => answer.status)"""
    )
    assert status == 403


def test_one_logs_out_by_the_link_on_dagsters_page(page: Page, quick_api: RunningApi) -> None:
    page.goto("/")
    log_in(page, quick_api, "user")
    page.get_by_role("link", name="Log out user (user)").click()
    expect(page.get_by_text("You are logged in as user (user).")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_title(re.compile("Log in"))
    page.goto("/runs")
    expect(page).to_have_title(re.compile("Log in"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_fits_a_telephone(page: Page, scheme: str) -> None:
    page.set_viewport_size({"width": 320, "height": 480})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto("/login")
    assert page.evaluate("document.documentElement.scrollWidth <= 320")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
