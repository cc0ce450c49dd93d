"""What we use of Dagster without its promise: in one file, and as the pinned version has it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from clearfacts_assets.api.auth.graphql_mutations import ADMINISTRATORS_BUTTONS
from clearfacts_assets.api.auth.webserver import Webserver
from clearfacts_assets.orchestration import dagster_internals

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = PROJECT / "clearfacts_assets"
HOME = PRODUCT / "orchestration" / "dagster_internals.py"
# Below these there are promises: `dagster` itself, and the one class that the webserver's command serves.
PUBLIC = {"dagster", "dagster.cli", "dagster_slack", "dagster_webserver.webserver"}
# Of the objects that Dagster hands out: used by us, described in no documentation.
OF_THE_INSTANCE = [
    "all_instigator_state",
    "event_log_storage",
    "get_daemon_heartbeats",
    "get_required_daemon_types",
    "optimize_for_webserver",
    "report_run_canceled",
    "report_run_failed",
    "run_storage",
    "schedule_storage",
    "submit_run",
]


def imported(tree: ast.AST) -> Iterator[str]:
    """Each module of Dagster that is imported, and each string that may be one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names if one.name.startswith("_"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^dagster[a-z_]*(?:\.\w+)*\._\w+(?:\.\w+)*$", node.value)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def private(source: str) -> set[str]:
    if not re.search(r"dagster|\bdg\b", source):
        return set()  # parsing what has no such word is a second
    return {name for name in imported(ast.parse(source)) if name.startswith(("dagster", "dg.")) and name not in PUBLIC}


def test_no_other_file_touches_private_dagster() -> None:
    found = {
        str(path.relative_to(PROJECT)): names
        for path in PRODUCT.rglob("*.py")
        if path != HOME and (names := private(path.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "from dagster._core.errors import DagsterError",
        "import dagster._utils",
        "from dagster import _check",
        "def later():\n    from dagster_graphql.client import x",
        "import dagster as dg\ndg._core",
        'command = ["-m", "dagster._daemon"]',
    ],
)
def test_a_private_name_is_seen_wherever_it_stands(source: str) -> None:
    assert private(source)


def test_what_dagster_offers_publicly_is_not_taken_from_inside() -> None:
    assert [name for name in dagster_internals.__all__ if hasattr(dg, name)] == []


def test_each_name_is_used_and_has_a_reason() -> None:
    users = [path.read_text("utf-8") for path in PRODUCT.rglob("*.py") if path != HOME]
    words = {word for text in users for word in re.findall(r"\w+", text)}
    unused = [name for name in dagster_internals.__all__ if name not in words]
    assert unused == []
    head = HOME.read_text("utf-8").split("import dagster as dg\n")[1].split("from sqlalchemy")[0]
    assert [block for block in head.strip().split("\n\n") if not block.startswith("# ")] == []
    offered = [getattr(dagster_internals, name) for name in dagster_internals.__all__]
    ours = [one for one in offered if getattr(one, "__module__", "") == dagster_internals.__name__]
    assert len(ours) == 9
    assert all(one.__doc__ for one in ours)


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_runs_are_made_as_the_pinned_version_makes_them() -> None:
    from dagster._core.definitions.selector import JobSubsetSelector
    from dagster_graphql.implementation.execution.run_lifecycle import create_valid_pipeline_run
    from dagster_graphql.implementation.utils import ExecutionMetadata, ExecutionParams

    assert parameters(create_valid_pipeline_run) == ["graphql_context", "remote_job", "execution_params"]
    given = {"selector", "run_config", "mode", "execution_metadata", "step_keys"}
    assert given <= set(parameters(ExecutionParams.__new__))
    assert {"run_id", "tags"} <= set(parameters(ExecutionMetadata.__new__))
    assert {"location_name", "repository_name", "job_name", "op_selection"} <= set(parameters(JobSubsetSelector))
    assert parameters(dg.DagsterInstance.submit_run) == ["self", "run_id", "workspace"]


def test_the_workspace_and_the_request_are_made_as_the_pinned_version_makes_them() -> None:
    opened = {"instance", "workspace_load_target", "version", "read_only"}
    assert opened <= set(parameters(dagster_internals.WorkspaceProcessContext))
    request = {"instance", "current_workspace", "process_context", "version", "source", "read_only"}
    assert request <= set(parameters(dagster_internals.WorkspaceRequestContext))
    assert dagster_internals.WorkspaceFileTarget(paths=["workspace.yaml"]).paths == ["workspace.yaml"]
    assert parameters(dagster_internals.PermissionResult) == ["enabled", "disabled_reason"]
    context = dagster_internals.IWorkspaceProcessContext
    assert all(hasattr(context, name) for name in ("create_request_context", "instance", "version"))


def test_the_webserver_calls_what_we_put_in_its_place() -> None:
    (parent,) = Webserver.__bases__
    ours = [name for name, value in vars(Webserver).items() if inspect.isfunction(value)]
    instead = {name for name in ours if hasattr(parent, name) and name != "__init__"}
    assert instead == {
        "_make_request_context",
        "execute_graphql_subscription",
        "graphql_execution_thread",
        "graphql_http_endpoint",
        "index_html_endpoint",
        "report_asset_check_endpoint",
        "report_asset_materialization_endpoint",
        "report_asset_observation_endpoint",
    }
    for name in instead:
        assert parameters(getattr(Webserver, name)) == parameters(getattr(parent, name)), name
    source = inspect.getsource(inspect.getmodule(parent))  # type: ignore[arg-type]
    assert "self._process_context" in source
    from dagster_webserver import graphql

    assert "self._graphene_schema" in inspect.getsource(graphql)


def test_the_buttons_are_dagsters() -> None:
    from dagster._core.workspace.permissions import Permissions

    assert {one.value for one in Permissions} >= ADMINISTRATORS_BUTTONS


def test_the_instance_has_what_we_ask_it() -> None:
    assert [name for name in OF_THE_INSTANCE if not hasattr(dg.DagsterInstance, name)] == []
    assert "instigator_type" in parameters(dg.DagsterInstance.all_instigator_state)


def test_the_tables_have_the_columns_that_are_counted() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        runs, events = dagster_internals.runs_table(instance), dagster_internals.events_table(instance)
        assert {"pipeline_name", "status", "start_time", "end_time"} <= set(runs.table.c.keys())
        assert {"id", "asset_key", "step_key", "dagster_event_type"} <= set(events.table.c.keys())
        for one in (runs, events):
            with one.connect() as connection:
                assert connection.execute(one.table.select()).all() == []


def test_where_dagsters_postgresql_is_can_be_told() -> None:
    from dagster_postgres.run_storage import PostgresRunStorage

    assert "postgres_url" in parameters(PostgresRunStorage.__init__)
    assert "self.postgres_url = postgres_url" in inspect.getsource(PostgresRunStorage.__init__)
    with dg.DagsterInstance.ephemeral() as instance:
        assert dagster_internals.postgres_url(instance) is None


def test_a_run_that_is_forgotten_leaves_no_file() -> None:
    from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

    assert parameters(SqliteEventLogStorage.path_for_shard) == ["self", "run_id"]
    assert parameters(dg.DagsterInstance.delete_run) == ["self", "run_id"]


def test_a_captured_interrupt_is_told_and_not_raised() -> None:
    import signal

    with dagster_internals.capture_interrupts():
        assert not dagster_internals.check_captured_interrupt()
        signal.raise_signal(signal.SIGTERM)
        assert dagster_internals.check_captured_interrupt()
    assert not dagster_internals.check_captured_interrupt()


def test_a_schedule_is_on_off_or_as_declared() -> None:
    assert {"RUNNING", "STOPPED"} <= set(dagster_internals.InstigatorStatus.__members__)
    assert dagster_internals.InstigatorType("SCHEDULE") is dagster_internals.InstigatorType.SCHEDULE


def test_the_daemon_is_started_by_the_command_that_dagster_installs() -> None:
    import sys

    assert Path(sys.executable).with_name("dagster-daemon").is_file()
