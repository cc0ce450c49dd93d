"""What routes work with, made once per process and handed to them as ``Depends(services)``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from dagster import DagsterInstance
from fastapi import Request
from sqlalchemy import Engine

from clearfacts_assets.api import metrics
from clearfacts_assets.api.invoices.job_submission import JobSubmission
from clearfacts_assets.api.invoices.job_watch import JobWatch
from clearfacts_assets.api.route_threads import readers_of
from clearfacts_assets.orchestration.dagster_internals import IWorkspaceProcessContext
from clearfacts_assets.settings import Settings
from clearfacts_assets.telemetry.metrics import Metrics

LOOKERS = 2  # threads: one looks, the other finds that somebody does


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
