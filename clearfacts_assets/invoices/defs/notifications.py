"""What is told, and when: facts from the ledger become messages in the outbox, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, select

from clearfacts_assets.invoice_settings import JOB, LEFT, MISSED, WAITING
from clearfacts_assets.invoices.defs import alert_messages
from clearfacts_assets.invoices.destinations import destination_of, title_of
from clearfacts_assets.invoices.lifecycle import WAITS_FOR_A_PERSON
from clearfacts_assets.notifications.at_once import tell_at_once
from clearfacts_assets.notifications.channels import kind_of
from clearfacts_assets.notifications.outbox import DispatchCount, Matter, Send, dispatch, last_of
from clearfacts_assets.notifications.routes import tell
from clearfacts_assets.notifications.slack_messages import Message
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.jobs import JobRecord, JobRepository
from clearfacts_assets.storage.invoices.reasons import reasons_of
from clearfacts_assets.storage.invoices.review_queue import days_due, newest_jobs_of, waiting_for_a_person
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets.storage.operations.tables import Alert

LOOK_BACK = timedelta(days=2)  # how far back jobs are looked at that nobody was told of
JOBS_AT_ONCE = 500
MOST_SILENCE = timedelta(minutes=15)  # that a person does not hear of what waits because jobs are under way
LEFT_SUBJECT = f"{LEFT}:"  # day and newest job
WAITING_PAGE = "/assets/processed_invoices?view=checks&checkDetail=no_delivery_is_unknown"  # in Dagster's UI
MISSED_PAGE = "/assets/raw_invoices?view=partitions"
DUE_PAGE = "/assets/processed_invoices?partition="


def tell_of_job(engine: Engine, configured: Settings, job_id: UUID, *, now: datetime) -> bool:
    """Put what a finished job came to into the outbox, if it is to be told at all. Idempotent: once per job."""
    jobs = JobRepository(engine)
    job = jobs.get(job_id)
    if job is None or job.status not in ("completed", "failed"):
        return False
    counted = jobs.counts(job_id)
    counts = alert_messages.Counts(counted.total, counted.sent, counted.failed, counted.duplicates, counted.pending)
    if job.status == "completed" and not _success_is_told(configured, counts):
        return False
    reasons = {reason.text: reason.invoices for reason in reasons_of(engine, job_id)}
    run = _run_of(job, configured)
    if job.status == "failed":
        message = alert_messages.job_failed(alert_messages.JobFailed(run, job.error_message or "", counts, reasons))
    else:
        message = alert_messages.job_completed(alert_messages.JobCompleted(run, counts, reasons))
    return tell(engine, configured, f"job:{job_id}", message, now, Matter(JOB, str(job_id)))


def tell_of_lost_run(
    engine: Engine, configured: Settings, run_id: str, job_name: str, error: str, *, now: datetime
) -> bool:
    """A run that failed before it could open its ``jobs`` row: code that does not load, no worker, no database then."""
    message = _lost(configured, run_id, job_name, error)
    return tell(engine, configured, f"job:{run_id}", message, now, Matter(JOB, run_id))


def tell_at_once_of_lost_run(configured: Settings, run_id: str, job_name: str, error: str) -> None:
    """The same past the outbox, whose database is down. Raises NotTold."""
    tell_at_once(configured, _lost(configured, run_id, job_name, error), JOB)


def tell_of_forgotten_jobs(engine: Engine, configured: Settings, *, now: datetime) -> int:
    """Jobs that ended without anybody being told: the daemon was down, or the run was started from a terminal."""
    ended = JobRepository(engine).ended_since(now - LOOK_BACK, limit=JOBS_AT_ONCE)
    written = _written(engine, [f"job:{job_id}" for job_id in ended])
    return sum(tell_of_job(engine, configured, job_id, now=now) for job_id in ended if f"job:{job_id}" not in written)


def tell_of_waiting(engine: Engine, configured: Settings, *, now: datetime) -> bool:
    """Tell once that deliveries wait for a person: again only when another one has begun to wait since.

    Each is known by its id and the moment since when it waits, and none is told by comparing moments: under a wrong
    clock some wait since next year. While jobs are under way, more may follow: then it is told when they are over, or
    after MOST_SILENCE.
    """
    waiting = waiting_for_a_person(engine)
    if waiting.since is None or waiting.newest is None:
        return False
    members = _waiting_one_by_one(engine)
    last = last_of(engine, [WAITING])
    if last is not None and _were_told(last, members, waiting.newest, now):
        return False
    if JobRepository(engine).unfinished() and timedelta(0) <= now - waiting.newest < MOST_SILENCE:
        return False
    message = alert_messages.deliveries_waiting(
        alert_messages.DeliveriesWaiting(
            waiting.parked,
            waiting.held,
            waiting.since,
            f"{configured.public_address}{WAITING_PAGE}",
            waiting.reasons,
            title_of(destination_of(configured.destination.transport)),
        )
    )
    matter = Matter(WAITING, at=waiting.newest, members=members)
    return tell(engine, configured, f"{WAITING}:{_digest(members)}", message, now, matter)


def _were_told(last: Matter, members: Sequence[str], newest: datetime, now: datetime) -> bool:
    """Whether the last alert of what waits told of all of these."""
    if last.members is not None:
        return set(members) <= set(last.members)
    # Written by a version that kept one moment only; it is not believed where it lies in the future.
    return last.at is not None and newest <= last.at <= now


def _waiting_one_by_one(engine: Engine) -> list[str]:
    query = select(Delivery.id, Delivery.updated_at).where(Delivery.state.in_(WAITS_FOR_A_PERSON))
    with reading(engine) as connection:
        return sorted(f"{one} {since.isoformat()}" for one, since in connection.execute(query).tuples())


def tell_of_day_left(
    engine: Engine, configured: Settings, day: str, job: str, invoices: int, runs: int, *, now: datetime
) -> bool:
    """Tell once that no run is started any more for what is due of a day; again only after another job of the day."""
    left = alert_messages.DayLeft(day, invoices, runs, f"{configured.public_address}{DUE_PAGE}{day}")
    subject = f"{LEFT_SUBJECT}{day}:{job}"
    return tell(engine, configured, subject, alert_messages.day_left(left), now, Matter(LEFT, day))


def tell_of_missed_days(engine: Engine, configured: Settings, days: Mapping[str, str], *, now: datetime) -> bool:
    """Tell that these days were not processed and are not run by themselves, and why: once for the same days."""
    members = sorted(days)
    missed = alert_messages.DaysMissed(days, f"{configured.public_address}{MISSED_PAGE}")
    matter = Matter(MISSED, members[0], members=members)
    return tell(engine, configured, f"{MISSED}:{_digest(members)}", alert_messages.days_missed(missed), now, matter)


def days_left(engine: Engine) -> dict[str, int]:
    """Days that ``tell_of_day_left`` told of and that nobody has run since, with the number of invoices still due."""
    due = days_due(engine)
    newest = {f"{LEFT_SUBJECT}{day}:{job_id}": day for day, (job_id, _) in newest_jobs_of(engine, sorted(due)).items()}
    return {newest[subject]: due[newest[subject]] for subject in sorted(_written(engine, list(newest)))}


def dispatch_alerts(engine: Engine, send: Send) -> DispatchCount:
    """Send what is due. Slack's faults leave it in the outbox."""
    return dispatch(engine, send, lambda: datetime.now(UTC), way_of=kind_of)


