"""desk-axe.md, made anew: ``.venv/bin/python docs/desk_axe.py`` (chromium has to be installed).

axe-core's whole set of rules on each page of the desk, in light and in dark, at two widths. The tests hold the same of
each page with one run of all rules; this one is for who wants to see what was asked.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_api import served
from clearfacts_assets_tests.browser.test_desk import PAGES, with_a_month
from clearfacts_assets_tests.fixtures.desk_browser import enter

REPORT = Path(__file__).parent / "desk-axe.md"
MODES = ("light", "dark")
WIDTHS = ((360, 780), (1440, 900))
HEAD = """# What axe-core says of the desk

{engine} with all its rules, on {pages} pages of a closed month with statements, mails and a journal, in light and in
dark, {widths} pixels wide: {passed:,} checks of a rule on a page passed, **{violations} violations**. What axe cannot
decide by itself ("to be looked at") was looked at: {undecided}.
Made by `docs/desk_axe.py`.

| page | passed | to be looked at | violations |
|---|--:|--:|--:|
"""
UNDECIDED = (
    "a link of the menu that a narrow window scrolls half out of sight (its colours are those of its neighbours), the\n"
    "tick of the dashboard's list, which is no text, and the browser's own viewer of a PDF in a frame"
)


def results(page: Page, path: str) -> list[dict[str, Any]]:
    """Of each mode and width."""
    page.goto(path)
    found = []
    for mode in MODES:
        page.emulate_media(color_scheme="dark" if mode == "dark" else "light")
        for width, height in WIDTHS:
            page.set_viewport_size({"width": width, "height": height})
            found.append(Axe().run(page).response)
    return found


def main() -> None:
    rows, passed, violations, engine, undecided = [], 0, 0, "", set[str]()
    with (
        tempfile.TemporaryDirectory(prefix="clearfacts-axe-") as folder,
        served(Path(folder) / "clearfacts.db") as api,
        sync_playwright() as playwright,
    ):
        with_a_month(api, Path(folder))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(base_url=api.url, reduced_motion="reduce")
        enter(context, api, "admin")
        page = context.new_page()
        for path in PAGES:
            found = results(page, path)
            engine = f"axe-core {found[0]['testEngine']['version']}"
            counts = [sum(len(one[kind]) for one in found) for kind in ("passes", "incomplete", "violations")]
            undecided |= {rule["id"] for one in found for rule in one["incomplete"]}
            rows.append(f"| `{path}` | {counts[0]} | {counts[1]} | {counts[2]} |")
            passed, violations = passed + counts[0], violations + counts[2]
            sys.stdout.write(f"{path}: {counts}\n")
        browser.close()
    sys.stdout.write(f"to be looked at: {sorted(undecided)}\n")
    head = HEAD.format(
        engine=engine, pages=len(PAGES), widths=" and ".join(str(width) for width, _ in WIDTHS), passed=passed,
        violations=violations, undecided=UNDECIDED if undecided else "there is nothing of it",
    )  # fmt: skip
    REPORT.write_text(head + "\n".join(rows) + "\n", "utf-8")


if __name__ == "__main__":
    main()
