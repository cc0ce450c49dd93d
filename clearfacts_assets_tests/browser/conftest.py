"""One Chromium for all tests in a browser; each has windows of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the process that only hands tests to others reads this file too, and needs none of it
    from playwright.sync_api import Browser

# The same browser without a window's parts takes half of the processor's time; the whole one serves as well.
CHROMIUM = next(
    (file for name in ("chromium-headless-shell", "chromium") if (file := Path("/usr/bin", name)).is_file()), None
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium in /usr/bin: apt-get install chromium-headless-shell")
    from playwright.sync_api import expect, sync_playwright

    from clearfacts_assets_tests.fixtures.desk_browser import PATIENCE

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()
