"""``/desk/registry``: who pays. Investigators, projects and funds are added, changed, given other names, imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.uploads import received
from clearfacts_assets.api.v1.chargeback.dependencies import asked_again, told
from clearfacts_assets.api.v1.chargeback.registry import FILE_BYTES
from clearfacts_assets.chargeback.attribution.entries import COLUMNS, KEYS, checked, entries_of
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.translations import mark
from clearfacts_assets.desk.visits import Visit, opens, require_token
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/desk/registry", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Registers = Annotated[Visit, Depends(opens(Permission.REGISTRY_WRITE))]
Uploads = Annotated[Visit, Depends(opens(Permission.REGISTRY_WRITE, files=True))]

TITLES = {"investigators": mark("Investigators"), "projects": mark("Projects"), "funds": mark("Funds")}
A_PAGE = 100
DAYS = ("valid_from", "valid_to", "award_end")


@router.get("")
def begin(visit: Sees) -> Response:
    """The investigators come first."""
    return RedirectResponse("/desk/registry/investigators", 303)


@router.get("/{kind}")
def list_entries(kind: str, visit: Sees) -> Response:
    """One kind, searched and a page at a time; the form has the entry that the address names."""
    return _page(visit, kind)


@router.post("/{kind}")
def put_entry(kind: str, visit: Registers) -> Response:
    """Add, or change the entry of the same name and first day."""
    _known(kind)
    said = {name: visit.said(name) for name in COLUMNS[kind] if name in visit.form}
    if kind == "projects":
        said.setdefault("overrides", "no")
    try:
        with told():
            entry = checked(kind, said)
            registry = RegistryRepository(visit.engine)
            if visit.said("new") == "yes" and registry.has(kind, entry):
                raise Refused("There is such an entry already: change that one.", ErrorCode.CONFLICT)
            registry.put(kind, [entry], actor=visit.caller.actor, now=visit.served.clock())
        asked_again(visit.served)
    except ApiError as problem:
        return _page(visit, kind, problem)
    return RedirectResponse(address(f"/desk/registry/{kind}", done="saved"), 303)


@router.post("/{kind}/import")
async def import_entries(kind: str, visit: Uploads) -> Response:
    """A CSV file: all of its rows, or none."""
    _known(kind)
    folder = visit.served.configured.home / "uploads"
    try:
        async with received(
            visit.request, folder=folder, most_bytes=FILE_BYTES, setting="no setting changes that"
        ) as came:
            require_token(visit, came.fields.pop("csrf", ""))
            if len(came.files) != 1:
                raise Refused("Choose one file.")
            await to_thread.run_sync(_take, visit, kind, came.files[0])
    except ApiError as error:
        problem = error
        return await to_thread.run_sync(lambda: _page(visit, kind, problem))
    return RedirectResponse(address(f"/desk/registry/{kind}", done="saved"), 303)


def _take(visit: Visit, kind: str, file: Path) -> None:
    with told(), file.open(newline="", encoding="utf-8-sig") as lines:
        rows = entries_of(kind, lines)
        RegistryRepository(visit.engine).put(kind, rows, actor=visit.caller.actor, now=visit.served.clock())
    asked_again(visit.served)


def _known(kind: str) -> None:
    if kind not in TITLES:
        raise ApiError(ErrorCode.NOT_FOUND)


def _page(visit: Visit, kind: str, problem: ApiError | None = None) -> Response:
    _known(kind)
    rows = RegistryRepository(visit.engine).list(kind)
    search, name, first = visit.asked("search").lower(), visit.asked("edit"), visit.asked("valid_from")
    edited = next(
        (one for one in rows if name and one[KEYS[kind]] == name and one.get("valid_from", "") == first), None
    )
    typed = {column: visit.said(column) for column in COLUMNS[kind]} if problem else _written(edited or {}, kind)
    found = [one for one in rows if search in " ".join(map(str, one.values())).lower()] if search else rows
    start = visit.asked("from")
    offset = int(start) if start.isascii() and start.isdecimal() and len(start) < 10 else 0
    return page(
        visit,
        "registry.html",
        problem=problem,
        kind=kind,
        titles=TITLES,
        columns=[one for one in COLUMNS[kind] if kind != "funds" or one != "aliases"],
        key=KEYS[kind],
        rows=found[offset : offset + A_PAGE],
        all_of_them=len(found),
        following=offset + A_PAGE if len(found) > offset + A_PAGE else None,
        search=visit.asked("search"),
        typed=typed,
        editing=edited is not None or (bool(problem) and visit.said("new") != "yes"),
        days=DAYS,
    )


def _written(entry: dict[str, Any], kind: str) -> dict[str, str]:
    """An entry as its form shows it."""
    found = {}
    for column in COLUMNS[kind]:
        value = entry.get(column, "")
        if isinstance(value, bool):
            value = "yes" if value else "no"
        found[column] = ";".join(value) if isinstance(value, list | tuple) else "" if value is None else str(value)
    return found
