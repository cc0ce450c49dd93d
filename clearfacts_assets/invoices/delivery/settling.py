"""What a call that ended means: for the delivery, which is settled by it, and for the rows that waited for it."""

from __future__ import annotations

from collections.abc import Iterator

from clearfacts_assets.invoices.delivery.outcomes import Pace, judged, judged_after_look_up, result_of
from clearfacts_assets.invoices.delivery.wire import Ended
from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, DeliveryResult, Settlement
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import Accepted, Destination, Unknown

TWICE = "the same document stands twice in this job; it was sent once"


def settlement_of(ended: Ended, destination: Destination, pace: Pace) -> Settlement | None:
    """What is written of it; None where a look-up has settled nothing."""
    item, outcome, held_back = ended
    if item.asking:
        told = Unknown("") if held_back else outcome
        answer = told if isinstance(told, Accepted) or told is None else Unknown("")
        return judged_after_look_up(answer, item.delivery, destination, pace)
    if outcome is None:
        return Settlement(item.delivery.id, item.delivery.fence, (Event.RELEASED,), "no byte has left")
    return judged(outcome, item.delivery, destination, pace)


def is_ours(settlement: Settlement | None, delivery: DeliveryRecord) -> bool:
    """Whether it was said of the claim that is still the last one."""
    return settlement is not None and settlement.fence == delivery.fence


def result_for(item: WorkItem, settlement: Settlement | None) -> DeliveryResult:
    """What the row of an item is told, whose delivery is as it stands in the ledger by now."""
    delivery, row_id = item.delivery, item.candidate.row_id
    ours, response = is_ours(settlement, delivery), settlement.response if settlement else {}
    refused = settlement is not None and ours and settlement.events[0] is Event.REFUSED
    if settlement is not None and refused and delivery.state is State.DELIVERED:
        # Delivered before; what this job tried was refused.
        return DeliveryResult(row_id, InvoiceStatus.FAILED, delivery.id, settlement.reason, response)
    return result_of(row_id, delivery, sent=ours and delivery.state is State.DELIVERED, response=response)


def for_all_rows(item: WorkItem, result: DeliveryResult) -> Iterator[DeliveryResult]:
    """The same for the further rows of the job that are the same document."""
    yield result
    for row_id in item.same:
        status = InvoiceStatus.DUPLICATE if result.status is InvoiceStatus.SENT else result.status
        yield DeliveryResult(row_id, status, result.delivery_id, result.message or TWICE)
