"""Who gets which alert, by which way: kinds of alerts to Slack's channels and to mailboxes, and the daily summary."""

from __future__ import annotations

import email
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.policy import default
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select, update

from clearfacts_assets import settings
from clearfacts_assets.alert_settings import KINDS
from clearfacts_assets.chargeback.notifications import cost_exports
from clearfacts_assets.health import alerts as health
from clearfacts_assets.health.probes import Health
from clearfacts_assets.invoices.defs import daily_summary, notifications
from clearfacts_assets.invoices.defs.daily_summary import tell_of_yesterday
from clearfacts_assets.invoices.defs.notifications import dispatch_alerts, tell_of_lost_run, tell_of_missed_days
from clearfacts_assets.invoices.model import SourceDocument
from clearfacts_assets.notifications.at_once import tell_at_once
from clearfacts_assets.notifications.channels import sender
from clearfacts_assets.notifications.outbox import DispatchCount, NotTold, dispatch
from clearfacts_assets.simulator.mail import MailServer
from clearfacts_assets.storage.database import open_engine
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.tables import InvoiceRow
from clearfacts_assets.storage.operations.tables import Alert
from clearfacts_assets_tests.fixtures.simulator import RunningSimulator

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)  # 07:30 in Brussels
DAY = "2026-11-20"
OPS = "ops@example.be"
ROUTES = {"default": ("#all",), "job": ("#invoices", f"email:{OPS}"), "health-down": (f"email:{OPS}",)}


@pytest.fixture(scope="module")
def running_mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def mail(running_mail: MailServer) -> MailServer:
    running_mail.room.clear()
    return running_mail


@pytest.fixture
def own(migrated_file: Path, tmp_path: Path) -> Iterator[Engine]:
    """A database of this test's own; what SQL is new here is played on both by another test."""
    (tmp_path / "clearfacts.db").write_bytes(migrated_file.read_bytes())
    engine = open_engine(f"sqlite:///{tmp_path / 'clearfacts.db'}")
    yield engine
    engine.dispose()


def configured(simulator: RunningSimulator, mail: MailServer, **alerts: object) -> settings.Settings:
    said = {name.removeprefix("CLEARFACTS_EMAIL__").lower(): value for name, value in mail.environment().items()}
    ca_file = said.pop("clearfacts_network__ca_file")
    return settings.Settings(
        slack={"base_url": simulator.slack_url, "token": simulator.slack_token},  # type: ignore[arg-type]
        email={**said, "port": mail.port},  # type: ignore[arg-type]
        network={"ca_file": ca_file},  # type: ignore[arg-type]
        alerts={"routes": ROUTES, **alerts},  # type: ignore[arg-type]
    )


def sent(engine: Engine, known: settings.Settings) -> DispatchCount:
    send = sender(known)
    assert send is not None
    return dispatch_alerts(engine, send)


def channels(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(Alert.channel).order_by(Alert.channel)))


def test_each_kind_goes_where_the_settings_say_to_each_of_its_channels_once(
    own: Engine, simulator: RunningSimulator, mail: MailServer
) -> None:
    known = configured(simulator, mail)
    assert tell_of_lost_run(own, known, "r-1", "daily_processing", "no <worker> & no log", now=NOW)
    assert not tell_of_lost_run(own, known, "r-1", "daily_processing", "again", now=NOW)
    assert tell_of_missed_days(own, known, {DAY: "the ERP was down"}, now=NOW)
    assert health.tell_of_health(own, known, [Health("clearfacts", False, "no answer", 1.0)], now=NOW) == 1
    assert channels(own) == ["#all", "#invoices", f"email:{OPS}", f"email:{OPS}"]
    assert sent(own, known) == DispatchCount(sent=4)
    assert sorted(one["channel"] for one in simulator.slack_messages()) == ["#all", "#invoices"]
    first, second = (email.message_from_bytes(one.content, policy=default) for one in mail.room.taken)
    assert [one.recipients for one in mail.room.taken] == [(OPS,), (OPS,)]
    assert (first["To"], first["From"]) == (OPS, "clearfacts_assets <statements@example.edu>")
    assert (first["Subject"], second["Subject"]) == ("daily_processing failed", "clearfacts is down")
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_content().replace("\r\n", "\n") == (
        "no <worker> & no log\n\nRun r-1\nOpen the run: http://127.0.0.1:3000/runs/r-1\n"
    )


def test_a_mail_server_that_is_away_delays_no_message_to_slack(
    own: Engine, simulator: RunningSimulator, mail: MailServer
) -> None:
    known = configured(simulator, mail)
    for number in range(3):
        tell_of_lost_run(own, known, f"r-{number}", "daily_processing", "no worker", now=datetime.now(UTC))
    mail.room.fault("shut_down", times=9)
    assert sent(own, known) == DispatchCount(sent=3, postponed=1), "one mail was tried, and all of Slack's arrived"
    assert len(simulator.slack_messages()) == 3
    mail.room.clear()
    send = sender(known)
    assert send is not None
    assert dispatch(own, send, lambda: datetime.now(UTC) + timedelta(hours=1)) == DispatchCount(sent=3)
    assert len(mail.room.taken) == 3


