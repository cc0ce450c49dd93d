"""The wire: calls to the destination that are under way, each in a thread of its own, and those that have ended."""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from clearfacts_assets import tracing
from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ports import LookUp, Outcome

TURN_SECONDS = 0.0005  # that a thread may compute while others wait; Python's own is ten times as long
SEARCHED_AFTER = 20_000  # new objects, some megabytes, for garbage; Python's own is 700


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The destination was asked whether it has a delivery."""

    answer: LookUp


@dataclass(frozen=True, slots=True)
class NotCalled:
    """The destination was neither sent to nor asked: it cannot be, or trouble or a stop came first. No byte left."""


Result = Outcome | LookedUp | NotCalled  # of a call: that of a sending is what the destination made of it
Ended = tuple[WorkItem, Result]


class _ShortTurns:
    """While any wire is open, the threads of this process take short turns, and its memory is searched little.

    A call is a handful of short turns with waiting in between. Were each to wait for a whole turn of the thread that
    works on the ledger, calls would take half as long again. What was in memory before, all modules among it, is left
    out of the searches for garbage, which else take a seventh of the ledger's thread.
    """

    def __init__(self) -> None:
        self._lock, self._wires = threading.Lock(), 0
        self._usual, self._searched = 0.0, (0, 0, 0)

    def begin(self) -> None:
        with self._lock:
            if self._wires == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN_SECONDS))
                self._searched = gc.get_threshold()
                gc.set_threshold(max(SEARCHED_AFTER, self._searched[0]), *self._searched[1:])
                gc.freeze()
            self._wires += 1

    def end(self) -> None:
        with self._lock:
            self._wires -= 1
            if self._wires == 0:
                sys.setswitchinterval(self._usual)
                gc.set_threshold(*self._searched)
                gc.unfreeze()


_short_turns = _ShortTurns()


@dataclass(frozen=True, slots=True)
class _Call:
    item: WorkItem
    make: Callable[[], Result]


@dataclass(frozen=True, slots=True)
class _Failed:
    """A call that raised, which is for the run's thread to raise again."""

    item: WorkItem
    error: BaseException


class Wire:
    """So many calls at once; what is handed over beyond them waits here, and may be held back until it begins.

    For one thread. Its own threads take calls from one queue and put what came of them into another, both in C: what
    concurrent.futures does around each call costs as much as a third of the call.
    """

    def __init__(self, connections: int) -> None:
        self._most = connections
        self._threads: list[threading.Thread] = []
        self._waiting: SimpleQueue[_Call | None] = SimpleQueue()  # None ends a thread
        self._ended: SimpleQueue[Ended | _Failed] = SimpleQueue()
        self._under_way = 0
        _short_turns.begin()
        atexit.register(self._finish)  # a run that nobody ended lets its calls end

    def __len__(self) -> int:
        """How many calls were handed over and not collected yet."""
        return self._under_way

    def begin(self, item: WorkItem, call: Callable[[], Result]) -> None:
        self._under_way += 1
        self._waiting.put(_Call(item, tracing.carried(call)))
        if len(self._threads) < min(self._under_way, self._most):
            thread = threading.Thread(target=self._work, name=f"delivery_{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (call := self._waiting.get()) is not None:
            try:
                self._ended.put((call.item, call.make()))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the run must hear of it
                self._ended.put(_Failed(call.item, error))

    def next(self, seconds: float) -> Ended | None:
        """A call that has ended, after so many seconds at most; None where none has, or none is under way."""
        if not self._under_way:
            return None
        try:
            ended = self._ended.get(timeout=seconds) if seconds > 0 else self._ended.get_nowait()
        except Empty:
            return None
        self._under_way -= 1
        if isinstance(ended, _Failed):
            raise ended.error
        return ended

    def hold_back(self) -> None:
        """End what has not begun to leave."""
        with suppress(Empty):
            while (call := self._waiting.get_nowait()) is not None:
                self._ended.put((call.item, NotCalled()))

    def close(self) -> list[Ended]:
        """Hold back what has not begun, let the rest end, and return all of it."""
        try:
            self._finish()
        finally:
            atexit.unregister(self._finish)
            _short_turns.end()
        ended: list[Ended] = []
        while (one := self.next(0)) is not None:
            ended.append(one)
        return ended

    def _finish(self) -> None:
        self.hold_back()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
