"""The calls of a run: what the threads of the wire do, which never touch the ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from clearfacts_assets import tracing
from clearfacts_assets.invoices.delivery.addressing import submission_of
from clearfacts_assets.invoices.delivery.job import Clock, DeliveryJob, Signals
from clearfacts_assets.invoices.delivery.pacing import Pacing
from clearfacts_assets.invoices.delivery.wire import LookedUp, NotCalled
from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ports import Destination, Outcome, Submission, Unknown

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the destination for one run."""

    destination: Destination
    job: DeliveryJob
    pacing: Pacing
    signals: Signals
    clock: Clock

    def send(self, item: WorkItem, claimed_at: float) -> Outcome | NotCalled:
        """Send; NotCalled if nothing was: trouble is ahead, a stop, or we slept so long that others may act now."""
        submission = self._submission(item)
        self.signals.reached("sending")
        slept = self.clock.monotonic() - claimed_at > self.pacing.pace.lease / 2
        if slept or self.pacing.faltering.is_set() or self.signals.should_stop():
            return NotCalled()
        with tracing.span("send", {"clearfacts.delivery.id": str(item.delivery.id)}) as sent:
            try:
                outcome = self.destination.send(submission)
            except Exception as error:
                logger.exception("the destination's client failed on delivery %s", item.delivery.id)
                outcome = Unknown(f"the client failed ({type(error).__name__}): acceptance cannot be excluded")
            sent.note({"clearfacts.outcome": type(outcome).__name__})
        self.pacing.notice(outcome)
        self.signals.reached("answered")
        return outcome

    def ask(self, item: WorkItem) -> LookedUp:
        """Look up whether the destination has what was sent and not answered."""
        try:
            return LookedUp(self.destination.look_up(self._submission(item)))
        except Exception as error:
            logger.exception("the destination's client failed on a look-up of delivery %s", item.delivery.id)
            return LookedUp(Unknown(f"the look-up failed ({type(error).__name__})"))

    def _submission(self, item: WorkItem) -> Submission:
        return submission_of(item.candidate, item.delivery, self.job.invoice_type, self.job.correlation_id)
