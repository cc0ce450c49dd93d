"""Who may ask Dagster for which change: one table over all mutations of its schema, by what each could harm.

A test holds it against the schema of the Dagster that we ship; a mutation that stands in no line is an administrator's.
"""

from __future__ import annotations

from collections.abc import Mapping

from clearfacts_assets.api.auth.permissions import Permission

OPERATE, ADMINISTER = Permission.DAGSTER_WRITE, Permission.DAGSTER_ADMINISTER

# The night's work: it starts, stops and repeats runs. Whatever is run again, the ledger lets nothing leave twice, and
# each of these stands in the audit log with who asked for it.
_OPERATED = (
    "launchRun",
    "launchPipelineExecution",
    "launchMultipleRuns",
    "launchRunReexecution",
    "launchPipelineReexecution",
    "launchPartitionBackfill",
    "reexecutePartitionBackfill",
    "resumePartitionBackfill",
    "cancelPartitionBackfill",
    "terminateRun",
    "terminateRuns",
    "terminatePipelineExecution",
    "startSchedule",
    "stopRunningSchedule",
    "resetSchedule",
    "startSensor",
    "stopSensor",
    "resetSensor",
    "scheduleDryRun",
    "logTelemetry",
    "setNuxSeen",
)
# The installation itself: evidence is erased or made up (runs, events, checks), a sensor is made to forget or to
# believe something, code is loaded, shut down or written, limits hold for everybody.
_ADMINISTERED = (
    "deleteRun",
    "deletePipelineRun",
    "wipeAssets",
    "reportRunlessAssetEvents",
    "reportAssetCheckEvaluations",
    "setSensorCursor",
    "sensorDryRun",
    "shutdownRepositoryLocation",
    "reloadRepositoryLocation",
    "reloadWorkspace",
    "refreshComponentState",
    "setAppManagedComponent",
    "deleteAppManagedComponent",
    "addDynamicPartition",
    "deleteDynamicPartitions",
    "setConcurrencyLimit",
    "deleteConcurrencyLimit",
    "freeConcurrencySlots",
    "freeConcurrencySlotsForRun",
    "setAutoMaterializePaused",
)

NEEDS: Mapping[str, Permission] = {
    **dict.fromkeys(_OPERATED, OPERATE),
    **dict.fromkeys(_ADMINISTERED, ADMINISTER),
}

# The same for the buttons of Dagster's pages, which are grey where they would be refused: the names of its GraphQL.
ADMINISTRATORS_BUTTONS = frozenset(
    {
        "delete_pipeline_run",
        "wipe_assets",
        "report_runless_asset_events",
        "update_sensor_cursor",
        "sensor_dry_run",
        "reload_repository_location",
        "reload_workspace",
        "refresh_component_state",
        "edit_app_managed_components",
        "edit_dynamic_partitions",
        "edit_concurrency_limit",
        "toggle_auto_materialize",
    }
)


def needed_for(mutation: str) -> Permission:
    """The permission for a mutation; an unknown one is an administrator's."""
    return NEEDS.get(mutation, ADMINISTER)


def mutations_as_markdown() -> str:
    """The table in docs/security.md."""
    lines = ["| permission | mutations of Dagster's GraphQL |", "|---|---|"]
    for permission in (OPERATE, ADMINISTER):
        names = ", ".join(f"`{name}`" for name in sorted(NEEDS) if NEEDS[name] is permission)
        lines.append(f"| `{permission}` | {names} |")
    return "\n".join(lines)
