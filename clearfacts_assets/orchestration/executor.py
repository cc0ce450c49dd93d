"""How runs are executed: all steps in one process, whose heart beats meanwhile. The one place for every job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dagster as dg

from clearfacts_assets import settings, tracing
from clearfacts_assets.orchestration.heartbeat import beating
from clearfacts_assets.orchestration.traced_runs import traced
from clearfacts_assets.resources import DatabaseResource


class BeatingExecutor(dg.Executor):
    """Another executor, between the first and the last beat."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        tracing.configure(settings.load().collector)
        engine, silence = DatabaseResource().engine(), settings.load().runs.silence
        with beating(engine, UUID(plan_context.run_id), silence):
            yield from traced(plan_context.dagster_run, self._inner.execute(plan_context, execution_plan))


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema.as_field())
def beating_executor(context: dg.InitExecutorContext) -> BeatingExecutor:
    """All steps in one process, one after the other; the run gives signs of life while it runs."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None  # noqa: S101 - Dagster's own executor has one
    return BeatingExecutor(create(context))
