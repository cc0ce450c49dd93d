"""The pictures of chargeback in Dagster's UI, made anew: ``.venv/bin/python docs/dagster_pictures.py [FOLDER]``.

Four months of made-up exports are imported, `charges` and `approved_charges` of the last two are materialized by their
own jobs, and Dagster's asset pages are photographed as an operator sees them (chromium has to be installed).
"""

from __future__ import annotations

import io
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chargeback_api import served
from clearfacts_assets import settings
from clearfacts_assets.chargeback.defs.partitions import SOURCE_PARTITIONS
from clearfacts_assets.cli.chargeback.sample import load_sample
from clearfacts_assets.definitions import defs
from clearfacts_assets_tests.fixtures.api import RunningApi

IMAGES = Path(__file__).parent / "images"
MONTHS, SOURCE = ("2026-09", "2026-10"), "cloud"
SIZE = {"width": 1440, "height": 1000}
COLOURS = 128
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PATIENCE = 300_000  # milliseconds


def materialize(api: RunningApi) -> None:
    """Both assets of both months, each by the job that people start."""
    instance = api.instance
    instance.add_dynamic_partitions(SOURCE_PARTITIONS, [SOURCE])
    for month in MONTHS:
        for job, key in (("import_of_charges", f"{month}|{SOURCE}"), ("approval_of_charges", month)):
            defs.resolve_job_def(job).execute_in_process(partition_key=key, instance=instance, run_config=QUIET)


@contextmanager
def browser_at(api: RunningApi) -> Iterator[Page]:
    """At a server that also speaks websockets, logged in."""
    server = uvicorn.Server(uvicorn.Config(api.app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    name, _, value = api.callers.cookie("operator")["Cookie"].partition("=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(base_url=url, viewport=SIZE, reduced_motion="reduce")  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": name, "value": value, "url": url}])
        yield context.new_page()
        browser.close()
    server.should_exit = True
    thread.join(60)


def keep(page: Page, folder: Path, name: str) -> None:
    page.wait_for_timeout(800)  # its drawers slide
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)
    sys.stdout.write(f"{name}.png: {(folder / f'{name}.png').stat().st_size / 1000:.0f} kB\n")


def photograph(page: Page, folder: Path, asset: str, partition: str) -> None:
    """An asset's page at a partition, and its charts opened as *Show Markdown* opens them."""
    name = f"dagster-{asset.replace('_', '-')}"
    page.goto(f"/assets/{asset}?view=partitions&partition={quote(partition)}")
    page.get_by_text("Show Markdown").first.wait_for()
    page.wait_for_timeout(1500)
    if (invitation := page.get_by_role("button", name="Skip")).count():  # Dagster's, at the first look of all
        invitation.click()
    keep(page, folder, f"{name}-tables")
    page.get_by_text("Show Markdown").first.click()
    page.locator("img[src^='data:image/svg']").first.wait_for()
    keep(page, folder, f"{name}-charts")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory(prefix="clearfacts-") as home, served(Path(home) / "clearfacts.db") as api:
        settings.load.cache_clear()  # its home is known only now
        load_sample(api.engine, MONTHS[-1])
        materialize(api)
        with browser_at(api) as page:
            photograph(page, folder, "charges", f"{MONTHS[-1]}|{SOURCE}")
            photograph(page, folder, "approved_charges", MONTHS[-1])


if __name__ == "__main__":
    main()
