"""What a call that ended means: for the delivery, which is settled by it, and for the rows that waited for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

from clearfacts_assets.invoices.delivery.outcomes import LeftOpen, Pace, judged, judged_after_look_up, result_of
from clearfacts_assets.invoices.delivery.wire import Ended, LookedUp, NotCalled
from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ledger.model import DeliveryRecord, DeliveryResult, Settlement
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import Destination

TWICE = "the same document stands twice in this job; it was sent once"


def settlement_of(ended: Ended, destination: Destination, pace: Pace) -> Settlement | LeftOpen:
    """What is written of it; LeftOpen where a look-up has settled nothing."""
    item, result = ended
    match result:
        case LookedUp(answer):
            return judged_after_look_up(answer, item.delivery, destination, pace)
        case NotCalled() if item.asking:
            return judged_after_look_up(result, item.delivery, destination, pace)
        case NotCalled():
            return Settlement(item.delivery.id, item.delivery.fence, (Event.RELEASED,), "no byte has left")
        case _:
            return judged(result, item.delivery, destination, pace)


def is_ours(settlement: Settlement | LeftOpen, delivery: DeliveryRecord) -> TypeGuard[Settlement]:
    """Whether it was said of the claim that is still the last one."""
    return isinstance(settlement, Settlement) and settlement.fence == delivery.fence


def result_for(item: WorkItem, settlement: Settlement | LeftOpen) -> DeliveryResult:
    """What the row of an item is told, whose delivery is as it stands in the ledger by now."""
    delivery, row_id = item.delivery, item.candidate.row_id
    if isinstance(settlement, LeftOpen):
        return result_of(row_id, delivery)
    ours, delivered, response = is_ours(settlement, delivery), delivery.state is State.DELIVERED, settlement.response
    if ours and delivered and settlement.events[0] is Event.REFUSED:
        # Delivered before; what this job tried was refused.
        return DeliveryResult(row_id, InvoiceStatus.FAILED, delivery.id, settlement.reason, response)
    return result_of(row_id, delivery, sent=ours and delivered, response=response)


def for_all_rows(item: WorkItem, result: DeliveryResult) -> Iterator[DeliveryResult]:
    """The same for the further rows of the job that are the same document."""
    yield result
    for row_id in item.same:
        status = InvoiceStatus.DUPLICATE if result.status is InvoiceStatus.SENT else result.status
        yield DeliveryResult(row_id, status, result.delivery_id, result.message or TWICE)
