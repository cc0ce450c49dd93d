"""``clearfacts run``: the daily job now, in this process, over one day or many. Dagster's UI shows the runs too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer

from clearfacts_assets.cli.console import err, fail, print_json, print_table, say

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobDefinition
    from sqlalchemy import Engine

RUN_SECONDS = 24 * 3600


def run(
    day: Annotated[
        str | None, typer.Option("--date", help="one day, YYYY-MM-DD; default: yesterday in Brussels")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="first day of several")] = None,
    last: Annotated[str | None, typer.Option("--to", help="last day of several, included")] = None,
    invoice_id: Annotated[
        list[str] | None, typer.Option(help="only this invoice, whatever its day; repeatable")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="every day that `clearfacts jobs missing` lists, oldest first")
    ] = False,
    part: Annotated[
        str, typer.Option(help="3/10: the third of ten equal parts of the day; other machines take the others")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="send again, knowingly, what was delivered before")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, one job per day")] = False,
) -> None:
    """Retrieve, validate and deliver. Repeating it is safe: what was delivered is not sent again.

    Exit code 0 when every day's job completed, 1 when one failed, 2 when the call itself was wrong.
    """
    if missing and (day or first or last or invoice_id):
        raise typer.BadParameter("--missing goes without --date, --from, --to and --invoice-id")
    if part:
        _check_part(part, alone=not (first or last or invoice_id or missing))
    days = days_that_are_missing() if missing else days_asked_for(day, first, last, bool(invoice_id))
    if not days:
        say("No day is missing.", console=err)
        if as_json:
            print_json({"jobs": []})
        return
    request = {"invoice_ids": invoice_id or [], "force_processing": force, "part": part}
    with _pipeline() as pipeline:
        results = []
        for one in days:
            err.print(f"Invoices of {one}", highlight=False)
            run_id = pipeline.process(one, request)
            results.append(pipeline.result(run_id, one, show=not as_json and len(days) == 1))
            if pipeline.was_stopped(run_id):
                err.print(f"Stopped; of {len(days)} days {len(days) - len(results)} were not begun.", highlight=False)
                break
    if as_json:
        print_json({"jobs": results})
    elif len(days) > 1:
        _print_days(results)
    if len(results) < len(days) or any(result["status"] != "completed" for result in results):
        raise typer.Exit(1)


# The progress line says what people want to know; the run's whole log is in Dagster's UI.
_QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class _Pipeline:
    instance: DagsterInstance
    engine: Engine
    job: JobDefinition

    def process(self, day: str, request: dict[str, Any]) -> UUID:
        """One day's run, with its progress on standard error. Returns the run's id."""
        from clearfacts_assets import settings
        from clearfacts_assets.cli.invoices.progress import follow
        from clearfacts_assets.invoices.defs.automation import run_config_of
        from clearfacts_assets.orchestration.heartbeat import beating
        from clearfacts_assets.orchestration.tags import TRIGGERED_BY_TAG

        run_id, ended = uuid4(), Event()
        # Dagster needs the main thread, where it listens to signals; the progress is shown from beside it.
        with ThreadPoolExecutor(1) as beside, beating(self.engine, run_id, settings.load().runs.silence):
            watching = beside.submit(follow, self.engine, run_id, ended.wait, seconds=RUN_SECONDS)
            try:
                self.job.execute_in_process(
                    run_id=str(run_id),
                    partition_key=day,
                    run_config=run_config_of(request) | _QUIET,
                    instance=self.instance,
                    tags={TRIGGERED_BY_TAG: "cli"},
                    raise_on_error=False,
                )
            finally:
                ended.set()
                watching.result()
        return run_id

    def was_stopped(self, run_id: UUID) -> bool:
        """Whether the run ended because this command was told to stop (Ctrl-C, SIGTERM)."""
        from clearfacts_assets.orchestration.tags import FAILURE_REASON_TAG

        run = self.instance.get_run_by_id(str(run_id))
        return run is not None and run.tags.get(FAILURE_REASON_TAG) == "UNEXPECTED_TERMINATION"

    def result(self, run_id: UUID, day: str, *, show: bool) -> dict[str, Any]:
        """What the run came to, after its alerts are written and sent."""
        from clearfacts_assets import resources
        from clearfacts_assets.cli.invoices.jobs import print_job
        from clearfacts_assets.invoices.defs.sensors.alerts import tend
        from clearfacts_assets.storage.invoices.jobs import JobRepository

        tend(self.instance, self.engine, resources.slack())
        job = JobRepository(self.engine).view(run_id, 0)
        if job is None:
            fail(f"the run {run_id} of {day} ended before it could open its job: its page in Dagster says why")
        if show:
            print_job(self.engine, run_id)
        return job.as_result()


@contextmanager
def _pipeline() -> Iterator[_Pipeline]:
    with err.status("Loading Dagster ..."):
        from dagster import DagsterInstance

        from clearfacts_assets.cli.invoices.ledger import open_database
        from clearfacts_assets.definitions import defs

        engine = open_database()
    with DagsterInstance.get() as instance:
        yield _Pipeline(instance, engine, defs.resolve_job_def("manual_trigger"))


def days_asked_for(
    day: str | None, first: str | None = None, last: str | None = None, chosen: bool = False
) -> list[str]:
    """The partition keys asked for. Chosen invoices go into today's partition, whatever their day.

    Raises typer.BadParameter for what is no day or no partition.
    """
    from clearfacts_assets.invoices.days import day_before
    from clearfacts_assets.invoices.defs.automation import DAYS

    now = datetime.now(UTC)
    if day and (first or last):
        raise typer.BadParameter("--date goes without --from and --to")
    if bool(first) != bool(last):
        raise typer.BadParameter("--from and --to go together")
    if day or not first or not last:
        start = end = _date(day or day_before(now + timedelta(days=1) if chosen else now))
    else:
        start, end = _date(first), _date(last)
    if start > end:
        raise typer.BadParameter(f"--from {start} is after --to {end}")
    days = [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]
    for one in (days[0], days[-1]):
        if not DAYS.has_partition_key(one):
            raise typer.BadParameter(f"{one} is no partition: days go from {DAYS.start:%Y-%m-%d} to today")
    return days


def days_that_are_missing() -> list[str]:
    """The days that were not processed as a whole, oldest first."""
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.invoices.days import FIRST_DAY
    from clearfacts_assets.storage.invoices.days import missing_now

    return [one.day for one in missing_now(open_database(), datetime.now(UTC), FIRST_DAY)]


def _check_part(part: str, *, alone: bool) -> None:
    """Raises typer.BadParameter for what is no part, or no part of one day."""
    from clearfacts_assets.invoices.days import read_part

    if not alone:
        raise typer.BadParameter("--part goes with --date alone")
    try:
        read_part(part)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day: write it as YYYY-MM-DD") from None


def _print_days(results: list[dict[str, Any]]) -> None:
    columns = ("total_invoices", "processed", "failed", "duplicates", "pending")
    print_table(
        f"{len(results)} days",
        ("day", "status", "seconds", "total", "sent", "failed", "dup.", "pending"),
        [
            (
                one["partition"],
                one["status"],
                one["duration_seconds"],
                *(one["results"][column] for column in columns),
            )
            for one in results
        ],
        right=("seconds", "total", "sent", "failed", "dup.", "pending"),
        whole=("day", "status"),
    )
    for one in results:
        if one["error_message"]:
            say(f"{one['partition']}: {one['error_message']}", console=err)
