"""What ``service_health`` found last, read back from Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from clearfacts_assets.health.systems import ASKED, shown
from clearfacts_assets.orchestration.dagster_internals import AssetCheckExecutionRecord, AssetCheckExecutionRecordStatus

_ASKED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
_ANSWERED = {AssetCheckExecutionRecordStatus.SUCCEEDED}


@dataclass(frozen=True, slots=True)
class Report:
    """What one system said when it was asked last; ``healthy`` is None where it never was."""

    system: str
    healthy: bool | None
    message: str
    latency: float | None  # seconds
    checked_at: datetime | None
    last_success_at: datetime | None
    way: str = ""  # by which it was called


def newest(instance: dg.DagsterInstance) -> list[Report]:
    """One report for each system, in the order of ASKED. Costs two small reads each."""
    return [_report(instance, system) for system in ASKED]


def _report(instance: dg.DagsterInstance, asked: str) -> Report:
    key = dg.AssetCheckKey(dg.AssetKey("service_health"), f"{asked}_answers")
    system = shown(asked)
    last, success = (_last(instance, key, statuses) for statuses in (_ASKED, _ANSWERED))
    if last is None:
        return Report(system, None, "not asked yet: the job health_monitoring asks every ten minutes", None, None, None)
    said = _metadata_of(last)
    return Report(
        system,
        healthy=last.status is AssetCheckExecutionRecordStatus.SUCCEEDED,
        message=str(said.get("message", "")),
        latency=said.get("seconds"),
        checked_at=_moment_of(last),
        last_success_at=None if success is None else _moment_of(success),
        way=str(said.get("way") or ""),
    )


def _last(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, statuses: set[AssetCheckExecutionRecordStatus]
) -> AssetCheckExecutionRecord | None:
    found = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=statuses)
    return found[0] if found else None


def _moment_of(record: AssetCheckExecutionRecord) -> datetime:
    return datetime.fromtimestamp(record.event.timestamp if record.event else record.create_timestamp, tz=UTC)


def _metadata_of(record: AssetCheckExecutionRecord) -> Mapping[str, Any]:
    evaluation = record.evaluation
    return {name: value.value for name, value in evaluation.metadata.items()} if evaluation else {}
