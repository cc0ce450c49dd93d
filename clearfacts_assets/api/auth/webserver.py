"""Dagster's webserver as we serve it: each request may do what its principal may, and changes are audited.

Dagster's open-source webserver knows one switch for everybody, read-only or not. Here it is set per request, from the
principal that the door put into the request's scope; and a GraphQL mutation by somebody who may only look is refused
before Dagster sees it, over HTTP and over websockets.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext, WorkspaceRequestContext
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLError, GraphQLFormattedError, OperationType
from sqlalchemy import Connection, Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope
from starlette.websockets import WebSocket

from clearfacts_assets.api.auth.changes import Change, changes, kept, kinds, parsed
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.auth.templates import part
from clearfacts_assets.storage.audit import record
from clearfacts_assets.storage.database import write

SCOPE_KEY = "clearfacts.principal"
MOST_CHANGES = 100  # of one GraphQL document, each with its entry in the audit log; Dagster's own have one
UNIMPORTANT = frozenset({"logTelemetry", "setNuxSeen"})  # mutations that change nothing of ours
READ_ONLY = "Your role may look at this, not change it."


class Webserver(DagsterWebserver[IWorkspaceProcessContext[Any], WorkspaceRequestContext]):
    """Behind the door only: a request without a principal may look at nothing."""

    def __init__(self, workspace: IWorkspaceProcessContext[Any], engine: Engine) -> None:
        super().__init__(workspace)
        self._engine = engine

    def _make_request_context(self, conn: HTTPConnection) -> WorkspaceRequestContext:
        context = self._process_context.create_request_context(conn)
        return WorkspaceRequestContext(
            instance=context.instance,
            current_workspace=context.get_current_workspace(),
            process_context=context.process_context,
            version=context.version,
            source=conn,
            read_only=not principal_of(conn.scope).may(Permission.DAGSTER_WRITE),
        )

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """Dagster's, for a request that has the form of one."""
        if request.method == "POST":
            if "query" in request.query_params:  # Dagster reads it there when the type is written Application/JSON
                return _refusal("The query stands in the body, not in the address.", 400)
            try:
                asked = await request.json()
            except ValueError:
                return _refusal("The body is not JSON.", 400)
            if not _is_request(asked):
                return _refusal("A request is an object with query and, if need be, variables and operationName.", 400)
        answer: Response = await super().graphql_http_endpoint(request)
        return answer

    def graphql_execution_thread(
        self, request: Request, query: str, variables: dict[str, Any] | None, operation_name: str | None
    ) -> JSONResponse:
        principal = principal_of(request.scope)
        try:
            document = parsed(query)
            found = changes(document, operation_name, variables)
        except GraphQLError as error:
            return _refusal(error.message, 400)
        if OperationType.MUTATION in kinds(document) and not principal.may(Permission.DAGSTER_WRITE):
            return _refusal(READ_ONLY, 403)
        asked = [one for one in found if one.name not in UNIMPORTANT]
        if len(asked) > MOST_CHANGES:
            return _refusal(f"Ask for at most {MOST_CHANGES} changes at once.", 400)
        self._audit(principal, asked)
        return super().graphql_execution_thread(request, query, variables, operation_name)

    async def execute_graphql_subscription(
        self,
        websocket: WebSocket,
        operation_id: str,
        query: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
    ) -> tuple[Task[Any] | None, GraphQLFormattedError | None]:
        try:
            subscribes = kinds(parsed(query)) <= {OperationType.SUBSCRIPTION}
        except GraphQLError as error:
            return None, error.formatted
        if not subscribes:
            return None, GraphQLError("Only subscriptions come over a websocket.").formatted
        return await super().execute_graphql_subscription(websocket, operation_id, query, variables, operation_name)

    def index_html_endpoint(self, request: Request) -> HTMLResponse:
        """Dagster's page, with who is logged in and the way out."""
        page: HTMLResponse = super().index_html_endpoint(request)
        principal = principal_of(request.scope)
        badge = part("badge", name=principal.name, role=principal.role.value)
        html = bytes(page.body).decode().replace("</body>", f"{badge}</body>", 1)
        headers = {name: value for name, value in page.headers.items() if name != "content-length"}
        return HTMLResponse(html, headers=headers)

    async def report_asset_materialization_endpoint(self, request: Request) -> JSONResponse:
        return await self._reported(request, super().report_asset_materialization_endpoint)

    async def report_asset_check_endpoint(self, request: Request) -> JSONResponse:
        return await self._reported(request, super().report_asset_check_endpoint)

    async def report_asset_observation_endpoint(self, request: Request) -> JSONResponse:
        return await self._reported(request, super().report_asset_observation_endpoint)

    async def _reported(self, request: Request, endpoint: Callable[[Request], Awaitable[JSONResponse]]) -> JSONResponse:
        """Dagster's endpoint for what somebody says of an asset: a change like a mutation, though by another way."""
        try:
            body = await request.json() if await request.body() else {}
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return JSONResponse({"error": "The body is not a JSON object."}, status_code=400)
        path, query = request.url.path, dict(request.query_params)
        arguments = kept({"path": path, "query": query, "body": body})
        change = Change(path.split("/")[1], request.path_params["asset_key"] or None, arguments)
        await run_in_threadpool(self._audit, principal_of(request.scope), [change])
        return await endpoint(request)

    def _audit(self, principal: Principal, asked: Sequence[Change]) -> None:
        """Written before it is done: what was asked for is known even where doing it fails half-way."""
        if not asked:
            return

        def work(connection: Connection) -> None:
            for change in asked:
                record(
                    connection,
                    actor=principal.actor,
                    action=f"dagster.{change.name}",
                    resource_type="dagster",
                    resource_id=change.of or None,
                    after=change.arguments,
                    now=datetime.now(UTC),
                )

        write(self._engine, work)


def principal_of(scope: Scope) -> Principal:
    """Whom the door let in. Raises KeyError where there was no door."""
    principal: Principal = scope[SCOPE_KEY]
    return principal


def _is_request(asked: Any) -> bool:
    return (
        isinstance(asked, dict)
        and isinstance(asked.get("query"), str)
        and isinstance(asked.get("variables"), dict | None)
        and isinstance(asked.get("operationName"), str | None)
    )


def _refusal(message: str, status: int) -> JSONResponse:
    return JSONResponse({"data": None, "errors": [{"message": message}]}, status_code=status)
