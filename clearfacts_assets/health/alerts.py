"""What is told of systems: that one went down, that it is back, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from clearfacts_assets.alert_settings import HEALTH_DOWN as DOWN
from clearfacts_assets.alert_settings import HEALTH_UP as UP
from clearfacts_assets.health.probes import Health
from clearfacts_assets.notifications.at_once import tell_at_once
from clearfacts_assets.notifications.outbox import Matter, last_of
from clearfacts_assets.notifications.routes import tell
from clearfacts_assets.notifications.slack_messages import Message, escaped, instant, link, message_of, section
from clearfacts_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class HealthDown:
    """A system that we need does not answer as it should."""

    system: str
    detail: str
    since: datetime
    url: str = ""


@dataclass(frozen=True, slots=True)
class HealthRecovered:
    """A system that was down answers again."""

    system: str
    down_since: datetime
    recovered_at: datetime
    url: str = ""


def health_down(fact: HealthDown) -> Message:
    blocks = [section(escaped(fact.detail or "no reason was given"))]
    context = [f"Since {instant(fact.since)}", *link(fact.url, "Open health")]
    return message_of(f"{fact.system} is down", fact.detail, blocks, context)


def health_recovered(fact: HealthRecovered) -> Message:
    lasted = timedelta(seconds=round(max((fact.recovered_at - fact.down_since).total_seconds(), 0)))
    told = f"It was down from {instant(fact.down_since)} to {instant(fact.recovered_at)} ({lasted})."
    return message_of(f"{fact.system} answers again", told, [section(told)], link(fact.url, "Open health"))


def tell_at_once_of_database(configured: Settings, verdict: Health, *, now: datetime) -> None:
    """The database is down, and the outbox with it. Raises NotTold."""
    tell_at_once(configured, _down(configured, verdict, now), DOWN)


def tell_of_recovery(engine: Engine, configured: Settings, system: str, *, since: datetime, now: datetime) -> bool:
    """A system is back whose fall the outbox did not see."""
    back = HealthRecovered(system, since, now, configured.public_address)
    subject = f"health:{system}:up:{now.isoformat()}"
    return tell(engine, configured, subject, health_recovered(back), now, Matter(UP, system, now))


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


def _down(configured: Settings, verdict: Health, now: datetime) -> Message:
    return health_down(HealthDown(verdict.system, verdict.message, now, configured.public_address))


def _down_since(engine: Engine, system: str) -> datetime | None:
    """Since when the system has been told to be down; None if the last word was that it is up, or none was said."""
    last = last_of(engine, [DOWN, UP], system)
    return last.at if last is not None and last.kind == DOWN else None
