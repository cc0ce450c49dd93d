"""The wire: calls to the destination that are under way, each in a thread of its own, and those that have ended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue

from clearfacts_assets.invoices.delivery.work_list import WorkItem
from clearfacts_assets.invoices.ports import Outcome

Ended = tuple[WorkItem, Outcome | None, bool]  # with what came of it, and whether it was held back before it began


class Wire:
    """So many calls at once; what is handed over beyond them waits here, and may be held back until it begins."""

    def __init__(self, connections: int) -> None:
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="delivery")
        self._under_way: dict[Future[Outcome | None], WorkItem] = {}
        self._ended: SimpleQueue[Future[Outcome | None]] = SimpleQueue()

    def __len__(self) -> int:
        """How many calls were handed over and not collected yet."""
        return len(self._under_way)

    def begin(self, item: WorkItem, call: Callable[[], Outcome | None]) -> None:
        future = self._threads.submit(call)
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
        self._threads.shutdown(wait=True, cancel_futures=True)
        ended: list[Ended] = []
        while (one := self.next(0)) is not None:
            ended.append(one)
        return ended
