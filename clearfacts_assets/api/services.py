"""What routes work with, made once per process and handed to them as ``Depends(services)``."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from dagster import DagsterInstance
from fastapi import Request
from sqlalchemy import Engine

from clearfacts_assets.api import metrics
from clearfacts_assets.api.job_submission import JobSubmission
from clearfacts_assets.api.read_routes import readers_of
from clearfacts_assets.invoices.defs.runs import reconcile
from clearfacts_assets.orchestration.dagster_internals import IWorkspaceProcessContext
from clearfacts_assets.settings import Settings
from clearfacts_assets.storage.invoices.jobs import FINISHED, JobRepository
from clearfacts_assets.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds for which what Dagster said of unfinished jobs is believed
OVER_KEPT = 10_000  # ids of jobs that are known to be over
LOOKERS = 2  # threads: one looks, the other finds that somebody does


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


@dataclass(frozen=True, slots=True)
class Services:
    """The process's one engine, Dagster, and what is built on both."""

    configured: Settings
    engine: Engine
    workspace: IWorkspaceProcessContext[Any]
    job_submission: JobSubmission
    watch: JobWatch
    metrics: Metrics
    readers: ThreadPoolExecutor
    lookers: ThreadPoolExecutor
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def over(cls, workspace: IWorkspaceProcessContext[Any], engine: Engine, configured: Settings) -> Services:
        """The services of a process that has this workspace loaded."""
        instance = workspace.instance
        return cls(
            configured=configured,
            engine=engine,
            workspace=workspace,
            job_submission=JobSubmission(workspace, engine),
            watch=JobWatch(instance, engine),
            readers=readers_of(engine),
            lookers=ThreadPoolExecutor(LOOKERS, thread_name_prefix="looker"),
            metrics=Metrics(
                disk=configured.home if configured.home.exists() else Path("/"),
                suppliers=[partial(supplier, engine, instance) for supplier in metrics.SUPPLIERS],
            ),
        )

    @property
    def instance(self) -> DagsterInstance:
        return self.workspace.instance


async def services(request: Request) -> Services:
    """The application's services."""
    found: Services = request.app.state.services
    return found


async def watched(request: Request) -> Services:
    """The same for routes that tell of jobs: those of dead runs are closed before they are read.

    Dagster may be slow. Whoever made us look waits for it, and no reader: on SQLite there is one for everybody.
    """
    served = await services(request)
    if served.watch.is_due:
        await _looked(served, served.watch.look)
    return served


async def watched_job(request: Request, job_id: UUID) -> Services:
    """The same for routes that tell of one job."""
    served = await services(request)
    if served.watch.is_due:
        await _looked(served, partial(served.watch.look_for, job_id))
    return served


async def _looked(served: Services, look: Callable[[], bool]) -> None:
    await asyncio.get_running_loop().run_in_executor(served.lookers, copy_context().run, look)
