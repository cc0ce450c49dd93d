"""A token that expires in the middle of a day, through Dagster; and many processes that notice at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from sqlalchemy import select, text

from clearfacts_assets import configuration, settings
from clearfacts_assets.invoices.defs.token_renewal import Renewal
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.ports import DestinationError
from clearfacts_assets.simulator.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.accounts.tables import AuditLog, ConfigurationEntry
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.invoices.tables import Delivery, DeliveryAttempt, Job
from clearfacts_assets_tests.fixtures.engines import lose_a_commit
from clearfacts_assets_tests.fixtures.pipeline import Pipeline

RIGHT = 11  # of the day's 12 invoices one is broken
ASKED = 2  # calls for the administrations, before the first upload
TRANSPORTS = pytest.mark.parametrize("transport", ["graphql", "rest"])
APPLICATION = {
    "DESTINATION__CLIENT_ID": CLIENT_ID,
    "DESTINATION__CLIENT_SECRET": CLIENT_SECRET,
    "DESTINATION__REFRESH_TOKEN": REFRESH_TOKEN,
}
CANARIES = (CLIENT_SECRET, REFRESH_TOKEN, "simulated-clearfacts-token", "simulated-access-token", "simulated-refresh")


@pytest.fixture
def expiring(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> Iterator[Pipeline]:
    """A pipeline whose token can be renewed; at the end no token stands anywhere in clear."""
    caplog.set_level("DEBUG")
    pipeline.configure(**APPLICATION)
    yield pipeline
    written = [caplog.text]
    with reading(pipeline.engine) as connection:
        for table in (AuditLog, ConfigurationEntry, Delivery, DeliveryAttempt, Job):
            written += [repr(row) for row in connection.execute(select(table.__table__))]
    for run in pipeline.instance.get_runs():
        written += [repr(entry) for entry in pipeline.instance.all_logs(run.run_id)]
    assert [canary for canary in CANARIES if any(canary in text for text in written)] == []


def change(pipeline: Pipeline, key: str, value: str) -> None:
    """As an admin does through the API."""
    configuration.repository(pipeline.engine, settings.load()).set(
        key,
        configuration.as_json(key, value, settings.load()),
        secret=True,
        description="",
        actor=Actor("an admin"),
        now=datetime.now(UTC),
    )


def renewal(pipeline: Pipeline) -> Renewal:
    return Renewal(pipeline.engine, pipeline.simulator.clearfacts_url)


@TRANSPORTS
def test_a_token_that_expires_mid_batch_is_renewed_once_and_only_the_audit_log_notices(
    expiring: Pipeline, transport: str
) -> None:
    expiring.configure(DESTINATION__TRANSPORT=transport)
    expiring.simulator.expire_tokens(after=5)
    run = expiring.run()
    assert (run.job.status, run.counts.sent, run.counts.pending) == ("completed", RIGHT, 0)
    assert expiring.simulator.tokens() == {"renewals": 1, "refused": 0}
    expiring.check_all_delivered()
    with reading(expiring.engine) as connection:
        attempts = list(connection.execute(select(DeliveryAttempt.outcome)).scalars())
    assert [outcome for outcome in attempts if outcome != "released"] == ["accepted"] * RIGHT
    assert expiring.health().success
    assert expiring.simulator.tokens()["renewals"] == 1
    check_the_renewal_is_in_the_audit_log(expiring)


def test_the_next_process_begins_with_the_renewed_token_and_its_successor(expiring: Pipeline) -> None:
    expiring.simulator.expire_tokens(after=0)
    assert expiring.run().counts.sent == RIGHT
    configuration._changes.cache_clear()
    calls = expiring.simulator.calls()
    assert expiring.health().success
    assert expiring.simulator.calls()["clearfacts.userinfo"] == calls.get("clearfacts.userinfo", 0) + 1
    expiring.simulator.expire_tokens(after=0)
    configuration._changes.cache_clear()
    assert expiring.health().success
    assert expiring.simulator.tokens() == {"renewals": 2, "refused": 0}


def check_the_renewal_is_in_the_audit_log(expiring: Pipeline) -> None:
    """Without a token: ``expiring`` looks for them everywhere."""
    with reading(expiring.engine) as connection:
        entries = connection.execute(
            select(AuditLog.action, AuditLog.resource_id, AuditLog.details).order_by(AuditLog.position)
        ).all()
        stored = dict(
            connection.execute(select(ConfigurationEntry.key, ConfigurationEntry.is_encrypted)).tuples().all()
        )
    assert [(row.action, row.resource_id, row.details["actor"]) for row in entries] == [
        ("configuration.set", "destination.refresh_token", "token renewal"),
        ("configuration.set", "destination.token", "token renewal"),
    ]
    assert stored == {"destination.refresh_token": True, "destination.token": True}


def test_a_refused_refresh_token_stops_the_run_and_says_what_to_do(expiring: Pipeline) -> None:
    expiring.configure(DESTINATION__REFRESH_TOKEN="used-up")
    expiring.simulator.expire_tokens(after=ASKED + 4)
    run = expiring.run()
    assert run.job.status == "failed"
    assert "Clearfacts refuses our credentials" in run.message
    assert "the refresh token is refused: log in at Clearfacts anew and set destination.refresh_token" in run.message
    assert (run.counts.sent, run.counts.pending) == (4, RIGHT - 4)
    assert expiring.states() == {State.DELIVERED: 4, State.READY: RIGHT - 4}
    assert expiring.simulator.tokens() == {"renewals": 0, "refused": 1}
    change(expiring, "destination.refresh_token", REFRESH_TOKEN)
    again = expiring.run()
    assert (again.job.status, again.counts.sent, again.counts.duplicates) == ("completed", RIGHT - 4, 4)
    expiring.check_all_delivered()


@pytest.mark.parametrize(("kind", "options"), [("status", {"status": 503}), ("down", {})])
def test_a_login_that_is_out_of_order_stops_the_run_and_loses_nothing(
    quick_pipeline: Pipeline, kind: str, options: dict[str, object]
) -> None:
    quick_pipeline.configure(**APPLICATION)
    quick_pipeline.simulator.expire_tokens(after=ASKED + 4)
    quick_pipeline.simulator.fault("clearfacts", kind, match={"operation": "token"}, **options)
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "it could not be renewed by itself" in run.message
    assert quick_pipeline.states() == {State.DELIVERED: 4, State.READY: RIGHT - 4}
    quick_pipeline.simulator.clear_faults()
    assert quick_pipeline.run().counts.sent == RIGHT - 4
    quick_pipeline.check_all_delivered()


def test_a_login_whose_answer_is_lost_may_have_used_up_the_refresh_token_and_then_a_person_is_asked(
    quick_pipeline: Pipeline,
) -> None:
    quick_pipeline.configure(**APPLICATION)
    quick_pipeline.simulator.expire_tokens(after=0)
    quick_pipeline.simulator.fault("clearfacts", "malformed", times=1, match={"operation": "token"})
    assert "no token came" in quick_pipeline.run().message
    assert "log in at Clearfacts anew and set destination.refresh_token" in quick_pipeline.run().message
    assert quick_pipeline.states() == {State.READY: RIGHT}


def test_a_token_that_an_admin_changes_while_the_run_goes_on_is_taken_without_any_application(
    pipeline: Pipeline,
) -> None:
    renew = renewal(pipeline)
    assert renew(pipeline.simulator.clearfacts_token) is None
    change(pipeline, "destination.token", "the-new-one")
    assert renew(pipeline.simulator.clearfacts_token) == "the-new-one"
    assert renew("the-new-one") is None
    assert pipeline.simulator.tokens() == {"renewals": 0, "refused": 0}


def test_many_processes_that_are_refused_at_once_renew_once(expiring: Pipeline) -> None:
    """Each thread stands for a process: it shares nothing with the others but the database."""
    expiring.simulator.fault("clearfacts", "delay", seconds=0.3, match={"operation": "token"})
    start = Barrier(8)

    def refused(_: int) -> str | None:
        renew = renewal(expiring)
        start.wait()
        return renew(expiring.simulator.clearfacts_token)

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(refused, range(8)))
    assert found == {"simulated-access-token-1"}
    assert expiring.simulator.tokens() == {"renewals": 1, "refused": 0}


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("happens", [True, False], ids=["commit unheard", "commit lost"])
def test_a_connection_that_is_lost_while_the_new_tokens_are_kept_loses_no_token(
    expiring: Pipeline, monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    lost = lose_a_commit(expiring.engine, monkeypatch, of="configuration", happens=happens)
    renew = renewal(expiring)
    assert renew(expiring.simulator.clearfacts_token) == "simulated-access-token-1"
    assert len(lost) == 1
    assert renew(expiring.simulator.clearfacts_token) == "simulated-access-token-1", "it was kept"
    assert renew("simulated-access-token-1") == "simulated-access-token-2", "its successor was kept, too"
    assert expiring.simulator.tokens() == {"renewals": 2, "refused": 0}
    with reading(expiring.engine) as connection:
        entries = list(connection.scalars(select(AuditLog.resource_id).order_by(AuditLog.position)))
    assert entries == ["destination.refresh_token", "destination.token"] * 2


def test_tokens_that_cannot_be_kept_are_told_with_what_to_do(
    quick_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quick_pipeline.configure(**APPLICATION)
    monkeypatch.setattr("clearfacts_assets.invoices.defs.token_renewal.KEEP_SECONDS", 0.1)
    with quick_pipeline.engine.begin() as connection:
        connection.execute(
            text("CREATE TRIGGER away BEFORE INSERT ON configuration BEGIN SELECT RAISE(ABORT, 'away'); END")
        )
    assert renewal(quick_pipeline)(quick_pipeline.simulator.clearfacts_token) == "simulated-access-token-1"
    assert "log in at Clearfacts anew and set destination.refresh_token" in caplog.text


def test_nothing_is_spent_that_could_not_be_kept(quick_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    quick_pipeline.configure(**APPLICATION, AUTH__ENCRYPTION_KEYS="short:short")
    with pytest.raises(DestinationError):
        renewal(quick_pipeline)(quick_pipeline.simulator.clearfacts_token)
    assert quick_pipeline.simulator.tokens() == {"renewals": 0, "refused": 0}
