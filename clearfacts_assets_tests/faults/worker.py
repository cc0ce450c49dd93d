"""What a worker of the fault suite does, in a process of its own that may be killed for real (``workshop``).

It is what a job does, with the product's own parts: begin the job, retrieve and store, record verdicts, deliver, record
the results, finish, tell Slack. A crash is a SIGKILL: at a named point of the work, or after some time.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Engine, event

from clearfacts_assets.invoices.defs.notifications import dispatch_alerts, tell_of_job
from clearfacts_assets.invoices.delivery.job import DeliveryJob, Signals
from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.delivery.sending import deliver
from clearfacts_assets.invoices.destinations import DestinationOptions
from clearfacts_assets.invoices.destinations.clearfacts_graphql import ClearfactsGraphql
from clearfacts_assets.invoices.destinations.clearfacts_rest import ClearfactsRest
from clearfacts_assets.invoices.ledger.model import Candidate, Force
from clearfacts_assets.invoices.model import Decision, Report, SourceDocument, Window
from clearfacts_assets.invoices.ports import SourceError
from clearfacts_assets.invoices.retrieval import Stored, retrieve_window
from clearfacts_assets.invoices.sources import SourceOptions, java_backend
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets.notifications.slack import Slack, open_client
from clearfacts_assets.settings import Settings, SlackSettings
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.takeover import Takeover
from clearfacts_assets_tests.faults.papers import Paper

DAY = "2026-11-20"
WINDOW = Window(datetime(2026, 11, 19, 23, tzinfo=UTC), datetime(2026, 11, 20, 23, tzinfo=UTC))
PAGE = 3  # rows that the ERP gives at once
SLACK_SECONDS = 1
AFTER_RETRIEVAL = (
    *("stored", "registering", "claiming", "claimed", "sending", "answered", "settling", "settled"),
    *("recording", "recorded"),
)
POINTS = ("page", *AFTER_RETRIEVAL)
LONGEST_WAIT = 0.05  # seconds that a Retry-After may ask for
SETTLE_PATIENCE = 5.0  # seconds
CLOCK = {"off": 0.0}  # of this process, in seconds
FULL = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file'; END $$"
FAILED = 3  # the exit code of a worker that raised


@dataclass(frozen=True)
class Worker:
    """What one worker does, and how it ends before its time, if it does."""

    run_id: str
    papers: Sequence[Paper]
    crash_at: str = ""  # a name of POINTS
    crash_after: int = 0  # passing the point, or one of the next two, so many times before
    disk_full_at: str = ""  # a name of POINTS: from then on SQLite's log does not grow, and PostgreSQL extends no file
    commit_lost_at: str = ""  # a name of POINTS: the next commit happens, and PostgreSQL's word of it is lost
    kill_after: float = 0.0  # seconds from the moment its rows are stored; 0: not
    stop_after: float = 0.0  # the same, until SIGTERM
    dead_run_ids: Sequence[str] = ()
    concurrency: int = 4
    batch: int = 5
    attempts: int = 4
    lease: float = 30.0
    patience: float = 20.0
    deadline: float = 20.0  # of one call
    force: str = ""  # the wish's request
    goes_on_with: str = ""  # a run whose rows it takes, as a re-execution from failure does; it retrieves nothing
    only_due: bool = False  # it takes what runs that are over left, and what is due; it retrieves nothing
    of_the_day: bool = False  # what is missing in the day is withdrawn, and what is due of it comes along
    from_erp: bool = False  # retrieves whatever the ERP has over HTTP, instead of being handed its papers
    of_a_day: bool = False  # its rows belong to the day
    clock_off: float = 0.0  # seconds by which its machine's clock is wrong
    tells: bool = False  # writes what its job came to into the outbox, and sends what is there to Slack

    def day_of(self, _changed: datetime | None) -> str | None:
        return DAY if self.of_a_day else None


@dataclass(frozen=True)
class Place:
    """Where workers work."""

    database_url: str
    transport: str
    clearfacts_url: str
    token: str
    erp_url: str
    erp_token: str
    slack_url: str
    slack_token: str

    @property
    def settings(self) -> Settings:
        slack = SlackSettings(base_url=self.slack_url, token=self.slack_token, on_success="always")  # type: ignore[arg-type]
        return Settings(slack=slack)

    @property
    def slack(self) -> Slack:
        return Slack(open_client(self.slack_token, self.slack_url, timeout=SLACK_SECONDS))


def work(place: Place, worker: Worker, engine: Engine) -> None:
    """The whole job, as the assets do it, in this process."""
    CLOCK["off"] = worker.clock_off
    reached = _faulty(worker, engine)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    jobs, rows, run_id = JobRepository(engine), InvoiceRepository(engine), UUID(worker.run_id)
    jobs.begin(run_id, job_type="manual", partition_key=DAY, correlation_id=worker.run_id, details={}, now=_now())
    problem = _take_rows(place, worker, rows, engine, reached)
    for batch in rows.batches_to_validate(run_id, 50):
        rows.record_reports(run_id, [(row.id, accepted_report(row.content), {}) for row in batch], now=_now())
    _set_timers(worker)
    reached("stored")
    destination = _destination(place, worker)
    for results in deliver(
        rows.batches_to_deliver(run_id, worker.batch, worker.day_of),
        ledger=_ledger(engine),
        destination=destination,
        job=DeliveryJob(
            run_id,
            correlation_id=worker.run_id,
            force=Force("the fault suite", "it was told to", worker.force) if worker.force else None,
            dead_run_ids=[UUID(dead) for dead in worker.dead_run_ids],
            more=_left_by_others(worker, rows, Takeover(engine)),
        ),
        pace=Pace(
            concurrency=worker.concurrency,
            lease=worker.lease,
            attempts=worker.attempts,
            patience=worker.patience,
            first_pause=0.005,
            longest_pause=0.02,
        ),
        signals=Signals(should_stop=stop.is_set, reached=reached),
    ):
        reached("recording")
        rows.record_results(run_id, results, now=_now())
        reached("recorded")
    rows.follow_deliveries(run_id, now=_now())
    jobs.finish(run_id, "failed" if problem else "completed", error_message=problem or None, now=_now())
    if worker.tells:
        tell_of_job(engine, place.settings, run_id, now=_now())
        dispatch_alerts(engine, place.slack.send)


def _left_by_others(worker: Worker, rows: InvoiceRepository, takeover: Takeover) -> Iterator[list[Candidate]]:
    run_id = UUID(worker.run_id)
    left = takeover.unfinished(run_id, DAY, now=_now()) if worker.only_due else ()
    for piece in chain(left, takeover.due(run_id, DAY, now=_now()) if worker.of_the_day else ()):
        yield from rows.batches_to_deliver(run_id, worker.batch, worker.day_of, only=piece)


def _take_rows(
    place: Place, worker: Worker, rows: InvoiceRepository, engine: Engine, reached: Callable[[str], None]
) -> str:
    """The rows that the job works on, and what that means for the day's others. Returns why some are missing."""
    run_id, takeover = UUID(worker.run_id), Takeover(engine)
    if worker.only_due:
        takeover.unvalidated(run_id, DAY, now=_now())
        return ""
    if worker.goes_on_with:
        takeover.job(run_id, DAY, UUID(worker.goes_on_with), now=_now())
        return ""
    problem = _retrieve(place, worker, rows, reached)
    if worker.of_a_day:
        takeover.close_left(run_id, DAY, now=_now())
    if worker.of_the_day and not problem:
        JobRepository(engine).update_details(run_id, {"whole_day": True}, now=_now())
        _ledger(engine).withdraw(run_id, DAY)
    return problem


