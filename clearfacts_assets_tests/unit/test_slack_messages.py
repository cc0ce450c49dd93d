"""What Slack is told: the counts, the reasons, the limits, and words that cannot play tricks."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clearfacts_assets.health.alerts import HealthDown, HealthRecovered, health_down, health_recovered
from clearfacts_assets.invoices.defs import alert_messages
from clearfacts_assets.invoices.defs.alert_messages import (
    Counts,
    DayLeft,
    DaysMissed,
    DeliveriesWaiting,
    JobCompleted,
    JobFailed,
    Run,
)
from clearfacts_assets.notifications import slack_messages
from clearfacts_assets.notifications.slack_messages import Message

MIGRATION = importlib.import_module("clearfacts_assets.storage.migrations.versions.0008_one_key_a_party")
RUN = Run("daily_processing", "0f1e-17", "https://billing.example/runs/0f1e-17?a=1&b=2", "2026-11-20")
COUNTS = Counts(total=1204, sent=1190, failed=9, duplicates=4, pending=1)
SINCE = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
HOSTILE = "<!channel> <@U1> <https://evil.example|click> & *bold* ```\n" + "&" * 5000


def texts(value: Any) -> Iterator[str]:
    """Every text object's text."""
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            yield value["text"]
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def whole(message: Message) -> str:
    return "\n".join(texts(message["blocks"]))


def test_a_failed_job_says_what_how_many_why_and_where() -> None:
    message = alert_messages.job_failed(JobFailed(RUN, "the ERP is down", COUNTS, {"BR-CO-10: the sum is wrong": 9}))
    assert message["text"] == "daily_processing of 2026-11-20 failed: the ERP is down"
    told = whole(message)
    for part in (
        "the ERP is down",
        "*Total*\n1,204",
        "*Sent*\n1,190",
        "*Failed*\n9",
        "*Duplicates*\n4",
        "*Pending*\n1",
        "• 9 × BR-CO-10: the sum is wrong",
        "<https://billing.example/runs/0f1e-17?a=1&amp;b=2|Open the run>",
        "0f1e-17",
    ):
        assert part in told, part


def test_a_job_that_failed_before_it_counted_has_no_counts() -> None:
    message = alert_messages.job_failed(JobFailed(Run("manual_trigger", "1", ""), ""))
    assert message["text"] == "manual_trigger failed"
    assert "no reason was given" in whole(message)
    assert "Total" not in whole(message)
    assert "|Open" not in whole(message)


def test_a_completed_job_says_what_it_came_to_in_one_line() -> None:
    message = alert_messages.job_completed(JobCompleted(RUN, COUNTS))
    assert message["text"] == (
        "daily_processing of 2026-11-20 completed: 1190 of 1204 invoices sent, 9 failed, 1 still pending"
    )
    clean = alert_messages.job_completed(JobCompleted(RUN, Counts(2, 2, 0, 0, 0)))
    assert clean["text"].endswith("completed: 2 of 2 invoices sent")
    assert "Why" not in whole(clean)


def test_the_most_frequent_reasons_come_first_and_the_rest_is_counted() -> None:
    reasons = {f"reason {number}": number for number in range(1, 9)}
    told = whole(alert_messages.job_completed(JobCompleted(RUN, COUNTS, reasons)))
    lines = [line for line in told.splitlines() if line.startswith("•")]
    assert lines[0] == "• 8 × reason 8"
    assert lines[-1] == "• 6 for other reasons"
    assert len(lines) == alert_messages.REASONS + 1


def test_health_says_since_when_and_how_long() -> None:
    down = health_down(HealthDown("Java backend", "HTTP 503", SINCE, "https://billing.example/"))
    assert down["text"] == "Java backend is down: HTTP 503"
    assert "Since 2026-11-21 01:30 UTC" in whole(down)
    up = health_recovered(HealthRecovered("Java backend", SINCE, SINCE + timedelta(hours=2, seconds=5.6)))
    assert up["text"].startswith("Java backend answers again: It was down from 2026-11-21 01:30 UTC")
    assert "(2:00:06)" in whole(up)


@pytest.mark.parametrize(
    ("parked", "held", "title"),
    [(1, 0, "1 delivery waits for a person"), (2, 3, "5 deliveries wait for a person")],
)
def test_waiting_deliveries_are_counted_by_what_they_wait_for(parked: int, held: int, title: str) -> None:
    message = alert_messages.deliveries_waiting(DeliveriesWaiting(parked, held, SINCE))
    assert message["text"].startswith(title)
    assert (f"{parked} parked" in whole(message), f"{held} held" in whole(message)) == (parked > 0, held > 0)
    assert "clearfacts deliveries resolve" in whole(message)


