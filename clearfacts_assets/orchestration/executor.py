"""How runs are executed: all steps in one process, whose heart beats meanwhile. The one place for every job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from clearfacts_assets import settings
from clearfacts_assets.orchestration.heartbeat import beating
from clearfacts_assets.resources import DatabaseResource


class BeatingExecutor(InProcessExecutor):
    """Dagster's, between the first and the last beat."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        engine, silence = DatabaseResource().engine(), settings.load().runs.silence
        with beating(engine, UUID(plan_context.run_id), silence):
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def beating_executor(context: dg.InitExecutorContext) -> BeatingExecutor:
    """All steps in one process, one after the other; the run gives signs of life while it runs."""
    retries: Any = context.executor_config["retries"]
    return BeatingExecutor(retries=RetryMode.from_config(retries) or RetryMode.ENABLED)