def _lost(configured: Settings, run_id: str, job_name: str, error: str) -> Message:
    run = alert_messages.Run(_shown(job_name), run_id, f"{configured.public_address}/runs/{run_id}")
    return alert_messages.job_failed(alert_messages.JobFailed(run, error))


def _digest(members: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(members).encode()).hexdigest()


def _written(engine: Engine, subjects: Sequence[str]) -> set[str]:
    with reading(engine) as connection:
        return set(connection.scalars(select(Alert.subject).where(Alert.subject.in_(subjects))))


def _success_is_told(configured: Settings, counts: alert_messages.Counts) -> bool:
    if configured.slack.on_success == "with_failures":
        return counts.failed > 0 or counts.pending > 0
    return configured.slack.on_success == "always"


def _run_of(job: JobRecord, configured: Settings) -> alert_messages.Run:
    name = str(job.details.get("job_name") or "invoices")
    url = f"{configured.public_address}/runs/{job.id}"
    asked = job.correlation_id if job.correlation_id != str(job.id) else None
    return alert_messages.Run(_shown(name), str(job.id), url, job.partition_key or "", asked or "")


def _shown(job_name: str) -> str:
    """Dagster's own name for what is started with *Materialize* says nothing to a reader."""
    return "materialization" if job_name.startswith("__") else job_name
