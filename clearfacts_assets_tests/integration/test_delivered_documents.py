"""What became of delivered documents, through Dagster: asked every morning and kept; nothing is lost on bad days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from clearfacts_assets.invoices.delivery.status_polling import DocumentStatus
from clearfacts_assets.invoices.ledger.model import DeliveryRecord
from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.simulator.afterwards import LATEST_DAYS, days_until_paid
from clearfacts_assets.storage.accounts.audit import Actor
from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments, NotMissing
from clearfacts_assets.storage.invoices.tables import DeliveredDocument, Delivery
from clearfacts_assets_tests.fixtures.pipeline import Finished, Pipeline

RIGHT = 11  # of the day's 12 invoices one is broken
ASKING = {"operation": "document"}
SOON = {"DELIVERY__FOLLOW_AGAIN": 0.001}


def delivered(pipeline: Pipeline) -> list[DeliveryRecord]:
    return list(pipeline.deliveries.list(states=[State.DELIVERED], limit=100).items)


def asked(pipeline: Pipeline) -> int:
    return pipeline.simulator.calls().get("clearfacts.document", 0)


def figures(run: Finished) -> dict[str, Any]:
    assert run.result.success
    return run.metadata("delivered_documents")


def payment_states(pipeline: Pipeline) -> Counter[str]:
    found = (DeliveredDocuments(pipeline.engine).of(record.id) for record in delivered(pipeline))
    return Counter(state.in_words if state else "not asked" for state in found)


def test_every_document_is_asked_about_once_a_day_and_what_is_said_is_kept(pipeline: Pipeline) -> None:
    pipeline.run()
    told = figures(pipeline.follow_up())
    assert (told["due"], told["answered"], told["could_not_be_asked"]) == (RIGHT, RIGHT, 0)
    assert (told["answered_for_the_first_time"], told["changed"], told["missing"]) == (RIGHT, 0, 0)
    assert told["documents_unpaid"] == RIGHT
    assert (told["changes"], told["why_some_could_not_be_asked"]) == ("none", "none")
    (record, *_) = delivered(pipeline)
    state = pipeline.deliveries.get(record.id).document
    assert state is not None
    assert (state.document_id, state.status) == (record.document_id, DocumentStatus.FOUND)
    assert (state.document_type, state.payment_state) == ("PURCHASE", "UNPAID")
    assert state.document_date == pipeline.simulator.accepted()[0]["time"][:10]
    assert state.asked_at <= state.answered_at == state.changed_at
    told = figures(pipeline.follow_up())
    assert (told["due"], told["documents_unpaid"]) == (0, RIGHT)
    assert asked(pipeline) == RIGHT


def test_a_change_is_shown_and_what_is_paid_is_asked_about_no_more(pipeline: Pipeline) -> None:
    pipeline.configure(**SOON)
    pipeline.run()
    pipeline.follow_up()
    days = 20
    pipeline.simulator.let_days_pass(days)
    paid = sum(days_until_paid(record.content_sha256) <= days for record in delivered(pipeline))
    assert 0 < paid < RIGHT
    told = figures(pipeline.follow_up())
    assert (told["changed"], told["documents_paid"], told["documents_unpaid"]) == (paid, paid, RIGHT - paid)
    assert {(row["before"], row["now"]) for row in told["changes"]} == {("UNPAID", "PAID")}
    numbers = {record.key.number for record in delivered(pipeline) if days_until_paid(record.content_sha256) <= days}
    assert {row["invoice"] for row in told["changes"]} == numbers
    assert figures(pipeline.follow_up())["due"] == RIGHT - paid
    pipeline.simulator.let_days_pass(LATEST_DAYS)
    assert figures(pipeline.follow_up())["documents_paid"] == RIGHT
    assert figures(pipeline.follow_up())["due"] == 0


def test_a_document_that_is_gone_turns_a_check_yellow_until_it_is_there_again(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(**SOON)
    quick_pipeline.run()
    quick_pipeline.follow_up()
    gone = delivered(quick_pipeline)[3]
    assert gone.document_id is not None
    quick_pipeline.simulator.change_document(gone.document_id, forgotten=True)
    run = quick_pipeline.follow_up()
    told = figures(run)
    assert run.checks == {"every_delivered_document_is_known": False, "every_question_was_answered": True}
    assert (told["missing"], told["documents_unpaid"], told["changed"]) == (1, RIGHT - 1, 1)
    assert [(row["invoice"], row["before"], row["now"]) for row in told["changes"]] == [
        (gone.key.number, "UNPAID", "missing")
    ]
    (row,) = told["missing_documents"]
    assert (row["invoice"], row["document"], row["delivery"]) == (gone.key.number, gone.document_id, str(gone.id))
    assert quick_pipeline.states() == {State.DELIVERED: RIGHT}  # nobody sends it again by himself
    assert quick_pipeline.follow_up().checks["every_delivered_document_is_known"] is False
    quick_pipeline.simulator.change_document(gone.document_id, forgotten=False)
    back = quick_pipeline.follow_up()
    assert back.checks["every_delivered_document_is_known"] is True
    assert [(row["before"], row["now"]) for row in figures(back)["changes"]] == [("missing", "UNPAID")]


def test_a_document_that_a_person_sends_again_begins_anew(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    gone = delivered(quick_pipeline)[0]
    assert gone.document_id is not None
    quick_pipeline.simulator.change_document(gone.document_id, forgotten=True)
    assert quick_pipeline.follow_up().checks["every_delivered_document_is_known"] is False
    quick_pipeline.deliveries.resolve(gone.id, Verdict.SEND_AGAIN, reason="deleted", actor="p", now=datetime.now(UTC))
    known = quick_pipeline.deliveries.get(gone.id).document  # until another one is accepted in its place
    assert known is not None
    assert (known.document_id, known.status) == (gone.document_id, "missing")
    quick_pipeline.run()
    run = quick_pipeline.follow_up()
    assert (figures(run)["due"], figures(run)["documents_unpaid"]) == (1, RIGHT)
    assert run.checks["every_delivered_document_is_known"] is True
    state = quick_pipeline.deliveries.get(gone.id).document
    assert state is not None
    assert state.document_id != gone.document_id


def test_a_document_that_a_person_knows_to_be_gone_keeps_no_check_yellow(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(**SOON)
    quick_pipeline.run()
    gone, other = delivered(quick_pipeline)[:2]
    assert gone.document_id is not None
    quick_pipeline.simulator.change_document(gone.document_id, forgotten=True)
    assert quick_pipeline.follow_up().checks["every_delivered_document_is_known"] is False
    documents, person = DeliveredDocuments(quick_pipeline.engine), Actor("an")
    with pytest.raises(NotMissing, match="UNPAID"):
        documents.acknowledge(other.id, reason="r", actor=person, now=datetime.now(UTC))
    with pytest.raises(ValueError, match="reason"):
        documents.acknowledge(gone.id, reason=" ", actor=person, now=datetime.now(UTC))
    documents.acknowledge(gone.id, reason="deleted there on purpose", actor=person, now=datetime.now(UTC))
    run = quick_pipeline.follow_up()
    assert (run.checks["every_delivered_document_is_known"], figures(run)["missing"]) == (True, 0)
    assert figures(run)["answered"] == RIGHT, "it is asked about all the same"
    decision = quick_pipeline.deliveries.get(gone.id).decisions[-1]
    assert (decision.action, decision.details["reason"]) == (
        "delivery.missing_acknowledged",
        "deleted there on purpose",
    )
    for forgotten in (False, True):
        quick_pipeline.simulator.change_document(gone.document_id, forgotten=forgotten)
        last = quick_pipeline.follow_up()
    assert last.checks["every_delivered_document_is_known"] is False, "it came back and went once more"


BAD_DAYS = [
    ("status", {"status": 503}, "HTTP 503"),
    ("status", {"status": 401}, "refuses our token with HTTP 401: renew destination.token"),
    ("status", {"status": 429}, "HTTP 429"),
    ("down", {}, "no whole answer"),
    ("hang", {}, "no whole answer"),
    ("html", {}, "HTTP 200"),
    ("malformed", {}, "HTTP 200"),
    ("graphql_errors", {"message": "Internal server error"}, "Internal server error"),
]


def test_on_a_bad_day_nothing_is_lost_and_it_is_asked_again(
    quick_pipeline: Pipeline, subtests: pytest.Subtests
) -> None:
    quick_pipeline.run()
    for kind, options, says in BAD_DAYS:
        with subtests.test(kind=kind, **options):
            check_a_bad_day(quick_pipeline, kind, options, says)


def check_a_bad_day(pipeline: Pipeline, kind: str, options: dict[str, Any], says: str) -> None:
    pipeline.configure(DESTINATION__DEADLINE=1.5 if kind == "hang" else 30, DELIVERY__CONCURRENCY=1)
    pipeline.simulator.clear_faults()
    with pipeline.engine.begin() as connection:
        connection.execute(delete(DeliveredDocument))  # as if nobody had been asked before
    pipeline.simulator.fault("clearfacts", kind, match=ASKING, after=4, **options)
    run = pipeline.follow_up()
    told = figures(run)
    assert (told["due"], told["answered"], told["could_not_be_asked"]) == (RIGHT, 4, RIGHT - 4)
    assert run.checks == {"every_delivered_document_is_known": True, "every_question_was_answered": False}
    failed, rest = told["why_some_could_not_be_asked"]
    assert failed["documents"] == 3
    assert says in failed["reason"]
    assert rest == {"documents": RIGHT - 7, "reason": "not asked: too many questions in a row had no answer"}
    assert payment_states(pipeline) == {"UNPAID": 4, "not answered yet": 3, "not asked": RIGHT - 7}
    pipeline.simulator.clear_faults()
    pipeline.configure(DESTINATION__DEADLINE=30)
    again = pipeline.follow_up()
    assert (figures(again)["due"], figures(again)["answered"]) == (RIGHT - 4, RIGHT - 4)
    assert again.checks["every_question_was_answered"] is True
    assert payment_states(pipeline) == {"UNPAID": RIGHT}


def test_a_busy_clearfacts_is_asked_again_and_tells_of_every_document(quick_pipeline: Pipeline) -> None:
    quick_pipeline.run()
    quick_pipeline.configure(DELIVERY__PATIENCE=20, DELIVERY__CONCURRENCY=1)
    quick_pipeline.simulator.fault("clearfacts", "status", status=429, retry_after=0, times=3, match=ASKING)
    run = quick_pipeline.follow_up()
    assert figures(run)["answered"] == RIGHT
    assert run.checks["every_question_was_answered"]


def test_what_was_known_before_a_bad_day_stays_known(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(**SOON)
    quick_pipeline.run()
    quick_pipeline.follow_up()
    quick_pipeline.simulator.fault("clearfacts", "status", status=500, match=ASKING)
    assert figures(quick_pipeline.follow_up())["documents_unpaid"] == RIGHT
    assert payment_states(quick_pipeline) == {"UNPAID": RIGHT}


def test_documents_that_never_answer_block_nobody(quick_pipeline: Pipeline) -> None:
    """They go to the end of the queue: as many as end a run are asked first, and not again before the others."""
    quick_pipeline.run()
    quick_pipeline.configure(DELIVERY__CONCURRENCY=1)
    due = DeliveredDocuments(quick_pipeline.engine).due(
        now=datetime.now(UTC), again_after=0.001, followed_days=90, limit=3
    )
    for document in due:
        quick_pipeline.simulator.fault(
            "clearfacts", "status", status=500, match={**ASKING, "contains": document.document_id}
        )
    assert figures(quick_pipeline.follow_up())["answered"] == 0
    told = figures(quick_pipeline.follow_up())
    assert (told["answered"], told["could_not_be_asked"]) == (RIGHT - 3, 3)


def test_a_run_asks_so_many_and_the_next_one_goes_on(pipeline: Pipeline) -> None:
    pipeline.run()
    pipeline.configure(DELIVERY__FOLLOW_AT_ONCE=4)
    assert [figures(pipeline.follow_up())["answered"] for _ in range(4)] == [4, 4, 3, 0]
    assert payment_states(pipeline) == {"UNPAID": RIGHT}


def test_the_longest_unasked_come_first_and_old_ones_are_left_in_peace(pipeline: Pipeline) -> None:
    pipeline.run()
    now, documents = datetime.now(UTC), DeliveredDocuments(pipeline.engine)
    old, new, *_ = delivered(pipeline)
    with pipeline.engine.begin() as connection:
        for record, days in ((old, 91), (new, 89)):
            moved = {"delivered_at": now - timedelta(days=days)}
            connection.execute(update(Delivery).where(Delivery.id == record.id).values(moved))
    due = documents.due(now=now, again_after=1, followed_days=90, limit=100)
    assert due[0].delivery_id == new.id
    assert old.id not in {one.delivery_id for one in due}
    assert len(due) == RIGHT - 1


def test_what_is_not_delivered_is_not_asked_about(quick_pipeline: Pipeline) -> None:
    quick_pipeline.simulator.fault("clearfacts", "accept_then_500", times=1, match={"operation": "upload"})
    quick_pipeline.configure(DELIVERY__UNKNOWNS_IN_A_ROW=1)
    quick_pipeline.run()
    assert quick_pipeline.states()[State.PARKED] == 1
    quick_pipeline.decide()  # a person says that it arrived, and nobody knows its id
    told = figures(quick_pipeline.follow_up())
    assert told["due"] == len([one for one in delivered(quick_pipeline) if one.document_id])


def test_the_token_is_renewed_for_a_question_too(quick_pipeline: Pipeline) -> None:
    from clearfacts_assets.simulator.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

    quick_pipeline.configure(
        DESTINATION__CLIENT_ID=CLIENT_ID,
        DESTINATION__CLIENT_SECRET=CLIENT_SECRET,
        DESTINATION__REFRESH_TOKEN=REFRESH_TOKEN,
    )
    quick_pipeline.run()
    quick_pipeline.simulator.expire_tokens(after=3)
    assert figures(quick_pipeline.follow_up())["answered"] == RIGHT
    assert quick_pipeline.simulator.tokens() == {"renewals": 1, "refused": 0}


def test_rest_has_no_such_question_and_says_so(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(DESTINATION__TRANSPORT="rest")
    quick_pipeline.run()
    run = quick_pipeline.follow_up()
    assert figures(run)["why_nothing_was_asked"] == (
        "the transport rest has no question about a delivered document: nothing was asked"
    )
    assert asked(quick_pipeline) == 0
    assert set(run.checks.values()) == {True}
