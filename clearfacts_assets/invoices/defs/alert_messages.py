"""What people are told of jobs, deliveries and days: pure functions from facts to messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from clearfacts_assets.notifications.slack_messages import (
    Message,
    escaped,
    instant,
    link,
    message_of,
    mrkdwn,
    one_line,
    section,
)

DAYS = 14  # that are named
REASONS = 5  # kinds of failure that are named; the rest is counted
REASON_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Run:
    """The run that an alert is about."""

    job: str
    run_id: str
    url: str  # of the run in Dagster's UI
    day: str = ""  # the partition, YYYY-MM-DD
    correlation_id: str = ""  # of the request that started it, where that is another one than the run's


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a job's invoices; total is the sum of the others."""

    total: int
    sent: int
    failed: int
    duplicates: int
    pending: int


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job ended in failure. ``counts`` is None where it did not come so far."""

    run: Run
    error: str
    counts: Counts | None = None
    reasons: Mapping[str, int] | None = None  # why invoices did not leave, and how many for each reason


@dataclass(frozen=True, slots=True)
class JobCompleted:
    """A job came to its end; single invoices may have failed."""

    run: Run
    counts: Counts
    reasons: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class DeliveriesWaiting:
    """Deliveries that go no further until a person decides."""

    parked: int  # may have been accepted, or its tries are used up
    held: int  # changed content under a known number, or a receiver that the destination does not know
    oldest: datetime
    url: str = ""
    reasons: Mapping[str, int] | None = None  # why, and how many for each reason
    whom: str = "Clearfacts"  # the destination, for people


@dataclass(frozen=True, slots=True)
class DayLeft:
    """Invoices of a day could be sent, but no run is started for them any more."""

    day: str  # YYYY-MM-DD
    invoices: int
    runs: int  # that were started for them
    url: str = ""


@dataclass(frozen=True, slots=True)
class DaysMissed:
    """Days that nobody processed and that are not run by themselves any more; and why, for each."""

    days: Mapping[str, str]  # YYYY-MM-DD: reason
    url: str = ""


def job_failed(fact: JobFailed) -> Message:
    blocks = [section(escaped(fact.error or "no reason was given"))]
    if fact.counts:
        blocks.append(_counts(fact.counts))
    blocks += _reasons(fact.reasons)
    return message_of(f"{_title(fact.run)} failed", fact.error, blocks, _run_context(fact.run))


def job_completed(fact: JobCompleted) -> Message:
    counts = fact.counts
    left = f", {counts.failed} failed" if counts.failed else ""
    pending = f", {counts.pending} still pending" if counts.pending else ""
    summary = f"{counts.sent} of {counts.total} invoices sent{left}{pending}"
    blocks = [_counts(counts), *_reasons(fact.reasons)]
    return message_of(f"{_title(fact.run)} completed", summary, blocks, _run_context(fact.run))


def deliveries_waiting(fact: DeliveriesWaiting) -> Message:
    total = fact.parked + fact.held
    title = f"{total} {'delivery waits' if total == 1 else 'deliveries wait'} for a person"
    told = []
    if fact.parked:
        told.append(f"{fact.parked} parked: {fact.whom} may have them, or their tries are used up. Look them up there.")
    if fact.held:
        told.append(f"{fact.held} held: their number is known with other content, or {fact.whom} lacks their receiver.")
    told.append(
        "See `clearfacts deliveries list --state parked --state held`; decide with `clearfacts deliveries resolve`."
    )
    context = [f"The oldest waits since {instant(fact.oldest)}", *link(fact.url, "Open deliveries")]
    blocks = [section("\n".join(told)), *_reasons(fact.reasons)]
    return message_of(title, " ".join(told[:-1]), blocks, context)


def day_left(fact: DayLeft) -> Message:
    invoices = "1 invoice" if fact.invoices == 1 else f"{fact.invoices:,} invoices"
    runs = "1 more run" if fact.runs == 1 else f"{fact.runs} more runs"
    told = f"Still to be sent after {runs}. No other is started by itself: see why the last run of the day failed."
    what = f"Then materialize the partition {fact.day} of `processed_invoices`, or `clearfacts run --date {fact.day}`."
    blocks = [section(escaped(f"{told}\n{what}"))]
    return message_of(f"{invoices} of {fact.day} left behind", told, blocks, link(fact.url, "Open the day"))


def days_missed(fact: DaysMissed) -> Message:
    names = sorted(fact.days)
    title = "1 day was not processed" if len(names) == 1 else f"{len(names)} days were not processed"
    lines = [f"• {day}: {escaped(one_line(fact.days[day]), REASON_CHARACTERS)}" for day in names[-DAYS:]]
    if len(names) > DAYS:
        lines.insert(0, f"• {len(names) - DAYS} days from {names[0]} on")
    what = "They are not run by themselves: `clearfacts run --missing` runs them, or a backfill."
    summary = f"{', '.join(names[-DAYS:])}. Run them: clearfacts run --missing"
    return message_of(title, summary, [section(what), *map(section, lines)], link(fact.url, "Open the days"))


def _title(run: Run) -> str:
    return f"{run.job} of {run.day}" if run.day else run.job


def _run_context(run: Run) -> list[str]:
    asked = [f"Request {escaped(run.correlation_id, 128)}"] if run.correlation_id else []
    return [f"Run {escaped(run.run_id, 60)}", *asked, *link(run.url, "Open the run")]


def _counts(counts: Counts) -> Message:
    shown = {
        "Total": counts.total,
        "Sent": counts.sent,
        "Failed": counts.failed,
        "Duplicates": counts.duplicates,
        "Pending": counts.pending,
    }
    return {"type": "section", "fields": [mrkdwn(f"*{name}*\n{count:,}") for name, count in shown.items()]}


def _reasons(reasons: Mapping[str, int] | None) -> list[Message]:
    if not reasons:
        return []
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"• {count:,} × {escaped(one_line(reason), REASON_CHARACTERS)}" for reason, count in ordered[:REASONS]]
    others = sum(count for _, count in ordered[REASONS:])
    if others:
        lines.append(f"• {others:,} for other reasons")
    return [section("\n".join(["*Why some did not leave*", *lines]))]
