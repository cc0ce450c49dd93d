"""The pictures of desk.md, made anew: ``.venv/bin/python docs/desk_pictures.py`` (chromium has to be installed).

A month of made-up exports is played over HTTP as people do it; each page is photographed where the month has come to,
and kept as a PNG of few colours, some tens of kB each.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_api import served
from clearfacts_assets.cli.chargeback.sample import load_sample
from clearfacts_assets.simulator.cost_exports import write_month
from clearfacts_assets_tests.fixtures.api import RunningApi
from clearfacts_assets_tests.fixtures.callers import TEST
from clearfacts_assets_tests.fixtures.chargeback import NOW
from clearfacts_assets_tests.fixtures.desk import Person, with_books

IMAGES = Path(__file__).parent / "images"
MONTH, NEXT = "2025-03", "2025-04"
WIDE, NARROW = (1280, 860), (390, 780)
COLOURS = 128


class Camera:
    """A browser at our application."""

    def __init__(self, api: RunningApi, page: Page) -> None:
        self.api, self.page = api, page

    def enter(self, headers: dict[str, str]) -> None:
        """As somebody else."""
        name, _, value = headers["Cookie"].partition("=")
        self.page.context.add_cookies([{"name": name, "value": value, "url": self.api.url}])

    def look(self, path: str, *, narrow: bool = False, dark: bool = False) -> None:
        """Go there."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        width, height = NARROW if narrow else WIDE
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(path)

    def keep(self, name: str, *, wait: float = 0) -> None:
        """As it is on the screen now."""
        self.page.wait_for_timeout(wait)
        picture = Image.open(io.BytesIO(self.page.screenshot(animations="disabled"))).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
        sys.stdout.write(f"{name}.png: {(IMAGES / f'{name}.png').stat().st_size / 1000:.0f} kB\n")


@contextmanager
def camera(home: Path) -> Iterator[Camera]:
    with served(home / "clearfacts.db") as api, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(base_url=api.url, reduced_motion="reduce")
        yield Camera(api, context.new_page())
        browser.close()


def the_month_comes(eye: Camera, home: Path) -> None:
    eye.look("/desk/imports")
    file = write_month(home, "aws", NEXT, surge=True)
    eye.page.get_by_label("Files of one delivery").set_input_files(file)
    eye.page.get_by_role("button", name="Show what would change").click()
    eye.page.get_by_role("heading", name="What would change").wait_for()
    eye.keep("desk-difference")
    eye.look("/desk/review")
    eye.page.keyboard.press("j")
    eye.page.keyboard.press("x")
    eye.keep("desk-review")
    eye.look("/desk/charges/40", dark=True)
    eye.keep("desk-charge-dark")
    eye.look(f"/desk?period={MONTH}")
    eye.keep("desk-dashboard")
    eye.look("/desk/rates")
    eye.page.get_by_text("Any rule").click()
    eye.page.get_by_label("Kind").select_option("markup")
    eye.page.get_by_label("Name", exact=True).fill("overhead")
    eye.page.get_by_role("button", name="Try it first, on").last.click()
    eye.page.get_by_role("region", name="with this version").wait_for()
    eye.keep("desk-trial")


def the_month_goes(eye: Camera, office: Person) -> None:
    office.post(f"/desk/periods/{MONTH}/close")
    office.post("/desk/rates/run", period=MONTH, apply="yes")
    office.post("/desk/statements/generate", period=MONTH, apply="yes")
    eye.look(f"/desk/statements/S-{MONTH}-0001")
    eye.keep("desk-statement", wait=2500)  # the browser's own viewer says nothing when it has drawn the PDF
    eye.look(f"/desk/statements/S-{MONTH}-0001", narrow=True, dark=True)
    eye.keep("desk-statement-narrow", wait=1500)
    eye.look(f"/desk/emails/preview?period={MONTH}")
    eye.keep("desk-emails")
    eye.look(f"/desk/journals?period={MONTH}")
    eye.page.get_by_role("button", name="Show what would be written").click()
    eye.page.get_by_text("Nothing was written.").first.wait_for()
    eye.keep("desk-journal")
    office.post("/desk/journals", period=MONTH, apply="yes")
    eye.look(f"/desk/journals/check/{MONTH}", dark=True)
    eye.keep("desk-tie-out-dark")
    office.post("/desk/language", language="nl", back="/desk")
    eye.page.context.add_cookies([{"name": "clearfacts_language", "value": "nl", "url": eye.api.url}])
    eye.look("/desk/imports")
    eye.keep("desk-imports-nl")
    eye.page.context.clear_cookies(name="clearfacts_language")


def an_investigator(eye: Camera) -> None:
    shown = Person(eye.api, "operator").get(f"/desk/statements?period={MONTH}&kind=investigator")
    person = next(word.strip("<>/td") for word in shown.split("<td>") if "@" in word).partition("<")[0]
    user = eye.api.callers.user("user", "bound")
    eye.api.callers.users.change(user.id, investigator=person, actor=TEST, now=NOW)
    eye.page.context.clear_cookies()
    eye.enter(eye.api.callers.cookie_of(user))
    eye.look(f"/desk?period={MONTH}", narrow=True)
    eye.keep("desk-own-narrow")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="clearfacts-pictures-") as folder, camera(Path(folder)) as eye:
        load_sample(eye.api.engine, MONTH)
        with_books(eye.api)
        eye.enter(eye.api.callers.cookie("operator"))
        the_month_comes(eye, Path(folder))
        the_month_goes(eye, Person(eye.api, "operator"))
        an_investigator(eye)


if __name__ == "__main__":
    main()