ALL_HOSTILE = [
    alert_messages.job_failed(
        JobFailed(Run(HOSTILE, HOSTILE, "javascript:alert(1)", HOSTILE), HOSTILE, COUNTS, {HOSTILE: 1})
    ),
    alert_messages.job_completed(
        JobCompleted(
            Run("j", "1", "https://x/>|<!channel>"), COUNTS, {HOSTILE + str(number): 1 for number in range(100)}
        )
    ),
    health_down(HealthDown(HOSTILE, HOSTILE, SINCE, "ftp://x")),
    health_recovered(HealthRecovered(HOSTILE, SINCE, SINCE - timedelta(days=1))),
    alert_messages.deliveries_waiting(DeliveriesWaiting(10**9, 10**9, SINCE, "https://x/|")),
    alert_messages.deliveries_waiting(DeliveriesWaiting(1, 1, SINCE, "https://x/" + "&" * 4000)),
    alert_messages.day_left(DayLeft("2026-11-18", 10**9, 6, "https://x/|")),
]


@pytest.mark.parametrize("message", ALL_HOSTILE)
def test_words_from_outside_make_no_mention_and_no_link(message: Message) -> None:
    everything = json.dumps(message)
    for trick in ("<!", "<@", "<https://evil", "javascript:", "ftp:"):
        assert trick not in everything
    for text in (message["text"], *texts(message["blocks"])):
        for piece in text.split("&")[1:]:
            assert piece.startswith(("amp;", "lt;", "gt;")), "an entity was cut in two"


@pytest.mark.parametrize("message", ALL_HOSTILE)
def test_slacks_limits_are_kept(message: Message) -> None:
    assert len(message["text"]) <= 3000
    assert len(message["blocks"]) <= 50
    for block in message["blocks"]:
        if block["type"] == "header":
            assert len(block["text"]["text"]) <= 150
        for text in texts(block):
            assert 0 < len(text) <= 3000
        for field in block.get("fields", []):
            assert len(field["text"]) <= 2000
        assert len(block.get("fields", [])) <= 10


@pytest.mark.parametrize("limit", range(1, 30))
def test_a_text_is_cut_between_its_characters(limit: int) -> None:
    cut = slack_messages.escaped("a<b>&" * 10, limit)
    assert len(cut) <= limit
    assert cut.endswith("…")


def test_a_text_that_fits_stays_whole() -> None:
    assert slack_messages.escaped("a&b", 7) == "a&amp;b"


def test_days_that_were_missed_are_named_with_why_and_the_oldest_of_many_are_counted() -> None:
    few = alert_messages.days_missed(
        DaysMissed({"2026-11-20": "no ERP", "2026-11-18": "was never run"}, "https://x.example/d")
    )
    assert few["text"].startswith("2 days were not processed: 2026-11-18, 2026-11-20.")
    told = whole(few)
    for part in (
        "• 2026-11-18: was never run",
        "• 2026-11-20: no ERP",
        "clearfacts run --missing",
        "https://x.example/d",
    ):
        assert part in told
    many = alert_messages.days_missed(
        DaysMissed({f"2026-{month:02}-{day:02}": HOSTILE for month in (1, 2) for day in range(1, 21)})
    )
    assert "• 26 days from 2026-01-01 on" in whole(many)
    assert len(many["blocks"]) <= 50
    assert all(len(one) <= 3000 for one in texts(many["blocks"]))


def test_what_became_one_invoice_is_named_up_to_a_bound() -> None:
    shown = tuple(f"F-{number} {'x' * 300}" for number in range(20))
    message = MIGRATION.message_of(MIGRATION.KeysBecameOne(31, 40, shown))
    assert message["text"].startswith("31 invoices were kept as several: ")
    assert "40 versions wait for a person" in whole(message)
    assert whole(message).endswith("• and 11 more")
    assert max(len(text) for text in texts(message["blocks"])) <= slack_messages.TEXT_CHARACTERS
    one = MIGRATION.message_of(
        MIGRATION.KeysBecameOne(1, 1, ("<!channel> F-1: revision 1 delivered, revision 2 held",))
    )
    assert one["text"].startswith("1 invoice was kept as several")
    assert whole(one).endswith("• &lt;!channel&gt; F-1: revision 1 delivered, revision 2 held")
