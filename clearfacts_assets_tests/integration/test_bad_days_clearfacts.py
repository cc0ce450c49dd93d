"""Bad days of Clearfacts, through Dagster: what stops, what waits, what a person decides; and nothing goes twice."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

import pytest

from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets_tests.fixtures.pipeline import Finished, Pipeline

UPLOAD = {"operation": "upload"}
RIGHT = 11  # of the day's 12 invoices one is broken
TRANSPORTS = pytest.mark.parametrize("transport", ["graphql", "rest"])


@dataclass(frozen=True)
class BadDay:
    """A fault of uploads, and words that the message must hold."""

    kind: str
    says: str
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}-{self.options['status']}" if "status" in self.options else self.kind


QUICKLY = {"DESTINATION__DEADLINE": 0.25}
# Nobody can tell from the answer whether the invoice was accepted.
UNCERTAIN = [
    BadDay("down", ""),
    BadDay("hang", "", settings=QUICKLY),
    BadDay("status", "HTTP 500", {"status": 500}),
    BadDay("status", "HTTP 503", {"status": 503, "body": "html"}),
    BadDay("html", ""),
    BadDay("truncated", ""),
    BadDay("malformed", ""),
    BadDay("slow", "", {"interval": 0.2}, QUICKLY),
    BadDay("accept_then_drop", ""),
    BadDay("accept_then_500", "HTTP 500"),
    BadDay("accept_then_truncate", ""),
    BadDay("accept_then_malformed", ""),
    BadDay("accept_then_hang", "", settings=QUICKLY),
    BadDay("bad_uuid", ""),
]
ACCEPTING = {"slow", "bad_uuid"}
LOOKED_UP = {"down", "status-500", "malformed", "slow", "bad_uuid"}
# Of each kind one: nothing came, an error, less than an answer, too late, accepted and a wrong answer, and without one.
# That all others mean the same to a run is in the tests of the destinations.
END_TO_END = {"down", "status-500", "truncated", "slow", "bad_uuid", "accept_then_hang"}


def prepare(pipeline: Pipeline, transport: str, bad: BadDay) -> None:
    pipeline.configure(DESTINATION__TRANSPORT=transport, **bad.settings)
    pipeline.simulator.fault("clearfacts", bad.kind, match=UPLOAD, **bad.options)


def mended(pipeline: Pipeline) -> Finished:
    """The fault is over: a rerun with patience for what is due in a moment."""
    pipeline.simulator.clear_faults()
    pipeline.configure(DESTINATION__DEADLINE=30, DELIVERY__PATIENCE=20)
    return pipeline.run()


def check_figures(run: Finished) -> None:
    counts = run.counts
    assert (counts.total, counts.failed) == (12, 1)
    assert counts.sent + counts.duplicates + counts.pending == RIGHT
    assert run.checks["counts_are_conserved"]
    assert set(run.reasons) == {name for name, row in run.rows.items() if row.status in ("failed", "pending")}
    assert all(run.reasons.values())


@pytest.mark.parametrize("bad", [one for one in UNCERTAIN if str(one) in END_TO_END], ids=str)
def test_with_graphql_an_outage_parks_a_handful_and_the_rest_keeps_its_place(
    quick_pipeline: Pipeline, bad: BadDay
) -> None:
    quick_pipeline.configure(DELIVERY__UNKNOWNS_IN_A_ROW=1)
    prepare(quick_pipeline, "graphql", bad)
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert run.message.startswith("Delivery stopped: nothing was settled by one answer")
    assert run.message.endswith("materialize the partition again to send it.")
    assert bad.says in run.message
    check_figures(run)
    assert quick_pipeline.states() == {State.PARKED: 1, State.READY: RIGHT - 1}
    (parked,) = [reason for reason in run.reasons.values() if reason.startswith("parked for a person")]
    assert bad.says in parked
    assert run.checks["no_delivery_is_unknown"] is False
    filed = 1 if bad.kind in ACCEPTING or bad.kind.startswith("accept_") else 0
    assert len(quick_pipeline.simulator.accepted()) == filed
    again = mended(quick_pipeline)
    assert again.job.status == "completed"
    assert (again.counts.sent, again.counts.pending) == (RIGHT - 1, 1)
    quick_pipeline.check_nothing_twice()
    assert quick_pipeline.decide() == 1
    last = quick_pipeline.run()
    assert (last.job.status, last.counts.pending) == ("completed", 0)
    quick_pipeline.check_all_delivered()


def test_three_answers_in_a_row_that_settle_nothing_stop_the_delivery(pipeline: Pipeline) -> None:
    pipeline.configure(DELIVERY__PATIENCE=10)
    prepare(pipeline, "graphql", BadDay("accept_then_drop", ""))
    run = pipeline.run()
    assert run.message.startswith("Delivery stopped: nothing was settled by 3 answers in a row")
    assert pipeline.states() == {State.PARKED: 3, State.READY: RIGHT - 3}
    assert mended(pipeline).counts.sent == RIGHT - 3
    assert pipeline.decide() == 3
    assert pipeline.run().counts.pending == 0
    pipeline.check_all_delivered()


# Each of these waits for a second or two before the next try; all others are in the tests of the destinations.
@pytest.mark.parametrize("bad", [one for one in UNCERTAIN if str(one) in LOOKED_UP], ids=str)
def test_with_rest_everything_is_looked_up_and_nobody_has_to_decide(quick_pipeline: Pipeline, bad: BadDay) -> None:
    prepare(quick_pipeline, "rest", bad)
    run = quick_pipeline.run()
    check_figures(run)
    assert quick_pipeline.states()[State.PARKED] == 0
    if bad.kind not in ACCEPTING:
        assert run.job.status == "failed"
        assert run.message.startswith("Delivery stopped: Clearfacts is to be tried again in 1 s")
        assert bad.says in run.message
        assert quick_pipeline.simulator.accepted() == []
    again = mended(quick_pipeline)
    assert (again.job.status, again.counts.pending) == ("completed", 0)
    quick_pipeline.check_all_delivered()


@pytest.mark.parametrize("late", [False, True], ids=["wrong answers", "no answer in time"])
def test_with_rest_what_was_accepted_without_an_answer_is_found(quick_pipeline: Pipeline, late: bool) -> None:
    """One document after the other is accepted and answered wrongly, each in another way; each is looked up."""
    bad_days = [one for one in UNCERTAIN if one.kind.startswith("accept_") and bool(one.settings) is late]
    quick_pipeline.configure(DESTINATION__TRANSPORT="rest", DELIVERY__PATIENCE=60)
    quick_pipeline.configure(DELIVERY__CONCURRENCY=1, DELIVERY__UNKNOWNS_IN_A_ROW=len(UNCERTAIN))
    quick_pipeline.configure(**(QUICKLY if late else {}))
    for bad in bad_days:
        quick_pipeline.simulator.fault("clearfacts", bad.kind, match=UPLOAD, times=1)
    run = quick_pipeline.run()
    struck = {fault["kind"]: fault["applied"] for fault in quick_pipeline.simulator.faults().values()}
    assert struck == {bad.kind: 1 for bad in bad_days}
    assert run.job.status == "completed"
    assert run.counts.sent == RIGHT
    quick_pipeline.check_all_delivered()


def check_it_tells_to_renew_the_token(run: Finished) -> None:
    assert run.job.status == "failed"
    assert "Clearfacts refuses our credentials" in run.message
    assert "destination.token" in run.message
    assert "401" in run.message
    check_figures(run)


@TRANSPORTS
def test_refused_credentials_stop_the_delivery_and_charge_nothing(quick_pipeline: Pipeline, transport: str) -> None:
    prepare(quick_pipeline, transport, BadDay("status", "", {"status": 401}))
    check_it_tells_to_renew_the_token(quick_pipeline.run())
    assert quick_pipeline.states() == {State.READY: RIGHT}
    again = mended(quick_pipeline)
    assert (again.job.status, again.counts.sent) == ("completed", RIGHT)
    quick_pipeline.check_all_delivered()


@TRANSPORTS
def test_a_token_that_expires_in_the_middle_of_the_day(quick_pipeline: Pipeline, transport: str) -> None:
    prepare(quick_pipeline, transport, BadDay("expired_token", "", {"after": 4}))
    run = quick_pipeline.run()
    check_it_tells_to_renew_the_token(run)
    assert (run.counts.sent, run.counts.pending) == (4, RIGHT - 4)
    assert quick_pipeline.states() == {State.DELIVERED: 4, State.READY: RIGHT - 4}
    again = mended(quick_pipeline)
    assert (again.counts.sent, again.counts.duplicates) == (RIGHT - 4, 4)
    quick_pipeline.check_all_delivered()


@TRANSPORTS
def test_too_many_requests_are_waited_for_and_so_is_who_is_slow(quick_pipeline: Pipeline, transport: str) -> None:
    """One after the other: a wait of no time, an absurd one, which is bounded, and then each answer takes its time."""
    quick_pipeline.configure(DESTINATION__LONGEST_WAIT=0.05, DELIVERY__PATIENCE=20)
    prepare(quick_pipeline, transport, BadDay("status", "", {"status": 429, "retry_after": "0", "times": 3}))
    prepare(quick_pipeline, transport, BadDay("status", "", {"status": 429, "retry_after": "absurd", "times": 2}))
    prepare(quick_pipeline, transport, BadDay("delay", "", {"seconds": 0.05}))
    run = quick_pipeline.run()
    busy, absurd, slow = (fault["applied"] for fault in quick_pipeline.simulator.faults().values())
    assert (busy, absurd) == (3, 2)
    assert slow >= RIGHT
    assert (run.job.status, run.counts.sent) == ("completed", RIGHT)
    quick_pipeline.check_all_delivered()


@TRANSPORTS
def test_a_longer_wait_than_the_run_has_patience_for_ends_it(quick_pipeline: Pipeline, transport: str) -> None:
    prepare(quick_pipeline, transport, BadDay("status", "", {"status": 429, "retry_after": "1"}))
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "longer than this run waits" in run.message
    assert quick_pipeline.states()[State.PARKED] == 0
    check_figures(run)
    again = mended(quick_pipeline)
    assert (again.job.status, again.counts.sent) == ("completed", RIGHT)
    quick_pipeline.check_all_delivered()


@TRANSPORTS
def test_nobody_listens_at_clearfacts_address(quick_pipeline: Pipeline, transport: str) -> None:
    address = quick_pipeline.simulator.clearfacts_url
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        quick_pipeline.configure(DESTINATION__TRANSPORT=transport, DESTINATION__BASE_URL=nowhere)
        run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "Delivery stopped" in run.message
    assert any("Connect" in reason or "connect" in reason for reason in run.reasons.values())
    assert quick_pipeline.states()[State.PARKED] == 0
    check_figures(run)
    quick_pipeline.configure(DESTINATION__BASE_URL=address)
    assert mended(quick_pipeline).counts.sent == RIGHT
    quick_pipeline.check_all_delivered()


def test_errors_of_graphql_that_nobody_knows_are_parked(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(DELIVERY__UNKNOWNS_IN_A_ROW=1)
    prepare(quick_pipeline, "graphql", BadDay("graphql_errors", "", {"message": "Something went wrong"}))
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "Something went wrong" in run.message
    assert quick_pipeline.states()[State.PARKED] == 1
    assert mended(quick_pipeline).counts.sent == RIGHT - 1
    quick_pipeline.decide()
    quick_pipeline.run()
    quick_pipeline.check_all_delivered()


@TRANSPORTS
def test_one_poisonous_answer_stops_nobody_else(quick_pipeline: Pipeline, transport: str) -> None:
    victim = quick_pipeline.simulator.generator.describe(quick_pipeline.day).entries[0]
    text = quick_pipeline.simulator.generator.document(victim)
    number = text.split("<cbc:ID>")[1].split("<")[0]
    quick_pipeline.configure(DELIVERY__PATIENCE=20, DELIVERY__ATTEMPTS=2)
    prepare(quick_pipeline, transport, BadDay("status", "", {"status": 500}))
    quick_pipeline.simulator.clear_faults()
    quick_pipeline.simulator.fault("clearfacts", "status", status=500, match={**UPLOAD, "contains": number})
    run = quick_pipeline.run()
    assert run.job.status == "completed"
    assert (run.counts.sent, run.counts.pending) == (RIGHT - 1, 1)
    assert run.reasons[victim.invoice_id].startswith("parked for a person")
    check_figures(run)
    quick_pipeline.simulator.clear_faults()
    assert quick_pipeline.decide() == 1
    assert quick_pipeline.run().counts.sent == 1
    quick_pipeline.check_all_delivered()


def test_an_error_that_the_settings_know_is_no_doubt(quick_pipeline: Pipeline) -> None:
    """By its words or by its code; what they do not know, by neither, is parked."""
    known = '[{"words": "year is (already )?closed", "outcome": "refused"}, {"code": "LOCKED", "outcome": "refused"}]'
    quick_pipeline.configure(DESTINATION__TRANSPORT="graphql", DESTINATION__KNOWN_ERRORS=known, DELIVERY__PATIENCE=20)
    for message, code in (("This year is already closed", "CLOSED"), ("No", "LOCKED"), ("No year is open", "OTHER")):
        options = {"message": message, "extensions": {"code": code}}
        quick_pipeline.simulator.fault("clearfacts", "graphql_errors", times=1, match=UPLOAD, **options)
    run = quick_pipeline.run()
    assert quick_pipeline.states() == {State.REJECTED: 2, State.PARKED: 1, State.DELIVERED: RIGHT - 3}
    (parked,) = [text for text in run.reasons.values() if text.startswith("parked for a person")]
    assert "No year is open" in parked
