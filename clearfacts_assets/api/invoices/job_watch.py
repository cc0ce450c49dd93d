"""Jobs whose runs have died: found, and closed, before somebody reads them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from dagster import DagsterInstance
from sqlalchemy import Engine

from clearfacts_assets.invoices.defs.runs import reconcile
from clearfacts_assets.storage.invoices.jobs import FINISHED, JobRepository

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds for which what Dagster said of unfinished jobs is believed
OVER_KEPT = 10_000  # ids of jobs that are known to be over


@dataclass(slots=True)
class JobWatch:
    """Keeps ``jobs`` truthful when nobody else does: closes the rows of dead runs before somebody reads them.

    One look for all readers in LOOK_EVERY seconds. Without unfinished jobs it is one read of an index.
    """

    instance: DagsterInstance
    engine: Engine
    monotonic: Callable[[], float] = time.monotonic
    _next: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: set[UUID] = field(default_factory=set)

    @property
    def is_due(self) -> bool:
        return self.monotonic() >= self._next

    def is_over(self, job_id: UUID) -> bool:
        """Whether the job has ended, which it does once: of such a one there is nothing to ask."""
        if job_id in self._over:
            return True
        job = JobRepository(self.engine).get(job_id)
        if job is None or job.status not in FINISHED:
            return False
        if len(self._over) >= OVER_KEPT:
            self._over.clear()
        self._over.add(job_id)
        return True

    def look_for(self, job_id: UUID) -> bool:
        """The same for whoever reads this job alone: Dagster is asked only if it is not over."""
        return not self.is_over(job_id) and self.look()

    def look(self, *, at_once: bool = False) -> bool:
        """Compare with Dagster if that is due; returns whether it was.

        Dagster's own faults are logged: what we know is still worth reading.
        """
        if not at_once and not self.is_due:
            return False
        if not self._lock.acquire(blocking=at_once):
            return False  # somebody else is looking
        try:
            reconcile(self.instance, self.engine)
        except Exception:
            logger.exception("unfinished jobs could not be compared with Dagster")
        finally:
            self._next = self.monotonic() + LOOK_EVERY
            self._lock.release()
        return True
