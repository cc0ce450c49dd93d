"""Claim -> send -> settle: hand documents over, each at most once, and say what became of every one.

One thread, the caller's, does all work on the ledger: it claims as many deliveries as there are free calls, and writes
down all answers that have come, both in one transaction. Other threads do nothing but call the destination (wire.py,
calling.py), so that no transaction ever spans a remote call. The promise and its reasons: docs/delivery.md.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from uuid import UUID

from clearfacts_assets.invoices.delivery.calling import Caller
from clearfacts_assets.invoices.delivery.job import Clock, DeliveryJob, Signals
from clearfacts_assets.invoices.delivery.outcomes import LeftOpen, Pace, result_of, settle_unknown
from clearfacts_assets.invoices.delivery.pacing import Pacing
from clearfacts_assets.invoices.delivery.settling import for_all_rows, is_ours, result_for, settlement_of
from clearfacts_assets.invoices.delivery.wire import Ended, LookedUp, NotCalled, Result, Wire
from clearfacts_assets.invoices.delivery.work_list import WorkItem, WorkList
from clearfacts_assets.invoices.ledger.barriers import with_barrier
from clearfacts_assets.invoices.ledger.model import (
    Candidate,
    Claim,
    DeliveryRecord,
    DeliveryResult,
    Settlement,
)
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.ports import DeliveryLedger, Destination

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # how soon a stop is noticed while waiting, and how often another run's delivery is looked at
RESULTS_AT_ONCE = 200  # handed over together, so that the caller writes few and large transactions
RESULTS_EVERY = 1.0  # seconds, however few there are
REGISTERED_AT_ONCE = 100  # so that calls which end meanwhile need not wait for long
GATHER_SECONDS = 0.05  # most that an answer waits for others, to share their transaction


NO_SIGNALS, THIS_CLOCK = Signals(), Clock()


def deliver(
    batches: Iterable[Sequence[Candidate]],
    *,
    ledger: DeliveryLedger,
    destination: Destination,
    job: DeliveryJob,
    pace: Pace | None = None,
    signals: Signals = NO_SIGNALS,
    clock: Clock = THIS_CLOCK,
) -> Iterator[list[DeliveryResult]]:
    """Deliver the candidates of all batches; yields one result for each, as they come to be known.

    Batches are taken lazily, so that memory does not grow with their number. What cannot be sent now stays in the
    ledger and is PENDING, with the reason.
    """
    ledger.expire(job.dead_run_ids)
    pace = pace or Pace()
    settle_unknown(ledger, destination, pace, job.invoice_type, job.correlation_id, signals.should_stop)
    pacing = Pacing(pace, clock.monotonic, _most_ahead(pace, destination), destination.name.capitalize())
    run = _Run(
        ledger=ledger,
        destination=destination,
        job=job,
        pace=pace,
        signals=signals,
        clock=clock,
        pacing=pacing,
        caller=Caller(destination, job, pacing, signals, clock),
        wire=Wire(pace.concurrency),
    )
    try:
        yield from run.work(chain(_pieces(batches), run.more()))
    finally:
        run.end()


@dataclass(slots=True)
class _Run:
    """The state of one call of ``deliver``."""

    ledger: DeliveryLedger
    destination: Destination
    job: DeliveryJob
    pace: Pace
    signals: Signals
    clock: Clock
    pacing: Pacing
    caller: Caller
    wire: Wire
    work_list: WorkList = field(default_factory=WorkList)
    results: list[DeliveryResult] = field(default_factory=list)
    next_results: float = 0.0
    stopped: str = ""  # why nothing more is claimed
    ended: bool = False

    def work(self, batches: Iterator[Sequence[Candidate]]) -> Iterator[list[DeliveryResult]]:
        exhausted = False
        while True:
            told_to_stop = self._look_for_stop()
            while not exhausted and not told_to_stop and self._has_room():
                batch = next(batches, None)
                exhausted = batch is None
                self._take_on(batch or ())
                told_to_stop = self._look_for_stop()
            self.work_list.wake(self.clock.monotonic())
            self._exchange(self._land())
            if self.stopped:
                self._leave_the_rest()
            over = not self.work_list.open and (exhausted or told_to_stop)
            if self._results_are_due(over):
                yield self.results
                self.results = []
            if over:
                return
            if self.work_list.open and not self.wire:
                self._wait()

    def _has_room(self) -> bool:
        """Whether more is to be taken on now: what is ready leaves first, where nothing is under way."""
        return self.work_list.has_room(self.pace.concurrency) and (bool(self.wire) or not self.work_list.ready)

    def more(self) -> Iterator[Sequence[Candidate]]:
        """The pieces of what is taken on while the run sends: of a batch all or none."""
        batches = iter(self.job.more)
        while not self.stopped and (batch := next(batches, None)) is not None:
            yield from _pieces([batch])

    def end(self) -> None:
        """Finish the calls under way and write down what they came to, whatever ended the run."""
        self.ended = True
        self._stop("the run ended early")
        self._exchange(self.wire.close())

    def _look_for_stop(self) -> bool:
        if told := self.signals.should_stop():
            self._stop("the run was told to stop")
        return told

    def _results_are_due(self, over: bool) -> bool:
        now = self.clock.monotonic()
        if not self.results or not (over or len(self.results) >= RESULTS_AT_ONCE or now >= self.next_results):
            return False
        self.next_results = now + RESULTS_EVERY
        return True

    def _stop(self, reason: str) -> None:
        if not self.stopped:
            self.stopped = reason
            self.wire.hold_back()
            if not self.ended:
                logger.warning("delivery stops: %s", reason)
                self.signals.on_stop(reason)

    def _take_on(self, batch: Sequence[Candidate]) -> None:
        self.signals.reached("registering")
        batch = [with_barrier(one, self.destination.longest_number) for one in batch]
        registered = self.ledger.register(self.job.run_id, self.destination.name, batch, self.job.force)
        answers = self.job.admit(batch, registered, self._stop)
        for candidate, answer in zip(batch, answers, strict=True):
            delivery = answer.delivery
            known = self.work_list.open.get(delivery.id)
            if known is not None:
                known.same.append(candidate.row_id)
                continue
            item = WorkItem(candidate, delivery)
            self.work_list.open[delivery.id] = item
            if delivery.state is State.READY:
                self.work_list.ready.append(item)
            elif delivery.state in (State.WAITING, State.SENDING):
                self._postpone(item, 0.0)
            else:
                self._finish(item, result_of(candidate.row_id, delivery))

    def _postpone(self, item: WorkItem, delay: float) -> None:
        self.work_list.postpone(item, self.clock.monotonic() + delay)

    def _exchange(self, landed: Sequence[Ended]) -> None:
        """Write down what came of the calls that ended and claim as many as are free then, in one transaction."""
        judgements = [settlement_of(ended, self.destination, self.pace) for ended in landed]
        settlements = [one for one in judgements if isinstance(one, Settlement)]
        chosen = self._choose()
        if not landed and not chosen:
            return
        if settlements:
            self.signals.reached("settling")
        if chosen:
            self.signals.reached("claiming")
        ids = [item.delivery.id for item in chosen]
        claim = Claim(self.job.run_id, ids, self.pace.lease, self.destination.transport, self.job.correlation_id)
        claimed_at = self.clock.monotonic()
        try:
            settled, claims = self.ledger.exchange(settlements, claim)
        except Exception:
            for settlement in settlements:
                logger.error("could not be written down, keep this as evidence: %s", settlement)
            raise
        if settlements:
            self.signals.reached("settled")
        if chosen:
            self.signals.reached("claimed")
        self._launch(chosen, {delivery.id: delivery for delivery in claims}, claimed_at)
        for (item, _), judgement in zip(landed, judgements, strict=True):
            item.delivery = settled.get(item.delivery.id, item.delivery)
            self._go_on(item, judgement)

    def _choose(self) -> list[WorkItem]:
        """As many of those that may leave as there are free calls."""
        return self.work_list.take(0 if self.stopped else self.pacing.free(len(self.wire)))

    def _launch(self, chosen: Sequence[WorkItem], claimed: Mapping[UUID, DeliveryRecord], claimed_at: float) -> None:
        for item in chosen:
            if item.delivery.id in claimed:
                item.delivery = claimed[item.delivery.id]
                self.wire.begin(item, partial(self.caller.send, item, claimed_at))
        self._look_at([item for item in chosen if item.delivery.id not in claimed])

    def _look_at(self, items: Sequence[WorkItem]) -> None:
        """What stands in the ledger of those that could not be claimed: not due yet, or in another run's hands."""
        if not items:
            return
        states = self.ledger.states([item.delivery.id for item in items])
        for item in items:
            item.delivery = states[item.delivery.id]
            if item.delivery.state in (State.READY, State.WAITING, State.SENDING):
                self._postpone(item, POLL_SECONDS)
            else:
                self._finish(item, result_of(item.candidate.row_id, item.delivery))

    def _land(self) -> list[Ended]:
        """The calls that have ended, after a short wait for the first of them and for others to share its transaction.

        The wire is not idle meanwhile: what was claimed ahead is leaving.
        """
        landed: list[Ended] = []
        pause, gathered = POLL_SECONDS, 0.0
        while (ended := self.wire.next(pause)) is not None:
            if not landed:
                gathered = self.clock.monotonic() + GATHER_SECONDS
            landed.append(ended)
            self._learn(ended[1])
            enough = self._look_for_stop() or bool(self.stopped) or len(landed) >= self.pacing.together
            pause = 0.0 if enough else gathered - self.clock.monotonic()
        self.pacing.landed(len(landed))
        return landed

    def _learn(self, result: Result) -> None:
        """Let the pace follow what the destination answers to what was sent."""
        if isinstance(result, LookedUp | NotCalled):
            return
        trouble, stop = self.pacing.learn(result)
        if trouble:
            self.wire.hold_back()
        if stop:
            self._stop(stop)

    def _go_on(self, item: WorkItem, settlement: Settlement | LeftOpen) -> None:
        delivery = item.delivery
        if delivery.state is State.UNKNOWN and self.destination.can_look_up and not item.asking and not self.ended:
            item.asking = True
            self.wire.begin(item, partial(self.caller.ask, item))
            return
        item.asking = False
        if delivery.state in (State.WAITING, State.READY, State.SENDING):
            delay = settlement.delay if is_ours(settlement, delivery) else None
            self._postpone(item, POLL_SECONDS if delay is None else delay)
            return
        self._finish(item, result_for(item, settlement))

    def _finish(self, item: WorkItem, result: DeliveryResult) -> None:
        self.work_list.open.pop(item.delivery.id, None)
        self.results.extend(for_all_rows(item, result))

    def _leave_the_rest(self) -> None:
        """Nothing more is claimed: what was not sent keeps its place in the ledger, with the reason in its row."""
        for item in self.work_list.clear():
            result = result_of(item.candidate.row_id, item.delivery)
            if item.delivery.state is not State.SENDING:
                result = replace(result, message=f"{result.message}; {self.stopped}")
            self._finish(item, result)

    def _wait(self) -> None:
        """Nothing is under way: sleep until something is due, unless that is later than this run has patience for."""
        pause, too_long = self.pacing.pause(self.work_list.next_due())
        if too_long:
            self._stop(too_long)
        elif pause > 0:
            pause = min(pause, POLL_SECONDS)
            self.pacing.waited += pause
            self.clock.sleep(pause)


def _most_ahead(pace: Pace, destination: Destination) -> int:
    """Claims ahead of the calls: what is claimed when a run dies is in doubt.

    A destination that can be asked, or takes a key twice, settles that by itself; else each costs a person's time.
    """
    settles_itself = destination.can_look_up or destination.honours_idempotency_key
    return 2 * pace.concurrency if settles_itself else pace.concurrency // 2


def _pieces(batches: Iterable[Sequence[Candidate]]) -> Iterator[Sequence[Candidate]]:
    for batch in batches:
        for first in range(0, len(batch), REGISTERED_AT_ONCE):
            yield batch[first : first + REGISTERED_AT_ONCE]
