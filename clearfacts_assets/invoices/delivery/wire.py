"""The wire: calls to the destination that are under way, each in a thread of its own, and those that have ended."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

from clearfacts_assets import tracing
from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ports import Outcome

TURN_SECONDS = 0.0005  # that a thread may compute while others wait; Python's own is ten times as long

Ended = tuple[WorkItem, Outcome | None, bool]  # with what came of it, and whether it was held back before it began


class _ShortTurns:
    """While any wire is open, the threads of this process take short turns.

    A call is a handful of short turns with waiting in between. Were each to wait for a whole turn of the thread that
    works on the ledger, calls would take half as long again.
    """

    def __init__(self) -> None:
        self._lock, self._wires, self._usual = threading.Lock(), 0, 0.0

    def begin(self) -> None:
        with self._lock:
            if self._wires == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN_SECONDS))
            self._wires += 1

    def end(self) -> None:
        with self._lock:
            self._wires -= 1
            if self._wires == 0:
                sys.setswitchinterval(self._usual)


_short_turns = _ShortTurns()


class Wire:
    """So many calls at once; what is handed over beyond them waits here, and may be held back until it begins."""

    def __init__(self, connections: int) -> None:
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="delivery")
        self._under_way: dict[Future[Outcome | None], WorkItem] = {}
        self._ended: SimpleQueue[Future[Outcome | None]] = SimpleQueue()
        _short_turns.begin()

    def __len__(self) -> int:
        """How many calls were handed over and not collected yet."""
        return len(self._under_way)

    def begin(self, item: WorkItem, call: Callable[[], Outcome | None]) -> None:
        future = self._threads.submit(tracing.carried(call))
        self._under_way[future] = item
        future.add_done_callback(self._ended.put)

    def next(self, seconds: float) -> Ended | None:
        """A call that has ended, after so many seconds at most; None where none has, or none is under way."""
        if not self._under_way:
            return None
        try:
            future = self._ended.get(timeout=seconds) if seconds > 0 else self._ended.get_nowait()
        except Empty:
            return None
        held_back = future.cancelled()
        return self._under_way.pop(future), None if held_back else future.result(), held_back

    def hold_back(self) -> None:
        """End what has not begun to leave."""
        for future in list(self._under_way):
            future.cancel()  # has no effect on a call that a thread has begun

    def close(self) -> list[Ended]:
        """Hold back what has not begun, let the rest end, and return all of it."""
        try:
            self._threads.shutdown(wait=True, cancel_futures=True)
        finally:
            _short_turns.end()
        ended: list[Ended] = []
        while (one := self.next(0)) is not None:
            ended.append(one)
        return ended
