"""``clearfacts jobs``: what runs came to, and why some invoices did not leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.text import Text

from clearfacts_assets.cli.console import fail, instant, out, print_json, print_more, print_table, say
from clearfacts_assets.cli.id_prefixes import one_id, short

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clearfacts_assets.storage.invoices.job_views import JobView
    from clearfacts_assets.storage.invoices.jobs import JobRepository

app = typer.Typer(help="Jobs: one a Dagster run of the invoice assets.", no_args_is_help=True)
SHOWN_ERRORS = 1000

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="pending, running, completed or failed")] = None,
    date: Annotated[str | None, typer.Option(help="day of the partition, YYYY-MM-DD")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="most jobs shown")] = 20,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Jobs, newest first."""
    jobs = _open()
    page = jobs.views(status=status, partition_key=date, limit=limit, cursor=cursor)
    if as_json:
        print_json({"jobs": [job.as_result() for job in page.items], "next_cursor": page.next_cursor})
        return
    print_table(
        "Jobs",
        ("job", "day", "status", "total", "sent", "failed", "dup.", "pending", "took"),
        [
            (
                short(job.id),
                job.partition_key,
                job.status,
                *job.counts.as_result().values(),
                f"{job.duration_seconds:.1f} s" if job.duration_seconds is not None else "–",
            )
            for job in page.items
        ],
        right=("total", "sent", "failed", "dup.", "pending", "took"),
        whole=("job", "day", "status"),
    )
    print_more(page.next_cursor)


@app.command()
def show(
    job_id: Annotated[str, typer.Argument(help="the job's id, which is the run's; or its first 8 characters")],
    as_json: AsJson = False,
) -> None:
    """One job: its counts, and one reason for each invoice that did not leave."""
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.storage.invoices.jobs import JobRepository
    from clearfacts_assets.storage.invoices.tables import Job

    engine = open_database()
    jobs = JobRepository(engine)
    job = jobs.view(one_id(engine, Job.__table__.c.id, job_id, "job"), SHOWN_ERRORS)
    if job is None:
        fail(f"job {job_id} was removed just now")
    if as_json:
        print_json({**job.as_result(), "errors": job.errors_as_result()})
        return
    _print(engine, job)


@app.command()
def missing(as_json: AsJson = False) -> None:
    """Days that were not processed as a whole, oldest first, and why. `clearfacts run --missing` runs them.

    Those of the last days (setting schedule.catch_up_days) are run by themselves; the others are a person's.
    """
    from datetime import UTC, datetime

    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.configuration import effective_settings
    from clearfacts_assets.invoices.days import FIRST_DAY
    from clearfacts_assets.invoices.missing_days import last_day_owed, oldest_by_itself
    from clearfacts_assets.storage.invoices.days import missing_now

    now = datetime.now(UTC)
    days = missing_now(open_database(), now, FIRST_DAY)
    oldest = oldest_by_itself(last_day_owed(now), effective_settings().schedule.catch_up_days)
    if as_json:
        found = [
            {
                "date": one.day,
                "job_id": one.job_id,
                "status": one.status,
                "reason": one.in_words,
                "by_itself": one.day >= oldest,
            }
            for one in days
        ]
        print_json({"missing": found})
        return
    if not days:
        out.print("No day is missing.")
        return
    print_table(
        "Days that were not processed",
        ("day", "last job", "by itself", "why"),
        [
            (one.day, short(one.job_id) if one.job_id else "–", "yes" if one.day >= oldest else "no", one.in_words)
            for one in days
        ],
        whole=("day", "last job"),
    )


def print_job(engine: Engine, job_id: UUID) -> None:
    """The table after a run: what happened to how many invoices, and why some did not leave."""
    from clearfacts_assets.storage.invoices.jobs import JobRepository

    job = JobRepository(engine).view(job_id, 0)
    if job is None:
        out.print(f"The run {job_id} ended before it could open its job; its page in Dagster says why.")
        return
    _print(engine, job)


def _print(engine: Engine, job: JobView) -> None:
    from clearfacts_assets.storage.invoices.reasons import reasons_of

    counts = job.counts
    colour = {"completed": "green", "failed": "red"}.get(job.status, "yellow")
    print_table(
        Text.assemble(f"Job {job.id}: invoices of {job.partition_key}, ", (job.status, colour)),
        ("total", "sent", "failed", "duplicates", "pending"),
        [(counts.total, counts.sent, counts.failed, counts.duplicates, counts.pending)],
        right=("total", "sent", "failed", "duplicates", "pending"),
    )
    if job.error_message:
        say(job.error_message, style="red")
    reasons = reasons_of(engine, job.id)
    if reasons:
        print_table(
            "Why some did not leave",
            ("invoices", "reason", "for example"),
            [(reason.invoices, reason.text, ", ".join(reason.examples)) for reason in reasons],
            right=("invoices",),
            whole=("for example",),
        )
    if job.started_at and job.duration_seconds is not None:
        out.print(f"\nStarted {instant(job.started_at)}, took {job.duration_seconds:.1f} s.")


def _open() -> JobRepository:
    """The jobs, after closing those whose run has died."""
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.storage.invoices.jobs import JobRepository

    return JobRepository(open_database())
