"""Clearfacts' GraphQL API: checked and executed against the schema in ``clearfacts.graphql``, as the real one is.

A request comes as JSON, as a form, or as multipart/form-data with ``query``, ``variables`` and ``file``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    validate,
)
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from clearfacts_assets.simulator.faults import Fault
from clearfacts_assets.simulator.filing import Office, Refused, Upload, company_number, shown_uuid
from clearfacts_assets.simulator.http import Answer, Call, json_answer
from clearfacts_assets.simulator.trade import Company


@dataclass(frozen=True, slots=True)
class _Request:
    query: str
    variables: dict[str, Any]
    file: bytes | None = None
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class _Context:
    """What the resolvers know of the call."""

    office: Office
    request: _Request
    fault: Fault | None
    correlation_id: str | None


async def answer_graphql(office: Office, call: Call, fault: Fault | None) -> Answer:
    """Errors are told with HTTP 200, as GraphQL does; only what is no GraphQL request at all gets a 400."""
    if call.method != "POST":
        return json_answer({"errors": [{"message": "send a POST"}]}, 405, {"allow": "POST"})
    try:
        request = await _read(call)
    except (ValueError, MultiPartException) as error:
        return json_answer({"errors": [{"message": f"no GraphQL request: {error}"}]}, 400)
    if fault and fault.kind == "graphql_errors":
        return json_answer(_asked_errors(fault))
    document = _checked(request.query)
    if not isinstance(document, DocumentNode):
        return json_answer({"errors": document})
    context = _Context(office, request, fault, call.headers.get("x-correlation-id"))
    result = execute_sync(_schema(), document, context_value=context, variable_values=request.variables)
    return json_answer(result.formatted)


def _asked_errors(fault: Fault) -> dict[str, Any]:
    error: dict[str, Any] = {"message": fault.options.get("message", "Internal server error"), "path": ["uploadFile"]}
    if "extensions" in fault.options:
        error["extensions"] = fault.options["extensions"]
    return {"errors": [error], "data": {"uploadFile": None}}


async def _read(call: Call) -> _Request:
    """Raises ValueError and MultiPartException."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_multipart(call)
    if kind == "application/json":
        asked = call.json()
        if not isinstance(asked, dict):
            raise ValueError("the body is no JSON object")
        return _Request(_text(asked.get("query")), _variables(asked.get("variables")))
    if kind == "application/x-www-form-urlencoded":
        return _Request(_text(call.form.get("query")), _variables(call.form.get("variables")))
    raise ValueError(f"content type {kind or 'missing'}")


async def _read_multipart(call: Call) -> _Request:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield call.body
        yield b""

    form = await MultiPartParser(call.headers, whole(), max_files=1, max_fields=10).parse()
    try:
        file = form.get("file")
        query, variables = _text(form.get("query")), _variables(form.get("variables"))
        if not isinstance(file, UploadFile):
            return _Request(query, variables)
        return _Request(query, variables, await file.read(), (file.content_type or "").partition(";")[0].strip())
    finally:
        await form.close()


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the query is missing")
    return value


def _variables(value: object) -> dict[str, Any]:
    decoded = json.loads(value) if isinstance(value, str) and value else value
    if decoded is None or decoded == "":
        return {}
    if not isinstance(decoded, dict):
        raise ValueError("the variables are no JSON object")
    return decoded


@lru_cache(maxsize=256)
def _checked(query: str) -> DocumentNode | list[dict[str, Any]]:
    """The query, parsed and checked against the schema, or the errors that it deserves."""
    try:
        document = parse(query, max_tokens=1000)
    except GraphQLError as error:
        return [dict(error.formatted)]
    return [dict(error.formatted) for error in validate(_schema(), document)] or document


@lru_cache(maxsize=1)
def _schema() -> GraphQLSchema:
    schema = build_schema((Path(__file__).parent / "clearfacts.graphql").read_text(encoding="utf-8"))
    query, mutation = schema.query_type, schema.mutation_type
    if query is None or mutation is None:
        raise ValueError("clearfacts.graphql has no Query or no Mutation")
    query.fields["administrations"].resolve = _administrations
    query.fields["administration"].resolve = _administration
    query.fields["document"].resolve = _document
    mutation.fields["uploadFile"].resolve = _upload_file
    return schema


def _administrations(
    _: Any, info: GraphQLResolveInfo, offset: int = 0, first: int | None = None
) -> list[dict[str, Any]]:
    known = sorted(info.context.office.administrations.values(), key=lambda company: company.number)
    return [_shown(company) for company in known[offset : None if first is None else offset + first]]


def _administration(_: Any, info: GraphQLResolveInfo, companyNumber: str) -> dict[str, Any]:  # noqa: N803
    company = info.context.office.administrations.get(company_number(companyNumber))
    if company is None:
        raise GraphQLError(f"administration {companyNumber} not found", extensions={"code": "UNKNOWN_ADMINISTRATION"})
    return _shown(company)


def _shown(company: Company) -> dict[str, Any]:
    return {
        "name": company.name,
        "companyNumber": company.number,
        "companyType": company.name.rpartition(" ")[2],
        "address": {"streetAddress": company.street, "country": {"iso2": "BE", "name": "Belgium"}},
        "emails": [{"type": "purchase", "emailAddress": f"aankoop-{company.number}@clearfacts.example"}],
        "accountManager": "accountant@clearfacts.example",
    }


def _document(_: Any, info: GraphQLResolveInfo, id: str) -> dict[str, Any]:
    found = info.context.office.document(id.lower())
    if found is None:
        raise GraphQLError(f"document {id} not found", extensions={"code": "NOT_FOUND"})
    return {
        "__typename": "InvoiceDocument",
        "date": found.date,
        "type": found.type,
        "paymentState": found.payment_state,
    }


def _upload_file(_: Any, info: GraphQLResolveInfo, vatnumber: str, filename: str, invoicetype: str) -> dict[str, Any]:
    context: _Context = info.context
    if context.request.file is None:
        raise GraphQLError("the part 'file' is missing", extensions={"code": "INVALID_FILE"})
    upload = Upload(
        transport="graphql",
        administration=vatnumber,
        invoice_type=invoicetype,
        file_name=filename,
        content_type=context.request.content_type,
        content=context.request.file,
        correlation_id=context.correlation_id,
    )
    try:
        filed = context.office.file(upload, context.fault)
    except Refused as refused:
        raise GraphQLError(str(refused), extensions={"code": refused.code}) from None
    return {"uuid": shown_uuid(filed, context.fault), "amountOfPages": 1}
