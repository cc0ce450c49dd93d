"""Claim -> send -> settle: hand documents over, each at most once, and say what became of every one.

One thread, the caller's, does all work on the ledger: it claims as many deliveries as there are free calls, and writes
down all answers that have come, each in one transaction. Other threads do nothing but call the destination, so that no
transaction ever spans a remote call. The promise and its reasons: docs/delivery.md.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from queue import Empty, SimpleQueue
from uuid import UUID

from clearfacts_assets.invoices.delivery.addressing import PURCHASE, submission_of
from clearfacts_assets.invoices.delivery.outcomes import Pace, judged, judged_after_look_up, result_of, settle_unknown
from clearfacts_assets.invoices.delivery.pacing import Pacing
from clearfacts_assets.invoices.delivery.receivers import Admit, everything
from clearfacts_assets.invoices.ledger.barriers import with_barrier
from clearfacts_assets.invoices.ledger.model import (
    Candidate,
    Claim,
    DeliveryRecord,
    DeliveryResult,
    Force,
    Settlement,
)
from clearfacts_assets.invoices.lifecycle import Event, State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.invoices.ports import Accepted, DeliveryLedger, Destination, Outcome, Unknown

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # how soon a stop is noticed while waiting, and how often another run's delivery is looked at
RESULTS_AT_ONCE = 200  # handed over together, so that the caller writes few and large transactions
RESULTS_EVERY = 1.0  # seconds, however few there are
MOST_WAITING = 500  # deliveries kept in memory until they are due; more are not taken on
REGISTERED_AT_ONCE = 100  # so that calls which end meanwhile need not wait for long
GATHER_SECONDS = 0.05  # most that an answer waits for others, to share their transaction


@dataclass(slots=True)
class _Errand:
    """One delivery that this run works on, and the further rows of the job that are the same document."""

    candidate: Candidate
    delivery: DeliveryRecord
    same: list[UUID] = field(default_factory=list)
    asking: bool = False  # a look-up is under way instead of a call that sends


def deliver(
    batches: Iterable[Sequence[Candidate]],
    *,
    ledger: DeliveryLedger,
    destination: Destination,
    run_id: UUID,
    pace: Pace | None = None,
    invoice_type: str = PURCHASE,
    correlation_id: str = "",
    force: Force | None = None,
    dead_run_ids: Collection[UUID] = (),
    admit: Admit = everything,
    should_stop: Callable[[], bool] = lambda: False,
    on_stop: Callable[[str], None] = lambda reason: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    reached: Callable[[str], None] = lambda point: None,
) -> Iterator[list[DeliveryResult]]:
    """Deliver the candidates of all batches; yields one result for each, as they come to be known.

    Batches are taken lazily, so that memory does not grow with their number. What cannot be sent now stays in the
    ledger and is PENDING, with the reason. ``should_stop`` ends the run early: calls under way are finished and
    written down, the rest keeps its place. ``on_stop`` hears why a run ends before its time, whoever ended it.
    ``dead_run_ids`` are runs known to be dead; what they were sending becomes unknown. ``admit`` says what may go on of
    each batch. ``reached`` hears the names of the points at which a crash would matter; faults are injected there.
    """
    ledger.expire(dead_run_ids)
    pace = pace or Pace()
    settle_unknown(ledger, destination, pace, invoice_type, correlation_id, should_stop)
    run = _Run(
        ledger=ledger,
        destination=destination,
        run_id=run_id,
        pace=pace,
        invoice_type=invoice_type,
        correlation_id=correlation_id,
        force=force,
        admit=admit,
        should_stop=should_stop,
        on_stop=on_stop,
        monotonic=monotonic,
        sleep=sleep,
        reached=reached,
        pool=ThreadPoolExecutor(pace.concurrency, thread_name_prefix="delivery"),
        pacing=Pacing(pace, monotonic),
    )
    try:
        yield from run.work(_pieces(batches))
    finally:
        run.end()


@dataclass(slots=True)
class _Run:
    """The state of one call of ``deliver``."""

    ledger: DeliveryLedger
    destination: Destination
    run_id: UUID
    pace: Pace
    invoice_type: str
    correlation_id: str
    force: Force | None
    admit: Admit
    should_stop: Callable[[], bool]
    on_stop: Callable[[str], None]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    reached: Callable[[str], None]
    pool: ThreadPoolExecutor
    pacing: Pacing
    ready: deque[_Errand] = field(default_factory=deque)
    waiting: list[tuple[float, int, _Errand]] = field(default_factory=list)  # a heap, by when they are due
    flying: dict[Future[Outcome | None], _Errand] = field(default_factory=dict)
    ended_calls: SimpleQueue[Future[Outcome | None]] = field(default_factory=SimpleQueue)
    mine: dict[UUID, _Errand] = field(default_factory=dict)  # all errands not yet finished, by delivery
    results: list[DeliveryResult] = field(default_factory=list)
    stopped: str = ""  # why nothing more is claimed
    ended: bool = False
    next_results: float = 0.0
    numbers: Iterator[int] = field(default_factory=count)

    def work(self, batches: Iterator[Sequence[Candidate]]) -> Iterator[list[DeliveryResult]]:
        exhausted = False
        while True:
            told_to_stop = self._look_for_stop()
            while not exhausted and not told_to_stop and self._has_room():
                batch = next(batches, None)
                exhausted = batch is None
                self._take_on(batch or ())
                told_to_stop = self._look_for_stop()
            self._wake_up()
            self._exchange(self._land())
            if self.stopped:
                self._leave_the_rest()
            over = not self.mine and (exhausted or told_to_stop)
            if self._results_are_due(over):
                yield self.results
                self.results = []
            if over:
                return
            if self.mine and not self.flying:
                self._wait()

    def end(self) -> None:
        """Finish the calls under way and write down what they came to, whatever ended the run."""
        self.ended = True
        self._stop("the run ended early")
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._exchange([(future, self.flying.pop(future)) for future in list(self.flying)])

    def _look_for_stop(self) -> bool:
        if told := self.should_stop():
            self._stop("the run was told to stop")
        return told

    def _results_are_due(self, over: bool) -> bool:
        now = self.monotonic()
        if not self.results or not (over or len(self.results) >= RESULTS_AT_ONCE or now >= self.next_results):
            return False
        self.next_results = now + RESULTS_EVERY
        return True

    def _stop(self, reason: str) -> None:
        if not self.stopped:
            self.stopped = reason
            self._hold_back()
            if not self.ended:
                logger.warning("delivery stops: %s", reason)
                self.on_stop(reason)

    def _hold_back(self) -> None:
        """Release what is claimed and has not begun to leave."""
        for future in self.flying:
            future.cancel()  # has no effect on a call that a thread has begun

    def _has_room(self) -> bool:
        return len(self.ready) < 2 * self.pace.concurrency and len(self.waiting) < MOST_WAITING

    def _take_on(self, batch: Sequence[Candidate]) -> None:
        self.reached("registering")
        batch = [with_barrier(one, self.destination.longest_number) for one in batch]
        registered = self.ledger.register(self.run_id, self.destination.name, batch, self.force)
        answers = self.admit(batch, registered, self._stop)
        for candidate, answer in zip(batch, answers, strict=True):
            delivery = answer.delivery
            known = self.mine.get(delivery.id)
            if known is not None:
                known.same.append(candidate.row_id)
                continue
            errand = _Errand(candidate, delivery)
            self.mine[delivery.id] = errand
            if delivery.state is State.READY:
                self.ready.append(errand)
            elif delivery.state in (State.WAITING, State.SENDING):
                self._come_back(errand, 0.0)
            else:
                self._finish(errand, result_of(candidate.row_id, delivery))

    def _come_back(self, errand: _Errand, delay: float) -> None:
        heapq.heappush(self.waiting, (self.monotonic() + delay, next(self.numbers), errand))

    def _wake_up(self) -> None:
        now = self.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            self.ready.append(heapq.heappop(self.waiting)[2])

    def _exchange(self, landed: Sequence[tuple[Future[Outcome | None], _Errand]]) -> None:
        """Write down what came of the calls that ended and claim as many as are free then, in one transaction."""
        judgements = [self._judge(future, errand) for future, errand in landed]
        settlements = [settlement for settlement in judgements if settlement is not None]
        chosen = self._choose()
        if not landed and not chosen:
            return
        if settlements:
            self.reached("settling")
        if chosen:
            self.reached("claiming")
        ids = [errand.delivery.id for errand in chosen]
        claim = Claim(self.run_id, ids, self.pace.lease, self.destination.transport, self.correlation_id)
        claimed_at = self.monotonic()
        try:
            settled, claims = self.ledger.exchange(settlements, claim)
        except Exception:
            for settlement in settlements:
                logger.error("could not be written down, keep this as evidence: %s", settlement)
            raise
        if settlements:
            self.reached("settled")
        if chosen:
            self.reached("claimed")
        self._launch(chosen, {delivery.id: delivery for delivery in claims}, claimed_at)
        for (_, errand), judgement in zip(landed, judgements, strict=True):
            errand.delivery = settled.get(errand.delivery.id, errand.delivery)
            self._go_on(errand, judgement)

    def _choose(self) -> list[_Errand]:
        """As many of those that may leave as there are free calls."""
        free = 0 if self.stopped else self.pacing.free(len(self.flying))
        return [self.ready.popleft() for _ in range(min(free, len(self.ready)))]

    def _launch(self, chosen: Sequence[_Errand], claimed: Mapping[UUID, DeliveryRecord], claimed_at: float) -> None:
        for errand in chosen:
            if errand.delivery.id in claimed:
                errand.delivery = claimed[errand.delivery.id]
                self._fly(errand, self.pool.submit(self._send, errand, claimed_at))
        self._look_at([errand for errand in chosen if errand.delivery.id not in claimed])

    def _fly(self, errand: _Errand, future: Future[Outcome | None]) -> None:
        self.flying[future] = errand
        future.add_done_callback(self.ended_calls.put)

    def _send(self, errand: _Errand, claimed_at: float) -> Outcome | None:
        """Send; None if nothing was: there is trouble ahead, or this process slept so long that others may act now."""
        submission = submission_of(errand.candidate, errand.delivery, self.invoice_type, self.correlation_id)
        self.reached("sending")
        if self.pacing.faltering.is_set() or self.should_stop() or self.monotonic() - claimed_at > self.pace.lease / 2:
            return None
        try:
            outcome = self.destination.send(submission)
        except Exception as error:
            logger.exception("the destination's client failed on delivery %s", errand.delivery.id)
            outcome = Unknown(f"the client failed ({type(error).__name__}): acceptance cannot be excluded")
        self.pacing.notice(outcome)
        self.reached("answered")
        return outcome

    def _ask(self, errand: _Errand) -> Outcome | None:
        submission = submission_of(errand.candidate, errand.delivery, self.invoice_type, self.correlation_id)
        try:
            return self.destination.look_up(submission)
        except Exception as error:
            logger.exception("the destination's client failed on a look-up of delivery %s", errand.delivery.id)
            return Unknown(f"the look-up failed ({type(error).__name__})")

    def _look_at(self, errands: Sequence[_Errand]) -> None:
        """What stands in the ledger of those that could not be claimed: not due yet, or in another run's hands."""
        if not errands:
            return
        states = self.ledger.states([errand.delivery.id for errand in errands])
        for errand in errands:
            errand.delivery = states[errand.delivery.id]
            if errand.delivery.state in (State.READY, State.WAITING, State.SENDING):
                self._come_back(errand, POLL_SECONDS)
            else:
                self._finish(errand, result_of(errand.candidate.row_id, errand.delivery))

    def _land(self) -> list[tuple[Future[Outcome | None], _Errand]]:
        """The calls that have ended, after a short wait for the first of them and for others to share its transaction.

        Nothing is idle meanwhile: what was claimed ahead is leaving.
        """
        landed: list[tuple[Future[Outcome | None], _Errand]] = []
        pause = POLL_SECONDS
        while self.flying:
            try:
                future = self.ended_calls.get(timeout=pause) if pause > 0 else self.ended_calls.get_nowait()
            except Empty:
                break
            if not landed:
                gathered = self.monotonic() + GATHER_SECONDS
            landed.append((future, self.flying.pop(future)))
            if not landed[-1][1].asking and not future.cancelled():
                self._learn(future.result())
            enough = self.stopped or self.should_stop() or len(landed) >= self.pacing.together
            pause = 0.0 if enough else gathered - self.monotonic()
        self.pacing.landed(len(landed))
        return landed

    def _learn(self, outcome: Outcome | None) -> None:
        """Let the pace follow what the destination answers."""
        if outcome is None:
            return
        trouble, stop = self.pacing.learn(outcome)
        if trouble:
            self._hold_back()
        if stop:
            self._stop(stop)

    def _judge(self, future: Future[Outcome | None], errand: _Errand) -> Settlement | None:
        outcome = None if future.cancelled() else future.result()
        if errand.asking:
            answer = outcome if isinstance(outcome, Accepted) or outcome is None else Unknown("")
            answer = Unknown("") if future.cancelled() else answer
            return judged_after_look_up(answer, errand.delivery, self.destination, self.pace)
        if outcome is None:
            reason = "no byte has left"
            return Settlement(errand.delivery.id, errand.delivery.fence, (Event.RELEASED,), reason)
        return judged(outcome, errand.delivery, self.destination, self.pace)

    def _go_on(self, errand: _Errand, settlement: Settlement | None) -> None:
        delivery = errand.delivery
        ours = settlement is not None and settlement.fence == delivery.fence
        if delivery.state is State.UNKNOWN and self.destination.can_look_up and not errand.asking and not self.ended:
            errand.asking = True
            self._fly(errand, self.pool.submit(self._ask, errand))
            return
        errand.asking = False
        if delivery.state in (State.WAITING, State.READY, State.SENDING):
            delay = settlement.delay if settlement is not None and ours else None
            self._come_back(errand, POLL_SECONDS if delay is None else delay)
            return
        row_id, response = errand.candidate.row_id, settlement.response if settlement else {}
        refusal = settlement if settlement and ours and settlement.events[0] is Event.REFUSED else None
        if refusal is not None and delivery.state is State.DELIVERED:  # from before; what this job tried was refused
            result = DeliveryResult(row_id, InvoiceStatus.FAILED, delivery.id, refusal.reason, response)
        else:
            sent = ours and delivery.state is State.DELIVERED
            result = result_of(row_id, delivery, sent=sent, response=response)
        self._finish(errand, result)

    def _finish(self, errand: _Errand, result: DeliveryResult) -> None:
        self.mine.pop(errand.delivery.id, None)
        self.results.append(result)
        for row_id in errand.same:
            status = InvoiceStatus.DUPLICATE if result.status is InvoiceStatus.SENT else result.status
            message = result.message or "the same document stands twice in this job; it was sent once"
            self.results.append(DeliveryResult(row_id, status, result.delivery_id, message))

    def _leave_the_rest(self) -> None:
        """Nothing more is claimed: what was not sent keeps its place in the ledger, with the reason in its row."""
        for errand in [*self.ready, *(entry[2] for entry in self.waiting)]:
            result = result_of(errand.candidate.row_id, errand.delivery)
            if errand.delivery.state is not State.SENDING:
                result = replace(result, message=f"{result.message}; {self.stopped}")
            self._finish(errand, result)
        self.ready.clear()
        self.waiting.clear()

    def _wait(self) -> None:
        """Nothing is under way: sleep until something is due, unless that is later than this run has patience for."""
        pause, too_long = self.pacing.pause(self.waiting[0][0] if self.waiting and not self.ready else None)
        if too_long:
            self._stop(too_long)
        elif pause > 0:
            pause = min(pause, POLL_SECONDS)
            self.pacing.waited += pause
            self.sleep(pause)


def _pieces(batches: Iterable[Sequence[Candidate]]) -> Iterator[Sequence[Candidate]]:
    for batch in batches:
        for first in range(0, len(batch), REGISTERED_AT_ONCE):
            yield batch[first : first + REGISTERED_AT_ONCE]
