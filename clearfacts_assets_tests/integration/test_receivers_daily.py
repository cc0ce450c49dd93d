"""Receivers through Dagster: a company is taken away from Clearfacts for a day, and Clearfacts cannot be asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clearfacts_assets.invoices.lifecycle import State, Verdict
from clearfacts_assets.simulator.trade import RECEIVERS
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline

RIGHT = 11  # of the day's 12 invoices one is broken
GONE = RECEIVERS[0].vat_number
OPERATOR = Path(__file__).parents[1] / "fixtures" / "operator"
ASKING = {"operation": "administrations"}


def of_the_gone(pipeline: Pipeline) -> int:
    """How many right invoices of the day are for the company that is gone."""
    texts = [
        pipeline.simulator.generator.document(entry)
        for entry in pipeline.simulator.generator.describe(pipeline.day).entries
        if entry.kind == "valid"
    ]
    customers = Counter(text.partition("AccountingCustomerParty")[2].count(f">{GONE}<") > 0 for text in texts)
    return customers[True]


def test_what_has_no_administration_waits_and_leaves_once_it_is_there(pipeline: Pipeline) -> None:
    pipeline.simulator.remove_administration(GONE)
    held = of_the_gone(pipeline)
    assert 0 < held < RIGHT
    run = pipeline.run()
    assert run.job.status == "completed"
    assert (run.counts.sent, run.counts.pending) == (RIGHT - held, held)
    assert run.checks["counts_are_conserved"]
    assert run.checks["no_delivery_is_unknown"] is False
    reasons = {reason for reason in run.reasons.values() if reason.startswith("held for a person")}
    (reason,) = reasons
    assert f"receiver {GONE} is not an administration of this Clearfacts account" in reason
    assert GONE not in {document["administration"] for document in pipeline.simulator.accepted()}
    pipeline.simulator.add_administration(GONE)
    again = pipeline.run()
    assert (again.job.status, again.counts.sent, again.counts.pending) == ("completed", held, 0)
    pipeline.check_all_delivered()


def test_one_invoice_with_and_without_an_optional_identifier_leaves_once_and_a_stranger_not_at_all(
    pipeline: Pipeline,
) -> None:
    pipeline.simulator.reset(per_day=0)
    pipeline.simulator.add_administration("BE0999000228")
    for name in ("04a-buyer-with-vat", "04b-buyer-without-vat", "foreign-siren"):
        pipeline.simulator.inject(name, f"{DAY}T12:00:00Z", (OPERATOR / f"{name}.xml").read_text())
    run = pipeline.run()
    assert (run.counts.sent, run.counts.pending, run.counts.failed) == (1, 2, 0)
    (sent,) = pipeline.simulator.accepted()
    assert (sent["document_number"], sent["administration"]) == ("OP-2026-0401", "BE0999000228")
    reasons = run.reasons
    assert "no administration is addressed by a SIREN" in reasons.pop("foreign-siren")
    (reason,) = reasons.values()
    assert reason == "held for a person: the ERP has this number under two of its ids, with different content"
    again = pipeline.run()
    assert (again.counts.sent, len(pipeline.simulator.accepted())) == (0, 1)


def test_a_person_who_sends_it_all_the_same_gets_clearfacts_own_answer(quick_pipeline: Pipeline) -> None:
    quick_pipeline.simulator.remove_administration(GONE)
    quick_pipeline.run()
    one, *others = quick_pipeline.deliveries.list(states=[State.HELD]).items
    quick_pipeline.deliveries.resolve(one.id, Verdict.RESEND, reason="r", actor="p", now=one.updated_at)
    run = quick_pipeline.run()
    assert quick_pipeline.states()[State.HELD] == len(others)
    assert quick_pipeline.states()[State.REJECTED] == 1
    assert any("refused: UNKNOWN_ADMINISTRATION" in reason for reason in run.reasons.values())


UNASKABLE = [
    ("status", {"status": 503}, "HTTP 503", False),
    ("status", {"status": 429, "retry_after": 30}, "HTTP 429", False),
    ("status", {"status": 403}, "renew destination.token", True),
    ("down", {}, "no whole answer", False),
    ("graphql_errors", {"message": "scope read_administrations required"}, "read_administrations required", True),
    ("graphql_errors", {"message": "Internal server error"}, "Internal server error", False),
]


def test_when_clearfacts_cannot_be_asked_nothing_is_sent_and_nothing_is_held(
    quick_pipeline: Pipeline, subtests: pytest.Subtests
) -> None:
    """One run after the other, and each time for another reason; only where rights are missing is it said how to do
    without them."""
    for kind, options, says, rights in UNASKABLE:
        with subtests.test(kind=kind, **options):
            quick_pipeline.simulator.clear_faults()
            quick_pipeline.simulator.fault("clearfacts", kind, match=ASKING, **options)
            run = quick_pipeline.run()
            assert run.job.status == "failed"
            assert run.message.startswith("Delivery stopped: the receivers could not be checked: ")
            assert says in run.message
            assert ("destination.check_receivers=false sends without asking" in run.message) is rights
            assert quick_pipeline.states() == {State.READY: RIGHT}
            assert quick_pipeline.simulator.accepted() == []
    quick_pipeline.simulator.clear_faults()
    again = quick_pipeline.run()
    assert (again.job.status, again.counts.sent) == ("completed", RIGHT)
    quick_pipeline.check_all_delivered()


def test_a_busy_clearfacts_is_asked_again_for_its_administrations(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(DELIVERY__PATIENCE=20)
    quick_pipeline.simulator.fault("clearfacts", "status", status=429, retry_after=0, times=2, match=ASKING)
    run = quick_pipeline.run()
    assert (run.job.status, run.counts.sent) == ("completed", RIGHT)


def test_a_question_takes_no_longer_than_calls_under_way_have_of_their_lease(quick_pipeline: Pipeline) -> None:
    quick_pipeline.configure(DELIVERY__PATIENCE=600, DESTINATION__DEADLINE=5, DELIVERY__LEASE=10)
    quick_pipeline.simulator.fault("clearfacts", "status", status=429, retry_after=1, times=1, match=ASKING)
    run = quick_pipeline.run()
    assert run.job.status == "failed"
    assert "HTTP 429" in run.message


def test_two_days_ask_once_for_the_administrations(quick_pipeline: Pipeline) -> None:
    assert quick_pipeline.run("2026-11-18").counts.sent == RIGHT
    asked = quick_pipeline.simulator.calls()["clearfacts.administrations"]
    quick_pipeline.run("2026-11-17")
    assert quick_pipeline.simulator.calls()["clearfacts.administrations"] == asked == 2  # the second one ends the list


@pytest.mark.parametrize(
    "settings", [{"DESTINATION__CHECK_RECEIVERS": "false"}, {"DESTINATION__TRANSPORT": "rest"}], ids=["off", "rest"]
)
def test_without_the_check_clearfacts_decides_itself(quick_pipeline: Pipeline, settings: dict[str, str]) -> None:
    quick_pipeline.configure(**settings)
    quick_pipeline.simulator.remove_administration(GONE)
    run = quick_pipeline.run()
    assert "clearfacts.administrations" not in quick_pipeline.simulator.calls()
    assert quick_pipeline.states()[State.HELD] == 0
    assert quick_pipeline.states()[State.REJECTED] == of_the_gone(quick_pipeline)
    assert run.counts.sent == RIGHT - of_the_gone(quick_pipeline)