def _retrieve(place: Place, worker: Worker, rows: InvoiceRepository, reached: Callable[[str], None]) -> str:
    """Store the job's documents, page by page. Returns why some are missing."""
    run_id = UUID(worker.run_id)

    def store(page: Sequence[SourceDocument]) -> Stored:
        return rows.store(run_id, page, now=_now(), skip_delivered=not worker.force)

    if not worker.from_erp:
        store([SourceDocument(paper.erp_id, moment_of(paper) or _now(), paper.content) for paper in worker.papers])
        reached("page")
        return ""
    java_backend.FIRST_WAIT = 0.01
    erp = java_backend.JavaBackend(
        SourceOptions(
            place=place.erp_url,
            token=place.erp_token,
            page_size=PAGE,
            connect_timeout=worker.deadline,
            deadline=worker.deadline,
            attempts=worker.attempts,
            longest_wait=LONGEST_WAIT,
        )
    )
    try:
        return retrieve_window(erp, WINDOW, store, lambda _: reached("page")).stopped
    except SourceError as error:
        return f"Nothing was retrieved. {error}"
    finally:
        erp.close()


def moment_of(paper: Paper) -> datetime | None:
    """When the ERP changed it last."""
    return WINDOW.start + timedelta(seconds=paper.changed) if paper.changed else None