def test_one_mailbox_that_is_refused_hinders_no_other_mail(
    own: Engine, simulator: RunningSimulator, mail: MailServer
) -> None:
    known = configured(simulator, mail, routes={"job": ("email:gone@example.be", f"email:{OPS}")})
    tell_of_lost_run(own, known, "r-1", "daily_processing", "no worker", now=datetime.now(UTC))
    mail.room.fault("refuse_recipient", contains="gone@")
    assert sent(own, known) == DispatchCount(sent=1, postponed=1)
    assert [one.recipients for one in mail.room.taken] == [(OPS,)]


def test_past_the_outbox_one_channel_that_takes_it_is_enough(simulator: RunningSimulator, mail: MailServer) -> None:
    known = configured(simulator, mail)
    message = {"text": "the database is down", "blocks": []}
    mail.room.fault("shut_down", times=9)
    tell_at_once(known, message, "job")
    assert [one["channel"] for one in simulator.slack_messages()] == ["#invoices"]
    with pytest.raises(NotTold, match="did not take the mail"):
        tell_at_once(known, message, "health-down")


def test_without_routes_all_goes_to_the_one_channel_and_no_mail_is_ever_tried(
    own: Engine, simulator: RunningSimulator, mail: MailServer
) -> None:
    known = configured(simulator, mail, routes={})
    tell_of_lost_run(own, known, "r-1", "daily_processing", "no worker", now=NOW)
    assert channels(own) == ["#invoices"]
    silent = known.model_copy(update={"slack": settings.SlackSettings()})
    assert sender(silent) is None, "a server for statements alone is no way for alerts: they stay in the outbox"


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ({"jobs": ["#a"]}, "there is no kind of alert 'jobs'"),
        ({"job": []}, "job has no channel"),
        ({"job": ["email:"]}, "is no address"),
        ({"job": ["email:a@b\nBcc: c@d"]}, "is no address"),
        ({"job": ["email:a@example.be"]}, r"email\.host"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(routes: dict[str, list[str]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        settings.Settings(alerts={"routes": routes})  # type: ignore[arg-type]


def test_every_kind_that_is_told_can_be_routed() -> None:
    told = {notifications.JOB, notifications.WAITING, notifications.LEFT, notifications.MISSED, health.DOWN, health.UP}
    told |= {cost_exports.DELIVERY, cost_exports.STRAYS, daily_summary.SUMMARY, "budget", "award"}
    assert told == set(KINDS)


def job_of_the_day(engine: Engine, at: datetime, documents: list[SourceDocument], **statuses: str) -> UUID:
    """A job with rows, of which some have come to an end; the job itself has not."""
    job = JobRepository(engine).begin(
        uuid4(), job_type="manual", partition_key=DAY, correlation_id=None, details={}, now=at
    )
    InvoiceRepository(engine).store(job.id, documents, now=at)
    with engine.begin() as connection:
        for invoice_id, status in statuses.items():
            rows = (InvoiceRow.job_id == job.id) & (InvoiceRow.invoice_id == invoice_id)
            connection.execute(update(InvoiceRow).where(rows).values(status=status))
    return job.id


def documents(*ids: str, problem: str = "") -> list[SourceDocument]:
    return [SourceDocument(one, NOW, b"" if problem else f"<Invoice>{one}</Invoice>".encode(), problem) for one in ids]


def test_yesterday_is_told_once_in_one_message_from_the_hour_on(
    engine: Engine, simulator: RunningSimulator, mail: MailServer
) -> None:
    known = configured(simulator, mail, daily_summary=True, routes={"summary": ("#daily", f"email:{OPS}")})
    problems = documents("D", "E", problem="the PDF has no XML inside")
    job_of_the_day(engine, NOW - timedelta(days=1), [*documents("A", "B", "C"), *problems], A="sent", B="duplicate")
    job_of_the_day(engine, NOW, documents("A", "C"), A="duplicate", C="sent")  # A was sent before, C is sent now
    assert not tell_of_yesterday(engine, known, now=NOW - timedelta(minutes=31)), "not before the hour"
    assert tell_of_yesterday(engine, known, now=NOW)
    assert not tell_of_yesterday(engine, known, now=NOW + timedelta(hours=3)), "once"
    assert sent(engine, known) == DispatchCount(sent=2)
    (message,) = simulator.slack_messages()
    lines = [
        "5 in all: 2 sent, 2 failed, 1 duplicate, 0 pending.",
        "• 2 × the PDF has no XML inside",
        "Nothing waits for a person.",
        f"Not processed: {DAY}. Run them: `clearfacts run --missing`.",
    ]
    address = f"http://127.0.0.1:3000/assets/job_metrics?partition={DAY}"
    assert message["channel"] == "#daily"
    assert message["blocks"] == [
        {"type": "header", "text": {"type": "plain_text", "text": f"Invoices of {DAY}"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines), "verbatim": True}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{address}|Open the day>", "verbatim": True}]},
    ]
    (taken,) = mail.room.taken
    written = email.message_from_bytes(taken.content, policy=default)
    assert written["Subject"] == f"Invoices of {DAY}"
    assert written.get_content().replace("\r\n", "\n") == "\n".join([*lines, "", f"Open the day: {address}", ""])


def test_a_summary_that_nobody_wants_is_not_told(own: Engine, simulator: RunningSimulator, mail: MailServer) -> None:
    assert not tell_of_yesterday(own, configured(simulator, mail), now=NOW)
    assert channels(own) == []
