"""Long-lived worker processes that inspect documents.

Saxon holds Python's lock, so threads do not make it faster; processes do. A worker is a fresh interpreter (never a
fork) that imports only what inspection needs, and talks to us over one socket pair. It ends by itself when we end,
however we end: its next read meets the end of the stream, and the system's alarm clock ends it even in the middle of a
document. What a document does to a worker (a crash, an endless loop) happens to that document alone: the
worker is replaced, the document gets a finding, the others go on.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from clearfacts_assets.invoices.model import Report
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan, failed
from clearfacts_assets.invoices.validation.memory import give_back

START_SECONDS = 60.0  # for a worker to build its rule sets; it takes about one on an idle machine
DOCUMENT_SECONDS = 120.0  # of the processor, for one document; 10,000 lines take about three
IDLE = 10  # times as long by the clock on the wall: a busy machine refuses no document, and who waits for ever is ended
BATCH = 16  # documents handed to a worker at once: a message costs as much as a tenth of a small document
BATCH_BYTES = 256 * 2**10  # a batch of more is not filled up
STARTS_IN_A_ROW = 3  # failed starts of a worker before we give up
COLLECT_ALL = 50  # batches between two full collections of garbage in a worker
_STOP = None


class WorkersFailed(Exception):
    """Worker processes cannot be started. The message says why; it is about the installation, not about a document."""


@dataclass(slots=True)
class _Job:
    content: bytes
    future: Future[Report]


class _Worker:
    """One process and our end of the line to it."""

    def __init__(self, plan: ValidationPlan, document_seconds: float) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        finally:
            theirs.close()
        self.line = Connection(ours.detach())
        self.line.send((plan, document_seconds))

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises WorkersFailed with the worker's own words."""
        try:
            problem = self.line.recv() if self.line.poll(START_SECONDS) else f"no answer within {START_SECONDS:.0f} s"
        except (EOFError, OSError):
            problem = f"it ended at once, with exit code {self._process.wait()}"
        if problem:
            self.end()
            raise WorkersFailed(f"a validation worker could not start: {problem}")

    def end(self) -> str:
        """End the process, now. Returns how it ended, in words."""
        self.line.close()
        if self._process.poll() is None:
            try:
                self._process.wait(0.5)  # the closed line is its signal to leave
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    """Ours, with this package's folder in front, so that a worker finds it wherever we were started."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root, "PYTHONSAFEPATH": "1"}


class Workers:
    """A fixed number of worker processes behind one queue. Any thread may submit; every thread may wait."""

    def __init__(
        self,
        plan: ValidationPlan,
        count: int,
        *,
        document_seconds: float = DOCUMENT_SECONDS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._plan, self._document_seconds, self._clock = plan, document_seconds, clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._alive: dict[int, _Worker] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._serve, name=f"validation-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [worker.pid for worker in list(self._alive.values())]

    def submit(self, content: bytes) -> Future[Report]:
        """The report, later. The future fails with WorkersFailed where no worker can be started."""
        future: Future[Report] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("these workers are closed")
            self._jobs.put(_Job(content, future))
        return future

    def close(self) -> None:
        """End every worker. Documents under way are given up."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for _ in self._threads:
            self._jobs.put(_STOP)
        for thread in self._threads:
            thread.join()

    # One thread of ours stands behind each worker.

    def _serve(self) -> None:
        worker: _Worker | None = None
        try:
            while batch := self._take():
                # A worker that is lost says nothing of the document it was at: they then go one by one.
                todo = [batch]
                while todo:
                    jobs = todo.pop(0)
                    try:
                        worker = worker or self._start()
                    except WorkersFailed as error:
                        for job in jobs:
                            job.future.set_exception(error)
                        continue
                    started = self._clock()
                    if self._answered(worker, jobs):
                        continue
                    ending, worker = self._retire(worker), None
                    if len(jobs) == 1:
                        self._blame(jobs[0], ending, self._clock() - started)
                    else:
                        todo += [[job] for job in jobs]
        finally:
            if worker is not None:
                self._retire(worker)

    def _take(self) -> list[_Job]:
        """The next batch; empty when it is time to stop."""
        batch: list[_Job] = []
        size = 0
        while len(batch) < BATCH and size < BATCH_BYTES:
            try:
                job = self._jobs.get(block=not batch)
            except queue.Empty:
                break
            if job is _STOP:
                if batch:
                    self._jobs.put(_STOP)  # for the next time
                break
            if self._closed:
                job.future.cancel()
            elif job.future.set_running_or_notify_cancel():
                batch.append(job)
                size += len(job.content)
        return batch

    def _start(self) -> _Worker:
        problem: Exception | None = None
        for _ in range(STARTS_IN_A_ROW):
            try:
                worker = _Worker(self._plan, self._document_seconds)
                worker.wait_until_ready()
            except WorkersFailed as error:
                problem = error
            except OSError as error:  # no memory, no more processes, or it was gone before we could speak
                problem = WorkersFailed(f"a validation worker could not start: {error}")
            else:
                self._alive[threading.get_ident()] = worker
                return worker
        raise problem or AssertionError("a worker is tried at least once")

    def _retire(self, worker: _Worker) -> str:
        self._alive.pop(threading.get_ident(), None)
        return worker.end()

    @staticmethod
    def _answered(worker: _Worker, jobs: list[_Job]) -> bool:
        """Send the documents, settle their futures. False where the worker was lost on the way."""
        try:
            if len(jobs) == 1 and len(jobs[0].content) >= BATCH_BYTES:
                worker.line.send(None)
                worker.line.send_bytes(jobs[0].content)  # as it is: a message of objects would be two copies of it
            else:
                worker.line.send([job.content for job in jobs])
            reports: list[Report] = worker.line.recv()
        except (EOFError, OSError):
            return False
        for job, report in zip(jobs, reports, strict=True):
            job.future.set_result(report)
        return True

    def _blame(self, job: _Job, ending: str, duration: float) -> None:
        """The document that was under way alone when its worker was lost gets the finding; nobody tries it again."""
        seconds = self._document_seconds
        limits = {"signal SIGPROF": f"{seconds:g} s of the processor", "signal SIGALRM": f"{IDLE * seconds:g} s"}
        if ending in limits:
            rule, what = "DOC-TIME", f"took longer than {limits[ending]}"
        else:
            rule, what = "DOC-CRASH", f"ended its worker process ({ending})"
        job.future.set_result(
            failed(job.content, rule, f"validating this document {what}; a person must look at it", duration)
        )


