"""Dagster's webserver as we serve it: each request may do what its principal may, and changes are audited.

Dagster's open-source webserver knows one switch for everybody, read-only or not. Here it is set per request, from the
principal that the door put into the request's scope; and a GraphQL mutation by somebody who may only look is refused
before Dagster sees it, over HTTP and over websockets.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext, WorkspaceRequestContext
from dagster_webserver.webserver import DagsterWebserver
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLFormattedError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from sqlalchemy import Engine
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope
from starlette.websockets import WebSocket

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.auth.templates import part
from clearfacts_assets.storage.audit import record
from clearfacts_assets.storage.database import write

SCOPE_KEY = "clearfacts.principal"
MOST_TOKENS = 20_000  # of a GraphQL document; Dagster's own longest has under 5,000
UNIMPORTANT = frozenset({"logTelemetry", "setNuxSeen"})  # mutations that change nothing of ours
LONGEST_VALUE = 2000  # characters of a mutation's variable in the audit log
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
            changes = mutations(query)
        except GraphQLError as error:
            return _refusal(error.message, 400)
        if changes and not principal.may(Permission.DAGSTER_WRITE):
            return _refusal(READ_ONLY, 403)
        for name in changes:
            if name not in UNIMPORTANT:
                self._audit(principal, name, variables)
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
            subscribes = all(kind is OperationType.SUBSCRIPTION for kind in operations(query))
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
        kept = {name: value for name, value in page.headers.items() if name != "content-length"}
        return HTMLResponse(html, headers=kept)

    def _audit(self, principal: Principal, mutation: str, variables: dict[str, Any] | None) -> None:
        """Written before it is done: what was asked for is known even where doing it fails half-way."""
        asked = {name: _short(value) for name, value in (variables or {}).items()}
        write(
            self._engine,
            lambda connection: record(
                connection,
                actor=principal.actor,
                action=f"dagster.{mutation}"[:100],
                resource_type="dagster",
                resource_id=None,
                after=asked,
                now=datetime.now(UTC),
            ),
        )


def principal_of(scope: Scope) -> Principal:
    """Whom the door let in. Raises KeyError where there was no door."""
    principal: Principal = scope[SCOPE_KEY]
    return principal


def operations(query: str) -> list[OperationType]:
    """The kinds of all operations of a GraphQL document. Raises GraphQLError for what is none."""
    return [one.operation for one in _parsed(query).definitions if isinstance(one, OperationDefinitionNode)]


def mutations(query: str) -> list[str]:
    """The fields of all mutations of a GraphQL document, whichever of them would be executed. Raises GraphQLError."""
    document = _parsed(query)
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    return [
        name
        for one in document.definitions
        if isinstance(one, OperationDefinitionNode) and one.operation is OperationType.MUTATION
        for name in _fields(one.selection_set, fragments, set())
    ]


def _fields(chosen: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], seen: set[str]) -> Iterator[str]:
    for selection in chosen.selections:
        if isinstance(selection, FieldNode):
            yield selection.name.value
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set, fragments, seen)
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
            seen.add(selection.name.value)
            if fragment := fragments.get(selection.name.value):
                yield from _fields(fragment.selection_set, fragments, seen)


def _parsed(query: str) -> DocumentNode:
    try:
        return parse(query, no_location=True, max_tokens=MOST_TOKENS)
    except RecursionError:
        raise GraphQLError("This document is nested too deeply.") from None


def _is_request(asked: Any) -> bool:
    return (
        isinstance(asked, dict)
        and isinstance(asked.get("query"), str)
        and isinstance(asked.get("variables"), dict | None)
        and isinstance(asked.get("operationName"), str | None)
    )


def _refusal(message: str, status: int) -> JSONResponse:
    return JSONResponse({"data": None, "errors": [{"message": message}]}, status_code=status)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return value[:LONGEST_VALUE] if isinstance(value, str) else value
