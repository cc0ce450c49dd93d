"""What is told of systems: that one went down, that it is back, each once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from clearfacts_assets.health.probes import Health
from clearfacts_assets.notifications import slack_messages
from clearfacts_assets.notifications.at_once import tell_at_once
from clearfacts_assets.notifications.outbox import Matter, last_of
from clearfacts_assets.notifications.routes import tell
from clearfacts_assets.settings import Settings

DOWN, UP = "health-down", "health-up"  # kinds of alerts


def tell_at_once_of_database(configured: Settings, verdict: Health, *, now: datetime) -> None:
    """The database is down, and the outbox with it. Raises NotTold."""
    tell_at_once(configured, _down(configured, verdict, now), DOWN)


def tell_of_recovery(engine: Engine, configured: Settings, system: str, *, since: datetime, now: datetime) -> bool:
    """A system is back whose fall the outbox did not see."""
    back = slack_messages.HealthRecovered(system, since, now, configured.public_address)
    subject = f"health:{system}:up:{now.isoformat()}"
    return tell(engine, configured, subject, slack_messages.health_recovered(back), now, Matter(UP, system, now))


def tell_of_health(engine: Engine, configured: Settings, verdicts: Sequence[Health], *, now: datetime) -> int:
    """Tell of each system that went down or came back since the last word about it. Returns how many were told."""
    told = 0
    for verdict in verdicts:
        down_since = _down_since(engine, verdict.system)
        if verdict.healthy == (down_since is None):
            continue
        if down_since is None:
            subject = f"health:{verdict.system}:down:{now.isoformat()}"
            message = _down(configured, verdict, now)
            told += tell(engine, configured, subject, message, now, Matter(DOWN, verdict.system, now))
        else:
            told += tell_of_recovery(engine, configured, verdict.system, since=down_since, now=now)
    return told


def _down(configured: Settings, verdict: Health, now: datetime) -> slack_messages.Message:
    return slack_messages.health_down(
        slack_messages.HealthDown(verdict.system, verdict.message, now, configured.public_address)
    )


def _down_since(engine: Engine, system: str) -> datetime | None:
    """Since when the system has been told to be down; None if the last word was that it is up, or none was said."""
    last = last_of(engine, [DOWN, UP], system)
    return last.at if last is not None and last.kind == DOWN else None
