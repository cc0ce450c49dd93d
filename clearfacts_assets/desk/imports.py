"""``/desk/imports``: cost exports come in. First the difference is shown, then it is applied; refused rows are mended
in the page, or in a file."""

from __future__ import annotations

import csv
import io
import tempfile
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.uploads import Upload, received
from clearfacts_assets.api.v1.chargeback.charges import csv_answer
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_NOTE, told
from clearfacts_assets.chargeback.model import Mode
from clearfacts_assets.chargeback.ports import Outcome
from clearfacts_assets.desk.held_files import held, hold, release
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens, require_token
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.importing import ImportRequest, import_files, outcome_as_result
from clearfacts_assets.storage.chargeback.imports import ImportRepository
from clearfacts_assets.storage.chargeback.periods import PeriodRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository
from clearfacts_assets.storage.chargeback.summaries import refused_rows

router = APIRouter(prefix="/desk/imports", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Brings = Annotated[Visit, Depends(opens(Permission.COSTS_IMPORT))]
Uploads = Annotated[Visit, Depends(opens(Permission.COSTS_IMPORT, files=True))]
ImportId = Annotated[int, Path(ge=1, le=LARGEST_ID)]

A_PAGE = 30
MOST_MENDED = 60  # refused rows that are mended in the page; more of them in a file
MOST_MENDED_BYTES = 60_000
FIELDS = ("source", "period", "mode")


@router.get("")
def list_imports(visit: Sees) -> Response:
    """What came in, newest first, and the form for more."""
    return _list(visit)


@router.post("")
async def upload(visit: Uploads) -> Response:
    """Files are written to disk as they come, looked at, and kept until somebody says yes."""
    known = visit.served.configured
    most, setting = known.chargeback.upload_bytes, "chargeback.upload_bytes"
    try:
        async with received(visit.request, folder=_folder(visit), most_bytes=most, setting=setting) as came:
            require_token(visit, came.fields.pop("csrf", ""))
            return await to_thread.run_sync(partial(_looked_at, visit, came))
    except ApiError as problem:
        return await to_thread.run_sync(partial(_list, visit, problem))


@router.post("/apply")
def apply_import(visit: Brings) -> Response:
    """The same files once more, this time for good."""
    token = visit.said("files")
    try:
        with held(visit, token) as files:
            outcome, source = _import(visit, files, visit.said, dry_run=False, confirmed=visit.said("yes") == "yes")
    except ApiError as problem:
        return _list(visit, problem)
    if not outcome.applied:
        return _difference(visit, outcome, source, token, files, visit.said)
    release(visit, token)
    done = "unchanged" if outcome.unchanged else "imported"
    return RedirectResponse(address(f"/desk/imports/{outcome.import_id}", done=done), 303)


@router.get("/{import_id}")
def get_import(import_id: ImportId, visit: Sees) -> Response:
    """What it changed, its files, and its refused rows."""
    return _whole(visit, import_id)


@router.get("/{import_id}/refusals")
def export_refusals(import_id: ImportId, visit: Sees) -> Response:
    """The refused rows with their own header, and four columns that say why."""
    with told():
        ImportRepository(visit.engine).show(import_id)
    return csv_answer(refused_rows(visit.engine, import_id), f"refused-{import_id}.csv")


@router.post("/{import_id}/mend")
def mend(import_id: ImportId, visit: Brings) -> Response:
    """Rows that were mended in the page: looked at like a file, to be added to what came before."""
    try:
        with told():
            one = ImportRepository(visit.engine).show(import_id)
        text = visit.said("rows")
        if not text:
            raise Refused("There is no row in it.")
        fields = {"source": one.source, "period": one.period or "", "mode": Mode.APPEND.value}
        with tempfile.TemporaryDirectory(prefix="clearfacts-mended-") as folder:
            file = FilePath(folder) / f"mended-{import_id}.csv"
            file.write_text(text.replace("\r\n", "\n") + "\n", "utf-8", newline="\n")
            return _looked_at(visit, Upload([file], fields))
    except ApiError as problem:
        return _whole(visit, import_id, problem)


@router.post("/{import_id}/withdraw")
def withdraw(import_id: ImportId, visit: Brings) -> Response:
    """Take back all that it brought."""
    reason = visit.said("reason")
    try:
        if not reason or len(reason) > LONGEST_NOTE:
            raise Refused("Say why; it is kept.")
        with told():
            ImportRepository(visit.engine).withdraw(
                import_id, reason=reason, actor=visit.caller.actor, now=visit.served.clock()
            )
    except ApiError as problem:
        return _whole(visit, import_id, problem)
    return RedirectResponse(address(f"/desk/imports/{import_id}", done="withdrawn"), 303)


def _folder(visit: Visit) -> FilePath:
    return visit.served.configured.home / "uploads"


def _looked_at(visit: Visit, came: Upload) -> Response:
    """What the files would change; nothing has changed yet."""
    visit.form = {name: [value] for name, value in came.fields.items()}
    if not came.files or not any(one.stat().st_size for one in came.files):
        raise Refused("Choose at least one file that is not empty.")
    outcome, source = _import(visit, came.files, visit.said, dry_run=True)
    token = hold(visit, came.files)
    return _difference(visit, outcome, source, token, came.files, visit.said, looked_at=True)


def _import(
    visit: Visit, files: list[FilePath], said: Any, *, dry_run: bool, confirmed: bool = False
) -> tuple[Outcome, str]:
    mode = said("mode") or Mode.SNAPSHOT.value
    if mode not in set(Mode):
        raise Refused("A delivery is all of its month, or it only adds.")
    wanted = ImportRequest(
        source=said("source") or None,
        period=said("period") or None,
        mode=Mode(mode),
        dry_run=dry_run,
        confirmed=confirmed,
    )
    known = visit.served.configured
    with told():
        return import_files(
            visit.engine,
            files,
            wanted,
            known.chargeback,
            usage=known.rates.usage,
            actor=visit.caller.actor,
            now=visit.served.clock(),
        )


def _difference(
    visit: Visit,
    outcome: Outcome,
    source: str,
    token: str,
    files: list[FilePath],
    said: Any,
    *,
    looked_at: bool = False,
) -> Response:
    result = outcome_as_result(outcome, source)
    # A dry run always says that it was one; what a command would repeat with --yes is a box to tick here.
    result["why"] = "" if looked_at else outcome.why.partition(". Repeat with")[0]
    if not result["difference"]:
        release(visit, token)
    return page(
        visit,
        "difference.html",
        status=200 if result["difference"] else 422,
        result=result,
        token=token,
        files=[one.name for one in files],
        period=said("period"),
        mode=said("mode") or Mode.SNAPSHOT.value,
        source=source,
    )


def _list(visit: Visit, problem: ApiError | None = None) -> Response:
    before = visit.asked("before")
    position = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    period, source = visit.asked("period") or None, visit.asked("source") or None
    found = ImportRepository(visit.engine).list(period=period, source=source, limit=A_PAGE + 1, before=position)
    typed = {name: visit.said(name) for name in FIELDS}
    return page(
        visit,
        "imports.html",
        problem=problem,
        imports=found[:A_PAGE],
        more=found[A_PAGE - 1].id if len(found) > A_PAGE else None,
        sources=RegistryRepository(visit.engine).sources(),
        periods=[one.name for one in PeriodRepository(visit.engine).list()],
        period=period or "",
        typed=typed,
    )


def _whole(visit: Visit, import_id: int, problem: ApiError | None = None) -> Response:
    repository = ImportRepository(visit.engine)
    with told():
        one = repository.show(import_id)
    refusals = [refusal for refusal, _, _ in _first(repository.refusals(import_id))] if one.refused else []
    return page(
        visit,
        "import.html",
        problem=problem,
        one=one,
        refusals=refusals,
        mendable=visit.said("rows") or _as_text(visit, import_id, one.refused),
        typed=visit.said("reason"),
    )


def _first(found: Any) -> list[Any]:
    return [one for one, _ in zip(found, range(MOST_MENDED), strict=False)]


def _as_text(visit: Visit, import_id: int, refused: int) -> str:
    """The refused rows as CSV text to be mended in the page; empty where they are too many for that."""
    if not 0 < refused <= MOST_MENDED:
        return ""
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(refused_rows(visit.engine, import_id))
    text = written.getvalue()
    return text if len(text) <= MOST_MENDED_BYTES else ""
