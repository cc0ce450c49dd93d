"""Yesterday in one message: what became of its invoices, what waits for a person, which days are missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Engine

from clearfacts_assets.invoice_settings import SUMMARY
from clearfacts_assets.invoices.days import FIRST_DAY, ZONE
from clearfacts_assets.notifications.outbox import Matter
from clearfacts_assets.notifications.routes import tell
from clearfacts_assets.notifications.slack_messages import plain_fact
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.invoices.day_totals import DayTotals, day_totals, is_told
from clearfacts_assets.storage.invoices.days import MissingDay, missing_now
from clearfacts_assets.storage.invoices.review_queue import Waiting, waiting_for_a_person

REASONS = 5  # that are named
DAYS = 14  # that are named
REASON_CHARACTERS = 200


def tell_of_yesterday(engine: Engine, configured: Settings, *, now: datetime) -> bool:
    """Put the summary of yesterday (Brussels) into the outbox: once, from the hour on that the settings say, if they
    want one."""
    local = now.astimezone(ZONE)
    if not configured.alerts.daily_summary or local.hour < configured.alerts.summary_hour:
        return False
    day = (local.date() - timedelta(days=1)).isoformat()
    subject = f"{SUMMARY}:{day}"
    if is_told(engine, subject):
        return False
    missing = missing_now(engine, now, FIRST_DAY)
    told = "\n".join(_lines(day, day_totals(engine, day), waiting_for_a_person(engine), missing))
    message = plain_fact(
        f"Invoices of {day}", told, f"{configured.public_address}/assets/job_metrics?partition={day}", "Open the day"
    )
    return tell(engine, configured, subject, message, now, Matter(SUMMARY, day))


def _lines(day: str, totals: DayTotals, waiting: Waiting, missing: list[MissingDay]) -> Iterator[str]:
    counted = totals.by_status
    parts = [f"{counted.get(status, 0):,} {status}" for status in ("sent", "failed", "duplicate", "pending")]
    yield f"{sum(counted.values()):,} in all: {', '.join(parts)}."
    for reason in totals.reasons[:REASONS]:
        yield f"• {reason.invoices:,} × {' '.join(reason.text.split())[:REASON_CHARACTERS]}"
    if others := sum(reason.invoices for reason in totals.reasons[REASONS:]):
        yield f"• {others:,} for other reasons"
    if waiting.since is None:
        yield "Nothing waits for a person."
    else:
        yield (
            f"For a person: {waiting.parked:,} parked, {waiting.held:,} held, the oldest since "
            f"{waiting.since:%Y-%m-%d %H:%M} UTC. See `clearfacts deliveries list --state parked --state held`."
        )
    if not missing:
        yield "No day is missing."
    else:
        named = ", ".join(one.day for one in missing[-DAYS:])
        more = f" and {len(missing) - DAYS:,} earlier ones" if len(missing) > DAYS else ""
        yield f"Not processed: {named}{more}. Run them: `clearfacts run --missing`."