def _faulty(worker: Worker, engine: Engine) -> Callable[[str], None]:
    passed: Counter[str] = Counter()

    def reached(point: str) -> None:
        passed[point] += 1
        if passed[point] <= worker.crash_after:
            return
        if point == worker.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if point == worker.disk_full_at:
            _fill_the_disk(engine)
        if point == worker.commit_lost_at and passed[point] == worker.crash_after + 1:
            _lose_the_next_commit(engine)

    return reached


def _fill_the_disk(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        now = os.path.getsize(f"{engine.url.database}-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (now, resource.RLIM_INFINITY))
        return

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def refuse(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> Any:
        return (FULL, [()] if many else ()) if statement.startswith(("INSERT", "UPDATE")) else (statement, values)


def _lose_the_next_commit(engine: Engine) -> None:
    commit = engine.dialect.do_commit

    def and_lose(connection: Any) -> None:
        engine.dialect.do_commit = commit  # type: ignore[method-assign]
        commit(connection)
        connection.dbapi_connection.close()
        raise psycopg.OperationalError("the connection was lost after the commit")

    engine.dialect.do_commit = and_lose  # type: ignore[method-assign]


def _set_timers(worker: Worker) -> None:
    """From now on, so that most of them strike while something is delivered."""
    for after, number in ((worker.stop_after, signal.SIGTERM), (worker.kill_after, signal.SIGKILL)):
        if after:
            timer = threading.Timer(after, os.kill, (os.getpid(), number))
            timer.daemon = True
            timer.start()


def _destination(place: Place, worker: Worker) -> ClearfactsRest | ClearfactsGraphql:
    common: dict[str, Any] = {
        "connect_timeout": worker.deadline,
        "deadline": worker.deadline,
        "longest_wait": LONGEST_WAIT,
        "connections": worker.concurrency,
    }
    if place.transport == "rest":
        return ClearfactsRest(DestinationOptions(base_url=place.clearfacts_url, token=place.token, **common))
    return ClearfactsGraphql(
        DestinationOptions(base_url=place.clearfacts_url, token=place.token, login_url=place.clearfacts_url, **common)
    )


def accepted_report(content: bytes) -> Report:
    head = read_invoice(parse(content).root)
    return Report("", len(content), "none", head, Decision.ACCEPT, (), (), 0.0)


def _ledger(engine: Engine) -> SqlDeliveryLedger:
    """By the database's time; on SQLite that is the machine's."""
    of_the_machine = engine.dialect.name == "sqlite" and CLOCK["off"]
    return SqlDeliveryLedger(engine, _now if of_the_machine else None, patience=SETTLE_PATIENCE)


def _now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=CLOCK["off"])
