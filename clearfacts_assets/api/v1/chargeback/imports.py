"""``/chargeback/imports``: cost exports come in as deliveries, are looked at, and taken back."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import Limiter, reads, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.uploads import Upload, received, wrong
from clearfacts_assets.api.v1.chargeback.charges import csv_answer
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Imports,
    Month,
    PageQuery,
    Reason,
    SeesAll,
    Served,
    SourceName,
    after,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.fields import Body, IdempotencyKey
from clearfacts_assets.chargeback.model import Mode
from clearfacts_assets.messages import Message
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.importing import ImportRequest, import_files, outcome_as_result
from clearfacts_assets.storage.chargeback.imports import ImportRecord, ImportRepository
from clearfacts_assets.storage.chargeback.summaries import refused_rows

router = APIRouter(prefix="/chargeback/imports", tags=["chargeback"])

IMPORTS_AT_ONCE = 2  # in a process; the ledger has one writer anyway
ImportId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
_importing = Limiter("importing", IMPORTS_AT_ONCE)


class ImportFields(BaseModel):
    """The fields of an upload beside its files."""

    model_config = ConfigDict(extra="forbid")

    source: SourceName | None = Field(None, description="where it comes from; else told by the first file's name")
    period: Month | None = Field(None, description="the month that the delivery is for")
    mode: Mode = Field(Mode.SNAPSHOT, description="snapshot: it is all of its month; append: it only adds")
    dry_run: bool = Field(False, description="only say what would change")
    strict: bool = Field(False, description="import nothing where a row is refused")
    yes: bool = Field(False, description="also withdraw more than chargeback.withdraw_percent")


class ImportForm(ImportFields):
    """A delivery: one or several files, imported as one, and how."""

    files: list[Annotated[str, Field(json_schema_extra={"format": "binary"})]] = Field(
        min_length=1, description=".csv, .csv.gz or .parquet"
    )


class ChangeView(BaseModel):
    """One kind of difference: how many rows, and how much money by currency."""

    rows: int
    before: dict[str, str]
    after: dict[str, str]


class DifferenceView(BaseModel):
    """What a delivery changes in one period."""

    posted: str = Field(description="the period that it appears in: a later one where this one is finalized")
    equal: ChangeView
    new: ChangeView
    changed: ChangeView
    retagged: ChangeView
    withdrawn: ChangeView
    mended: ChangeView = Field(
        ChangeView(rows=0, before={}, after={}),
        description="rows that a person mended; the delivery still holds the unreadable record, and they stay",
    )
    unmended: ChangeView = Field(
        ChangeView(rows=0, before={}, after={}),
        description="rows that a person mended, and whose record is not in the delivery any more: withdrawn",
    )


class RefusalView(BaseModel):
    """A row that cannot be billed; line 0 is the whole file."""

    file: str
    line: int
    column: str
    value: str
    code: str
    message: str


class ImportOutcome(BaseModel):
    """What became of a delivery."""

    import_id: int | None = Field(description="null where nothing was imported: a dry run")
    applied: bool
    unchanged: bool = Field(description="the very files that were imported last: nothing changes")
    source: str
    rows: int
    refused: int
    why: str = Field(description="why nothing was imported; empty where it was")
    notes: list[str]
    difference: dict[str, DifferenceView] = Field(description="by period")
    refusals: list[RefusalView] = Field(description="the first ones; GET .../refusals has all")


class ImportSummary(BaseModel):
    """One delivery that was imported."""

    id: int
    source: str
    mode: Mode
    period: str | None
    actor: str
    at: datetime
    rows: int
    refused: int
    difference: dict[str, DifferenceView]
    withdrawn_at: datetime | None


class ImportFileView(BaseModel):
    """One file of a delivery."""

    number: int
    name: str
    sha256: str
    size: int
    dialect: str
    dataset: str
    version: str = Field(description="of FOCUS")
    header: list[str]
    rows: int
    refused: int


class ImportView(ImportSummary):
    """A delivery with its files."""

    files: list[ImportFileView]


class ImportsQuery(PageQuery):
    """Which imports."""

    period: Month | None = None
    source: SourceName | None = None


class Withdrawal(Body):
    """Why an import is taken back."""

    reason: Reason


class Withdrawn(BaseModel):
    """What was taken back."""

    import_id: int
    withdrawn: int = Field(description="charges")


def _form(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.get("properties", {}).get("mode", {}).pop("$ref", None)
    schema.pop("$defs", None)
    if "mode" in schema.get("properties", {}):
        schema["properties"]["mode"] |= {"type": "string", "enum": [one.value for one in Mode]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@router.post(
    "",
    responses=errors(
        ErrorCode.PERIOD_NOT_ALLOWED, ErrorCode.IMPORT_NOT_CONFIRMED, ErrorCode.COSTS_REFUSED, ErrorCode.STORAGE_FULL
    ),
    openapi_extra=_form(ImportForm),
    summary="Import cost exports as one delivery",
)
async def import_costs(request: Request, caller: Imports, served: Served) -> Success[ImportOutcome]:
    """All of it or nothing; the same files again change nothing. Refused rows are named, and the rest is imported,
    unless `strict` is true."""
    configured = served.configured
    folder, most = configured.home / "uploads", configured.chargeback.upload_bytes
    async with received(request, folder=folder, most_bytes=most, setting="chargeback.upload_bytes") as upload:
        fields = _fields(upload)
        return await _importing.run(partial(_import, upload, fields, caller, served))


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="Imports, newest first")
@reads
def list_imports(query: Annotated[ImportsQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[ImportSummary]]:
    """One a delivery, the withdrawn ones too."""
    found = ImportRepository(served.engine).list(
        period=query.period, source=query.source, limit=query.limit + 1, before=_before(query.cursor)
    )
    shown = found[: query.limit]
    more = str(shown[-1].id) if len(found) > query.limit else None
    return Success(data=Listed(items=[ImportSummary(**_said(one)) for one in shown], next_cursor=more))


@router.get("/{import_id}", responses=errors(ErrorCode.IMPORT_NOT_FOUND), summary="One import with its files")
@reads
def get_import(import_id: ImportId, _: SeesAll, served: Served) -> Success[ImportView]:
    """And what it changed."""
    with told():
        one = ImportRepository(served.engine).show(import_id)
    files = [ImportFileView.model_validate(file) for file in one.files]
    return Success(data=ImportView(**_said(one), files=files))


@router.get(
    "/{import_id}/refusals",
    responses={
        **errors(ErrorCode.IMPORT_NOT_FOUND),
        200: {"description": "The refused rows, to be mended.", "content": {"text/csv": {}}},
    },
    response_class=StreamingResponse,
    summary="The refused rows of an import, as CSV",
)
def export_refusals(import_id: ImportId, _: SeesAll, served: Served) -> StreamingResponse:
    """With their original header and four columns that say why. Mend the file and import it with `mode=append`."""
    with told():
        ImportRepository(served.engine).show(import_id)
    return csv_answer(refused_rows(served.engine, import_id), f"refused-{import_id}.csv")


@router.post(
    "/{import_id}/withdraw",
    responses=errors(
        ErrorCode.IMPORT_NOT_FOUND, ErrorCode.PERIOD_NOT_ALLOWED, ErrorCode.CONFLICT, ErrorCode.IDEMPOTENCY_KEY_REUSED
    ),
    summary="Take back all that an import brought",
)
@waits
def withdraw_import(
    import_id: ImportId, body: Withdrawal, caller: Imports, served: Served, key: IdempotencyKey = None
) -> Success[Withdrawn]:
    """What it replaced comes back by importing that again."""
    with told():
        gone = ImportRepository(served.engine).withdraw(
            import_id,
            reason=body.reason,
            actor=caller.actor,
            now=served.clock(),
            wish=wish_of(caller, key, f"withdraw {import_id}", reason=body.reason),
        )
    return Success(data=Withdrawn(import_id=import_id, withdrawn=gone))


def _fields(upload: Upload) -> ImportFields:
    if not upload.files:
        raise wrong("body.files", "there is no file in it")
    try:
        return ImportFields.model_validate(upload.fields)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


def _import(upload: Upload, fields: ImportFields, caller: Principal, served: Services) -> Success[ImportOutcome]:
    wanted = ImportRequest(
        source=fields.source,
        period=fields.period,
        mode=fields.mode,
        dry_run=fields.dry_run,
        strict=fields.strict,
        confirmed=fields.yes,
    )
    with told():
        outcome, source = import_files(
            served.engine,
            upload.files,
            wanted,
            served.configured.chargeback,
            usage=served.configured.rates.usage,
            actor=caller.actor,
            now=served.clock(),
        )
    said = outcome_as_result(outcome, source)
    if outcome.applied or (fields.dry_run and outcome.differences):
        return Success(data=ImportOutcome.model_validate(said))
    if outcome.differences:
        raise ApiError(ErrorCode.IMPORT_NOT_CONFIRMED, details={"difference": said["difference"], "why": outcome.why})
    message = Message(
        "Nothing was imported: {why}.",
        {"why": Message(outcome.why) if outcome.why else Message("there is no row in it")},
    )
    raise ApiError(ErrorCode.COSTS_REFUSED, message, details={"refusals": said["refusals"]})


def _said(one: ImportRecord) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ImportSummary.model_fields}


def _before(cursor: str | None) -> int | None:
    return after(cursor) or None
