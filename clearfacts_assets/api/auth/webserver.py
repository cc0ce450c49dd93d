"""Dagster's webserver as we serve it: each request may do what its principal may, and changes are audited.

Dagster's open-source webserver knows one switch for everybody, read-only or not. Here it is set per request, from the
principal that the door put into the request's scope; and a GraphQL mutation by somebody who may only look is refused
before Dagster sees it, over HTTP and over websockets.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dagster_webserver.webserver import DagsterWebserver
from graphql import DocumentNode, GraphQLError, GraphQLFormattedError, OperationType
from sqlalchemy import Connection, Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope
from starlette.websockets import WebSocket

from clearfacts_assets.api.auth.changes import Change, changes, kept, kinds, parsed
from clearfacts_assets.api.auth.graphql_launches import Asked, ForAdministrators, with_caller
from clearfacts_assets.api.auth.graphql_mutations import ADMINISTRATORS_BUTTONS, needed_for
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.auth.templates import part
from clearfacts_assets.orchestration.dagster_internals import (
    IWorkspaceProcessContext,
    PermissionResult,
    WorkspaceRequestContext,
)
from clearfacts_assets.orchestration.tags import CORRELATION_TAG, TRIGGERED_BY_TAG, trace_tags
from clearfacts_assets.storage.accounts.audit import record
from clearfacts_assets.storage.database import write

SCOPE_KEY = "clearfacts.principal"
MOST_CHANGES = 100  # of one GraphQL document, each with its entry in the audit log; Dagster's own have one
UNIMPORTANT = frozenset({"logTelemetry", "setNuxSeen"})  # mutations that change nothing of ours
FOR_ADMINISTRATORS = "This is an administrator's."
READ_ONLY = "Your role may look at this, not change it."


class Webserver(DagsterWebserver[IWorkspaceProcessContext[Any], WorkspaceRequestContext]):
    """Behind the door only: a request without a principal may look at nothing."""

    def __init__(self, workspace: IWorkspaceProcessContext[Any], engine: Engine) -> None:
        super().__init__(workspace)
        self._engine = engine

    def _make_request_context(self, conn: HTTPConnection) -> WorkspaceRequestContext:
        context = self._process_context.create_request_context(conn)
        principal = principal_of(conn.scope)
        made = WorkspaceRequestContext if principal.may(Permission.DAGSTER_ADMINISTER) else _OperatorsContext
        return made(
            instance=context.instance,
            current_workspace=context.get_current_workspace(),
            process_context=context.process_context,
            version=context.version,
            source=conn,
            read_only=not principal.may(Permission.DAGSTER_WRITE),
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
        lacking = sorted({needed_for(one.name) for one in found if not principal.may(needed_for(one.name))})
        if lacking:
            return _refusal(f"This needs the permission {lacking[0]}.", 403)
        asked = [one for one in found if one.name not in UNIMPORTANT]
        if len(asked) > MOST_CHANGES:
            return _refusal(f"Ask for at most {MOST_CHANGES} changes at once.", 400)
        try:
            sent = self._with_caller(principal, Asked(query, variables, operation_name), document)
        except GraphQLError as error:
            return _refusal(error.message, 400)
        except ForAdministrators:
            return _refusal("What a run's container executes is an administrator's to say: leave out its tags.", 403)
        self._audit(principal, asked)
        return super().graphql_execution_thread(request, sent.query, sent.variables, sent.operation_name)

    def _with_caller(self, principal: Principal, asked: Asked, document: DocumentNode) -> Asked:
        """The request, whose launches carry who asked for them."""
        tags = {TRIGGERED_BY_TAG: principal.name, **trace_tags()}
        if principal.actor.correlation_id:
            tags[CORRELATION_TAG] = principal.actor.correlation_id
        schema = self._graphene_schema.graphql_schema
        administers = principal.may(Permission.DAGSTER_ADMINISTER)
        return with_caller(asked, document, schema, tags, administers=administers)

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
        if not principal_of(request.scope).may(Permission.DAGSTER_ADMINISTER):
            return JSONResponse({"error": f"This needs the permission {Permission.DAGSTER_ADMINISTER}."}, 403)
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


class _OperatorsContext(WorkspaceRequestContext):
    """In which what is an administrator's cannot be done, and its buttons are grey."""

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        return _without_administrators(super().permissions)

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        return _without_administrators(super().permissions_for_location(location_name=location_name))


def _without_administrators(offered: Mapping[str, PermissionResult]) -> dict[str, PermissionResult]:
    no = PermissionResult(enabled=False, disabled_reason=FOR_ADMINISTRATORS)
    return {name: no if name in ADMINISTRATORS_BUTTONS else result for name, result in offered.items()}


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
