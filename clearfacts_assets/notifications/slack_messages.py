"""What Slack is told, as Slack wants it: pure functions from facts to ``{"text": ..., "blocks": [...]}``.

Slack's limits are kept (3,000 characters a text, 150 a header, 50 blocks), and nothing that comes from outside can
mention a channel, make a link or hide behind markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

Message = dict[str, Any]

TEXT_CHARACTERS = 3000  # of one section's text, and of the text that notifications show
HEADER_CHARACTERS = 150
BLOCKS = 50
DAYS = 14  # that are named
REASONS = 5  # kinds of failure that are named; the rest is counted
REASON_CHARACTERS = 400
URL_CHARACTERS = 1000  # a longer address is left out

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


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


@dataclass(frozen=True, slots=True)
class BudgetTold:
    """A fund has passed a mark of its budget, or its award ends."""

    title: str
    told: str


def job_failed(fact: JobFailed) -> Message:
    blocks = [_section(_escape(fact.error or "no reason was given"))]
    if fact.counts:
        blocks.append(_counts(fact.counts))
    blocks += _reasons(fact.reasons)
    return _message(f"{_title(fact.run)} failed", fact.error, blocks, _run_context(fact.run))


def job_completed(fact: JobCompleted) -> Message:
    counts = fact.counts
    left = f", {counts.failed} failed" if counts.failed else ""
    pending = f", {counts.pending} still pending" if counts.pending else ""
    summary = f"{counts.sent} of {counts.total} invoices sent{left}{pending}"
    blocks = [_counts(counts), *_reasons(fact.reasons)]
    return _message(f"{_title(fact.run)} completed", summary, blocks, _run_context(fact.run))


def health_down(fact: HealthDown) -> Message:
    blocks = [_section(_escape(fact.detail or "no reason was given"))]
    context = [f"Since {_instant(fact.since)}", *_link(fact.url, "Open health")]
    return _message(f"{fact.system} is down", fact.detail, blocks, context)


def health_recovered(fact: HealthRecovered) -> Message:
    lasted = timedelta(seconds=round(max((fact.recovered_at - fact.down_since).total_seconds(), 0)))
    told = f"It was down from {_instant(fact.down_since)} to {_instant(fact.recovered_at)} ({lasted})."
    return _message(f"{fact.system} answers again", told, [_section(told)], _link(fact.url, "Open health"))


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
    context = [f"The oldest waits since {_instant(fact.oldest)}", *_link(fact.url, "Open deliveries")]
    blocks = [_section("\n".join(told)), *_reasons(fact.reasons)]
    return _message(title, " ".join(told[:-1]), blocks, context)


def day_left(fact: DayLeft) -> Message:
    invoices = "1 invoice" if fact.invoices == 1 else f"{fact.invoices:,} invoices"
    runs = "1 more run" if fact.runs == 1 else f"{fact.runs} more runs"
    told = f"Still to be sent after {runs}. No other is started by itself: see why the last run of the day failed."
    what = f"Then materialize the partition {fact.day} of `processed_invoices`, or `clearfacts run --date {fact.day}`."
    blocks = [_section(_escape(f"{told}\n{what}"))]
    return _message(f"{invoices} of {fact.day} left behind", told, blocks, _link(fact.url, "Open the day"))


def days_missed(fact: DaysMissed) -> Message:
    names = sorted(fact.days)
    title = "1 day was not processed" if len(names) == 1 else f"{len(names)} days were not processed"
    lines = [f"• {day}: {_escape(_one_line(fact.days[day]), REASON_CHARACTERS)}" for day in names[-DAYS:]]
    if len(names) > DAYS:
        lines.insert(0, f"• {len(names) - DAYS} days from {names[0]} on")
    what = "They are not run by themselves: `clearfacts run --missing` runs them, or a backfill."
    summary = f"{', '.join(names[-DAYS:])}. Run them: clearfacts run --missing"
    return _message(title, summary, [_section(what), *map(_section, lines)], _link(fact.url, "Open the days"))


def plain_fact(title: str, told: str, url: str = "", label: str = "") -> Message:
    """Something that one title and one text say."""
    return _message(title, told, [_section(_escape(told))], _link(url, label))


def budget_told(fact: BudgetTold) -> Message:
    hint = "See `clearfacts chargeback budgets list`."
    return _message(fact.title, fact.told, [_section(_escape(fact.told)), _section(hint)], [])


def _message(title: str, summary: str, blocks: list[Message], context: list[str]) -> Message:
    header = {"type": "header", "text": {"type": "plain_text", "text": _escape(title, HEADER_CHARACTERS)}}
    end = [{"type": "context", "elements": [_text("  |  ".join(context))]}] if context else []
    text = _escape(f"{title}: {_one_line(summary)}" if summary else title)
    return {"text": text, "blocks": [header, *blocks[: BLOCKS - 1 - len(end)], *end]}


def _title(run: Run) -> str:
    return f"{run.job} of {run.day}" if run.day else run.job


def _run_context(run: Run) -> list[str]:
    asked = [f"Request {_escape(run.correlation_id, 128)}"] if run.correlation_id else []
    return [f"Run {_escape(run.run_id, 60)}", *asked, *_link(run.url, "Open the run")]


def _counts(counts: Counts) -> Message:
    shown = {
        "Total": counts.total,
        "Sent": counts.sent,
        "Failed": counts.failed,
        "Duplicates": counts.duplicates,
        "Pending": counts.pending,
    }
    return {"type": "section", "fields": [_text(f"*{name}*\n{count:,}") for name, count in shown.items()]}


def _reasons(reasons: Mapping[str, int] | None) -> list[Message]:
    if not reasons:
        return []
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"• {count:,} × {_escape(_one_line(reason), REASON_CHARACTERS)}" for reason, count in ordered[:REASONS]]
    others = sum(count for _, count in ordered[REASONS:])
    if others:
        lines.append(f"• {others:,} for other reasons")
    return [_section("\n".join(["*Why some did not leave*", *lines]))]


def _section(mrkdwn: str) -> Message:
    return {"type": "section", "text": _text(mrkdwn)}


def _text(mrkdwn: str) -> Message:
    # Verbatim: Slack makes no links and mentions of its own accord.
    return {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}


def _link(url: str, label: str) -> list[str]:
    """A link for mrkdwn; nothing where the address is none for a browser."""
    if urlsplit(url).scheme not in ("http", "https"):
        return []
    safe = url.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E").replace("&", "&amp;")
    return [f"<{safe}|{label}>"] if len(safe) <= URL_CHARACTERS else []


def _escape(text: str, limit: int = TEXT_CHARACTERS) -> str:
    """The text with Slack's three special characters as entities, cut between them to at most ``limit`` characters."""
    kept: list[str] = []
    length = 0
    for character in text:
        piece = _ENTITIES.get(character, character)
        length += len(piece)
        if length > limit:
            while kept and length - len(piece) + 1 > limit:
                length -= len(kept.pop())
            return "".join(kept) + "…"
        kept.append(piece)
    return "".join(kept)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M %Z")
