"""What people are told of cost exports: a delivery was not imported, rows were refused, a file belongs to nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine

from clearfacts_assets.chargeback_settings import DELIVERY, STRAYS
from clearfacts_assets.notifications.outbox import Matter
from clearfacts_assets.notifications.routes import tell
from clearfacts_assets.notifications.slack_messages import plain_fact
from clearfacts_assets.settings import Settings

NAMED = 10  # files in one message


def tell_of_delivery(
    engine: Engine, configured: Settings, name: str, run_id: str, *, why: str, refused: int, now: datetime
) -> bool:
    """Tell that a delivery was not imported, or that rows of it were refused; nothing where all went well.

    The subject is that of the run: the general alert of a run that failed is then not written a second time.
    """
    if not why and not refused:
        return False
    if why:
        title, told = f"{name} was not imported", f"Nothing has changed. {why}"
    else:
        rows = "1 row was" if refused == 1 else f"{refused:,} rows were"
        title = f"{name}: {rows} refused"
        told = "The others are charges. See which: `clearfacts chargeback imports list`, then `refusals export`."
    message = plain_fact(title, told, f"{configured.public_address}/runs/{run_id}", "Open the run")
    return tell(engine, configured, f"job:{run_id}", message, now, Matter(DELIVERY, name))


def tell_of_strays(
    engine: Engine, configured: Settings, folder: str, strays: Mapping[str, str], *, now: datetime
) -> bool:
    """Tell what lies in the landing folder and will never be imported: once for the same files."""
    if not strays:
        return False
    lines = [f"• {name}: {why}" for name, why in list(strays.items())[:NAMED]]
    if len(strays) > NAMED:
        lines.append(f"• and {len(strays) - NAMED} more")
    title = "1 thing in the landing folder is no delivery"
    if len(strays) > 1:
        title = f"{len(strays)} things in the landing folder are no deliveries"
    digest = hashlib.sha256("\n".join([folder, *strays]).encode("utf-8", "surrogateescape")).hexdigest()
    message = plain_fact(title, "\n".join([f"{folder}:", *lines]))
    return tell(engine, configured, f"{STRAYS}:{digest}", message, now, Matter(STRAYS, folder))
