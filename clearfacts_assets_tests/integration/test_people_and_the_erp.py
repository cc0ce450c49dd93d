"""People decide, the ERP corrects, withdraws and renumbers: in the end, Clearfacts has what it should have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from clearfacts_assets.invoices.days import window_of
from clearfacts_assets.invoices.ledger.model import AsSeen, DeliveryRecord
from clearfacts_assets.invoices.lifecycle import ForbiddenTransition, Outdated, State, Verdict
from clearfacts_assets.storage.invoices.review_queue import days_due
from clearfacts_assets_tests.fixtures.pipeline import DAY, Pipeline
from clearfacts_assets_tests.fixtures.ubl_documents import BUYER_VAT, document

UPLOAD = {"operation": "upload"}
FORCE = {"force_processing": True}


OPERATOR = Path(__file__).parents[1] / "fixtures" / "operator"


def operator_document(name: str) -> bytes:
    """A document that an operator's report was about."""
    return (OPERATOR / f"{name}.xml").read_bytes()


class Office:
    """An ERP with a few invoices, and a person who decides about them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.minute = pipeline, 0
        pipeline.simulator.reset(per_day=0)
        pipeline.simulator.add_administration(BUYER_VAT)
        self.has: dict[str, tuple[datetime, str]] = {}

    def shows(self, day: str = DAY, **invoices: bytes) -> None:
        """The ERP has these, each changed just now, beside what it had."""
        for invoice_id, content in invoices.items():
            self.minute += 1
            moment = window_of(day).start + timedelta(hours=8, minutes=self.minute)
            self.has[invoice_id] = (moment, content.decode())
        self._tell()

    def withdraws(self, invoice_id: str) -> None:
        del self.has[invoice_id]
        self._tell()

    def _tell(self) -> None:
        self.pipeline.simulator.clear_invoices()
        for invoice_id, (moment, text) in self.has.items():
            self.pipeline.simulator.inject(invoice_id, moment, text)

    def answers(self, **options: object) -> None:
        """What Clearfacts does with the next uploads."""
        self.pipeline.simulator.fault("clearfacts", match=UPLOAD, **options)

    def versions(self, number: str = "F-1") -> dict[int, DeliveryRecord]:
        return {one.revision: one for one in self.pipeline.deliveries.list(number=number).items}

    def states(self, number: str = "F-1") -> Mapping[int, State]:
        return {revision: one.state for revision, one in sorted(self.versions(number).items())}

    def says(self, verdict: Verdict, revision: int = 1, seen: AsSeen | None = None) -> DeliveryRecord:
        one = self.versions()[revision]
        return self.pipeline.deliveries.resolve(
            one.id, verdict, reason="I looked", actor="a person", now=one.updated_at, seen=seen
        )

    def uploads(self) -> list[str]:
        return [one["document_number"] for one in self.pipeline.simulator.accepted()]


@pytest.fixture
def office(pipeline: Pipeline) -> Office:
    return Office(pipeline)


OLD, NEW = document(number="F-1"), document(number="F-1", lines=3)
REFUSAL = {"kind": "graphql_errors", "extensions": {"code": "UNSUPPORTED_FILE"}}
WAIT = {"kind": "status", "status": 429, "retry_after": 3600}


def test_copies_under_two_ids_of_the_erp_leave_once_in_a_forced_job(office: Office) -> None:
    """The first copy is sent and settled before the second is met: 200 others stand between them."""
    others = {f"M{number:03}": document(number=f"M-{number}") for number in range(3)}
    office.shows(A=OLD, **others, Z=OLD)
    forced = office.pipeline.run(job="manual_trigger", config=FORCE)
    assert office.uploads().count("F-1") == 1
    assert (forced.counts.sent, forced.counts.duplicates) == (4, 1)


def test_a_refused_copy_does_not_erase_the_acceptance_before_it(office: Office) -> None:
    office.shows(A=OLD)
    office.pipeline.run()
    office.answers(**REFUSAL, times=1)
    forced = office.pipeline.run(job="manual_trigger", config=FORCE)
    assert (forced.counts.failed, office.states()) == (1, {1: State.DELIVERED})
    office.shows(A=NEW)
    office.pipeline.run()
    assert office.states() == {1: State.DELIVERED, 2: State.HELD}
    assert office.uploads() == ["F-1"]


def test_a_version_that_waits_does_not_leave_once_a_newer_one_is_known_to_be_there(office: Office) -> None:
    office.shows(A=OLD)
    office.answers(**WAIT)
    office.pipeline.run()
    assert office.states() == {1: State.WAITING}
    office.shows(A=NEW)
    office.pipeline.run(assets=["raw_invoices", "validated_invoices"])
    office.pipeline.run(assets=["processed_invoices"])
    assert office.states() == {1: State.SUPERSEDED, 2: State.WAITING}
    office.says(Verdict.DELIVERED, revision=2)
    office.pipeline.simulator.clear_faults()
    office.pipeline.run()
    assert office.states() == {1: State.SUPERSEDED, 2: State.DELIVERED}
    assert office.uploads() == []


def test_a_correction_of_what_has_not_left_leaves_in_its_place(office: Office) -> None:
    office.shows(A=OLD)
    office.answers(**WAIT, times=1)
    office.pipeline.run()
    office.shows(A=NEW)
    office.pipeline.run()
    assert office.states() == {1: State.SUPERSEDED, 2: State.DELIVERED}
    assert office.uploads() == ["F-1"]


def test_an_invoice_that_the_erp_withdraws_while_it_waits_never_leaves(office: Office) -> None:
    office.shows(A=OLD, B=document(number="F-2"))
    office.answers(**WAIT)
    office.pipeline.run()
    office.withdraws("A")
    office.pipeline.simulator.clear_faults()
    office.pipeline.run()
    assert office.states() == {1: State.WITHDRAWN}
    office.pipeline.run(assets=["processed_invoices", "job_metrics"])
    office.pipeline.run(job="delivery_of_what_is_due")
    assert office.uploads() == ["F-2"]
    office.shows(A=OLD)
    office.pipeline.run()
    assert office.states() == {1: State.WAITING}


def test_a_twin_does_not_leave_once_a_person_has_waived_the_other(office: Office) -> None:
    office.shows(A=OLD, B=NEW)
    office.answers(**WAIT)
    office.pipeline.run()
    assert office.states() == {1: State.WAITING, 2: State.HELD}
    office.says(Verdict.WAIVE, revision=2)
    office.pipeline.simulator.clear_faults()
    office.pipeline.run()
    assert office.states() == {1: State.HELD, 2: State.WAIVED}
    assert office.uploads() == []


def test_two_people_with_one_list_do_not_both_decide(office: Office) -> None:
    office.pipeline.configure(DESTINATION__TRANSPORT="graphql")
    office.shows(A=OLD)
    office.answers(kind="accept_then_500", times=1)
    office.pipeline.run()
    (parked,) = office.versions().values()
    seen = AsSeen(parked.state, parked.generation)
    assert parked.state is State.PARKED
    office.says(Verdict.DELIVERED, seen=seen)
    with pytest.raises(Outdated, match="it was parked, generation 1, when you looked, and is delivered now"):
        office.says(Verdict.RESEND, seen=seen)
    with pytest.raises(ForbiddenTransition):
        office.says(Verdict.RESEND)
    office.pipeline.run()
    assert office.uploads() == ["F-1"]


def test_a_version_that_a_person_chose_leaves_though_the_erp_shows_another_one(office: Office) -> None:
    office.shows(A=OLD)
    office.answers(**REFUSAL, times=2)
    office.pipeline.run()
    office.shows(A=NEW)
    office.pipeline.run()
    assert office.states() == {1: State.REJECTED, 2: State.REJECTED}
    office.says(Verdict.RESEND, revision=1)
    assert days_due(office.pipeline.engine) == {DAY: 1}
    run = office.pipeline.run(job="delivery_of_what_is_due")
    assert (run.counts.total, run.counts.sent) == (1, 1)
    assert office.states() == {1: State.DELIVERED, 2: State.REJECTED}
    assert days_due(office.pipeline.engine) == {}


def test_what_is_sent_again_by_name_leaves_with_the_run_for_what_is_due(office: Office) -> None:
    office.shows(A=OLD)
    office.pipeline.run()
    office.says(Verdict.SEND_AGAIN)
    assert days_due(office.pipeline.engine) == {DAY: 1}
    run = office.pipeline.run(job="delivery_of_what_is_due")
    assert (run.counts.total, run.counts.sent) == (1, 1)
    assert office.uploads() == ["F-1", "F-1"]


@pytest.mark.parametrize("arrived", [True, False], ids=["delivered before", "not sent before"])
def test_an_id_of_the_erp_that_comes_with_another_number_is_asked_about(office: Office, *, arrived: bool) -> None:
    office.shows(A=OLD)
    if not arrived:
        office.answers(**WAIT, times=1)
    office.pipeline.run()
    office.shows(A=document(number="F-9"))
    office.pipeline.run()
    if arrived:
        assert office.uploads() == ["F-1"]
        assert office.states("F-9") == {1: State.HELD}
        assert "the ERP's A was invoice F-1 of 2026 before, which is delivered" in str(office.versions("F-9")[1].reason)
    else:
        assert office.uploads() == ["F-9"]
        assert office.states() == {1: State.SUPERSEDED}


def test_what_validation_leaves_to_a_person_can_be_seen_told_and_decided(office: Office) -> None:
    office.shows(A=document(number="F-1", specification="urn:our-erp:2.1"))
    run = office.pipeline.run()
    (held,) = office.versions().values()
    assert (held.state, held.held_for) == (State.HELD, "validation")
    assert run.checks["no_delivery_is_unknown"] is False
    assert run.rows["A"].delivery_id == held.id
    office.says(Verdict.RESEND)
    office.pipeline.run(job="delivery_of_what_is_due")
    assert office.uploads() == ["F-1"]


def test_rows_of_two_jobs_at_once_that_one_of_them_left_are_not_left_for_ever(office: Office) -> None:
    office.shows(A=OLD)
    left = office.pipeline.run(assets=["raw_invoices"])
    assert left.counts.pending == 1
    assert days_due(office.pipeline.engine) == {DAY: 1}
    run = office.pipeline.run(job="delivery_of_what_is_due")
    assert (run.counts.total, run.counts.sent) == (1, 1)
    assert office.pipeline.jobs.counts(left.job.id).duplicates == 1
    assert run.checks["counts_are_conserved"]


def test_the_same_invoice_with_and_without_the_buyers_vat_number_leaves_once(office: Office) -> None:
    """Two documents of the ERP, one invoice: the second one's content differs, so a person is asked."""
    office.pipeline.simulator.add_administration("BE0999000228")
    office.shows(A=operator_document("04a-buyer-with-vat"), B=operator_document("04b-buyer-without-vat"))
    run = office.pipeline.run()
    assert (run.counts.sent, run.counts.pending) == (1, 1)
    assert office.uploads() == ["OP-2026-0401"]
    assert office.states("OP-2026-0401") == {1: State.DELIVERED, 2: State.HELD}


def test_identifiers_that_contradict_each_other_are_held_with_both_shown(office: Office) -> None:
    office.shows(A=document(number="F-1").replace(b"0308357159</cbc:EndpointID>", b"0203201340</cbc:EndpointID>"))
    office.pipeline.run()
    (held,) = office.versions().values()
    assert (held.state, held.held_for) == (State.HELD, "identity")
    assert "0308357159" in str(held.reason)
    assert "0203201340" in str(held.reason)
    assert office.uploads() == []


def test_a_number_that_clearfacts_does_not_take_is_held(office: Office) -> None:
    number = "N" * 6000
    office.shows(A=document(number=number), B=OLD)
    run = office.pipeline.run()
    assert (run.counts.sent, run.counts.pending) == (1, 1)
    (held,) = office.versions(number).values()
    assert (held.state, held.held_for) == (State.HELD, "number")
