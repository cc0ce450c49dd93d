"""What routes work with, made once per process and handed to them as ``Depends(services)``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dagster import DagsterInstance
from fastapi import Request
from sqlalchemy import Engine

from clearfacts_assets.api.launching import Launching
from clearfacts_assets.invoices.runs import reconcile
from clearfacts_assets.settings import Settings

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds for which what Dagster said of unfinished jobs is believed


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

    def look(self, *, at_once: bool = False) -> None:
        """Compare with Dagster if that is due. Dagster's own faults are logged: what we know is still worth reading."""
        if not at_once and self.monotonic() < self._next:
            return
        if not self._lock.acquire(blocking=at_once):
            return  # somebody else is looking
        try:
            reconcile(self.instance, self.engine)
        except Exception:
            logger.exception("unfinished jobs could not be compared with Dagster")
        finally:
            self._next = self.monotonic() + LOOK_EVERY
            self._lock.release()


@dataclass(frozen=True, slots=True)
class Services:
    """The process's one engine, Dagster, and what is built on both."""

    known: Settings
    engine: Engine
    instance: DagsterInstance
    launching: Launching
    watch: JobWatch


async def services(request: Request) -> Services:
    """The application's services."""
    found: Services = request.app.state.services
    return found