def _main() -> None:
    """A worker's life: build, say so, then a report for every document until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent decides
    for alarm in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(alarm, signal.SIG_DFL)  # ends the process, whoever holds Python's lock
    line = Connection(int(sys.argv[1]))
    plan, document_seconds = line.recv()
    try:
        inspector = Inspector(plan)
        inspector.warm()
    except Exception as error:  # noqa: BLE001 - whatever it is, our parent must be told
        line.send(f"{type(error).__name__}: {error}")
        return
    line.send(None)
    gc.collect()
    give_back()
    gc.freeze()  # rules live as long as the worker: no later collection looks at them
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)  # Saxon writes its errors there; we report them as findings
    for number in count(1):
        try:
            contents = line.recv() or [line.recv_bytes()]
            gc.disable()  # a large document makes a million objects, and none is garbage before its end
            reports = []
            while contents:
                signal.setitimer(signal.ITIMER_PROF, document_seconds)
                signal.setitimer(signal.ITIMER_REAL, IDLE * document_seconds)
                reports.append(inspector.inspect(contents.pop(0)))
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.setitimer(signal.ITIMER_PROF, 0)
            line.send(reports)
        except (EOFError, OSError):
            return
        gc.enable()
        gc.collect(0 if number % COLLECT_ALL else 2)


if __name__ == "__main__":
    _main()
