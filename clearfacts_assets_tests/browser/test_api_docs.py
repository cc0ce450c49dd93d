"""The API as a page in a real browser: served by us alone, tried with the session's own rights, under the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from clearfacts_assets_tests.browser.test_login import log_in
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.desk_browser import PATIENCE

API = "/api/v1"
DOCS = f"{API}/docs"


@pytest.fixture
def docs(chromium: Browser, quick_api: RunningApi) -> Iterator[Page]:
    """Each test checks that the console has no fault and that no other host was asked."""
    faults: list[str] = []
    context = chromium.new_context(base_url=quick_api.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda request: faults.append(request.url) if not is_ours(request.url, quick_api) else None)
    yield page
    context.close()
    assert faults == []


def is_ours(url: str, api: RunningApi) -> bool:
    return url.startswith((api.url, "data:"))


def executed(page: Page, path: str) -> Locator:
    """The answer that the page shows to a request on that path."""
    block = page.locator(".opblock", has=page.locator(f'[data-path="{path}"]')).first
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    return block.locator(".live-responses-table")


def test_an_operator_tries_requests_with_the_own_session_and_all_of_it_comes_from_us(
    docs: Page, quick_api: RunningApi
) -> None:
    docs.goto(DOCS)
    log_in(docs, quick_api, "operator")
    docs.wait_for_url(f"**{DOCS}")
    expect(docs.get_by_role("heading", name=re.compile("^clearfacts_assets"))).to_be_visible()
    docs.locator("#operations-tag-auth").click()
    with docs.expect_request(f"**{API}/auth/logout") as sent:
        answer = executed(docs, f"{API}/auth/logout")
    assert sent.value.headers["x-csrf-token"], "a change is allowed to the session by its CSRF token alone"
    expect(answer).to_contain_text('"success": true')


def test_the_page_and_its_files_are_for_known_ones_and_strangers_are_led_to_the_login(quick_api: RunningApi) -> None:
    stranger, user = quick_api.client(None), quick_api.client("user")
    led = stranger.get(DOCS, headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, f"/login?next={DOCS}")
    for path in (DOCS, f"{DOCS}/docs.js", f"{DOCS}/swagger-ui-bundle.js"):
        assert stranger.get(path).status_code == httpx.codes.UNAUTHORIZED
        answer = user.get(path)
        assert answer.status_code == httpx.codes.OK
        policy = answer.headers["content-security-policy"]
        assert "'unsafe" not in policy
        assert "script-src 'self';" in policy
    page = user.get(DOCS).text
    assert re.findall(r"<script(?! src=)|\bstyle=|<style|\bon\w+=|https?://", page) == []
    assert user.get(f"{DOCS}/core.py").status_code == httpx.codes.NOT_FOUND
