"""What an answer of the destination means for a delivery, and what its invoice's row is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never
from uuid import UUID

from clearfacts_assets.backoff import Backoff
from clearfacts_assets.invoices.delivery.addressing import look_up_of
from clearfacts_assets.invoices.delivery.wire import NotCalled
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, DeliveryResult, Settlement
from clearfacts_assets.invoices.lifecycle import ROW_MEANING, Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import (
    Absent,
    Accepted,
    DeliveryLedger,
    Denied,
    Destination,
    LookUp,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)

UNKNOWN_AT_ONCE = 100  # looked up between two looks into the ledger


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run hands documents over; times in seconds. The defaults are those of the settings."""

    concurrency: int = 8  # calls under way at once
    lease: float = 120.0  # after which a claim without an answer counts as unknown
    attempts: int = 5  # charged tries before a person is asked
    patience: float = 60.0  # most that a run waits for deliveries that are due later
    unknowns_in_a_row: int = 3  # that stop the run
    first_pause: float = 1.0  # after a first failed try; doubled after each further one
    longest_pause: float = 60.0

    def pause_after(self, failures: int) -> float:
        """Seconds until the next try after so many failed ones before the last."""
        return Backoff(self.first_pause, self.longest_pause).after(failures + 1)


def judged(outcome: Outcome, delivery: DeliveryRecord, destination: Destination, pace: Pace) -> Settlement:
    """What is written of a call that ended. ``delivery`` is as it was claimed."""
    match outcome:
        case Accepted(document_id, response):
            return _settlement(delivery, Event.ACCEPTED, document_id=document_id, response=response)
        case Refused(code, message, response):
            return _settlement(delivery, Event.REFUSED, reason=f"refused: {code}: {message}", response=response)
        case Denied(reason, response):
            return _settlement(delivery, Event.DENIED, reason=reason, response=response)
        case NotSent(reason, asked, response):
            delay = pace.pause_after(delivery.attempts) if asked is None else asked
            return _again(delivery, (Event.NOT_SENT,), reason, response, delay, pace)
        case Unknown():
            return _in_doubt(outcome, delivery, destination, pace)
        case _:
            assert_never(outcome)


def _in_doubt(outcome: Unknown, delivery: DeliveryRecord, destination: Destination, pace: Pace) -> Settlement:
    """What nobody knows is looked up, tried again with its key, or given to a person: as the destination allows."""
    if destination.can_look_up:
        return _settlement(delivery, Event.LOST, reason=outcome.reason, response=outcome.response)
    if destination.honours_idempotency_key:
        delay = pace.pause_after(delivery.attempts)
        return _again(delivery, (Event.LOST, Event.REPEATABLE), outcome.reason, outcome.response, delay, pace)
    reason = f"it may have been accepted, and {destination.name.capitalize()} cannot be asked: {outcome.reason}"
    return _settlement(delivery, Event.LOST, Event.GIVEN_UP, reason=reason, response=outcome.response)


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """Nothing could be learned of an unknown delivery, and only a later look-up can help: nothing is written."""


def judged_after_look_up(
    answer: LookUp | NotCalled, delivery: DeliveryRecord, destination: Destination, pace: Pace
) -> Settlement | LeftOpen:
    """What is written of an unknown delivery, once the destination was asked, or could not be."""
    match answer:
        case Accepted(document_id, response):
            reason = "found at the destination after an answer that settled nothing"
            return _settlement(delivery, Event.FOUND, reason=reason, document_id=document_id, response=response)
        case Absent():
            proved_absent = True
        case Unknown() | NotCalled():
            proved_absent = False
        case _:
            assert_never(answer)
    # Said to be safe to repeat, and in doubt all the same: it is outdated, so that only an answer could help.
    only_an_answer_helps = delivery.may_repeat and not destination.can_look_up
    if proved_absent or (destination.honours_idempotency_key and not only_an_answer_helps):
        reason = "the destination does not have it" if proved_absent else "safe to try again: same idempotency key"
        event = Event.NOT_FOUND if proved_absent else Event.REPEATABLE
        delay = pace.pause_after(max(delivery.attempts - 1, 0))
        if delivery.attempts >= pace.attempts:
            return _settlement(delivery, event, Event.GIVEN_UP, reason=f"given up: {delivery.reason or reason}")
        return _settlement(delivery, event, reason=reason, delay=delay)
    if destination.can_look_up:
        return LeftOpen()
    why = delivery.reason or "no answer"
    reason = f"it may have been accepted, and {destination.name.capitalize()} cannot be asked: {why}"
    return _settlement(delivery, Event.GIVEN_UP, reason=reason)


def settle_unknown(
    ledger: DeliveryLedger,
    destination: Destination,
    pace: Pace,
    invoice_type: str,
    correlation_id: str,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Find out, or give to a person, what earlier runs left open at this destination.

    Ends early when told to stop, and after ``pace.unknowns_in_a_row`` look-ups in a row without an answer: the rest
    stays unknown for the next run.
    """
    ledger.park_foreign(destination.name, destination.transport)
    unanswered, asked = 0, set[UUID]()  # unanswered ones in a row
    while found := [
        one
        # Named once more: a run by another transport may have left something since.
        for one in ledger.unknown(destination.name, UNKNOWN_AT_ONCE, destination.transport)
        if one.id not in asked
    ]:
        for delivery in found:
            asked.add(delivery.id)
            answer: LookUp | NotCalled = NotCalled()
            if destination.can_look_up:
                if should_stop() or unanswered >= pace.unknowns_in_a_row:
                    return
                answer = destination.look_up(look_up_of(delivery, invoice_type, correlation_id))
                unanswered = unanswered + 1 if isinstance(answer, Unknown) else 0
            settlement = judged_after_look_up(answer, delivery, destination, pace)
            if isinstance(settlement, LeftOpen):
                return  # the look-up itself fails: they stay unknown until it works again
            ledger.settle([settlement])


def _again(
    delivery: DeliveryRecord,
    events: tuple[Event, ...],
    reason: str,
    response: Mapping[str, Any],
    delay: float,
    pace: Pace,
) -> Settlement:
    if delivery.attempts + 1 < pace.attempts:
        return _settlement(delivery, *events, reason=reason, response=response, delay=delay)
    reason = f"given up after {delivery.attempts + 1} tries: {reason}"
    return _settlement(delivery, *events, Event.GIVEN_UP, reason=reason, response=response)


def _settlement(
    delivery: DeliveryRecord,
    *events: Event,
    reason: str = "",
    response: Mapping[str, Any] | None = None,
    document_id: str | None = None,
    delay: float | None = None,
) -> Settlement:
    return Settlement(delivery.id, delivery.fence, events, reason, response or {}, document_id, delay)


def result_of(
    row_id: UUID, delivery: DeliveryRecord, *, sent: bool = False, response: Mapping[str, Any] | None = None
) -> DeliveryResult:
    """What a delivery's state means for an invoice row; ``sent`` if this run got it accepted."""
    if sent:
        return DeliveryResult(row_id, InvoiceStatus.SENT, delivery.id, response=response or {})
    meaning = ROW_MEANING[delivery.state]
    message = meaning.words.format(
        when=f"{delivery.delivered_at or delivery.updated_at:%Y-%m-%d %H:%M} UTC", run=delivery.run_id
    )
    if delivery.reason and delivery.state is not State.DELIVERED:
        message = f"{message}: {delivery.reason}" if message else delivery.reason
    return DeliveryResult(row_id, meaning.met, delivery.id, message, response or {})
