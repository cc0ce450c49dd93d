"""From a fact to the channels that its kind of alert has: one row of the outbox for each, written together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from clearfacts_assets.notifications.outbox import OTHER, Matter, enqueue
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.database import write


def tell(
    engine: Engine,
    configured: Settings,
    subject: str,
    message: Mapping[str, Any],
    now: datetime,
    matter: Matter = OTHER,
) -> bool:
    """Write down what must be told, for each of its channels; False where this subject was written down before.

    The first channel's row has the subject itself, by which it is known later.
    """
    first, *others = configured.alerts.channels(matter.kind, configured.slack.channel)

    def work(connection: Connection) -> bool:
        if not enqueue(connection, subject, first, message, now, matter):
            return False
        for channel in others:
            enqueue(connection, f"{subject} to {channel}", channel, message, now, matter)
        return True

    return write(engine, work, repeatable=True)
