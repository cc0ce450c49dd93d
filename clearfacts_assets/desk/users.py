"""``/desk/users``: who may log in, with which role, and whose charges are all that somebody sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import SecretStr, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from clearfacts_assets.api.auth import passwords
from clearfacts_assets.api.auth.permissions import ALLOWED, MEANINGS, Permission, Role
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.v1.accounts.users import NewUser, good_password, told
from clearfacts_assets.desk.form_problems import invalid_form
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.accounts.users import UserError, UserRepository
from clearfacts_assets.storage.chargeback.registry import RegistryRepository

router = APIRouter(prefix="/desk/users", include_in_schema=False, route_class=DeskRoute)
Manages = Annotated[Visit, Depends(opens(Permission.USERS_MANAGE))]

A_PAGE = 100
PEOPLE = [one for one in Role if one is not Role.SERVICE]


@router.get("")
def list_users(visit: Manages) -> Response:
    """All of them, and what each role may do."""
    return _page(visit)


@router.post("")
async def add_user(visit: Manages) -> Response:
    """With a first password, which is not shown again."""
    try:
        new = _new(visit)
        password = good_password(SecretStr(new.password.get_secret_value()), new.username, new.email)
        await run_in_threadpool(
            UserRepository(visit.engine).add,
            new.username,
            email=new.email,
            role=new.role,
            password_hash=await passwords.hashed_aside(password),
            actor=visit.caller.actor,
            now=datetime.now(UTC),
        )
    except UserError as error:
        problem = told(error)
    except ApiError as error:
        problem = error
    else:
        return RedirectResponse(address("/desk/users", done="user"), 303)
    return await run_in_threadpool(_page, visit, problem)


@router.post("/{user_id}")
def change_user(user_id: UUID, visit: Manages) -> Response:
    """Role, binding to an investigator, and whether the user may log in at all."""
    try:
        role = visit.said("role")
        if role not in PEOPLE:
            raise Refused("There is no such role.")
        named = visit.said("investigator")
        person = named and RegistryRepository(visit.engine).load().person(named).lower()
        UserRepository(visit.engine).change(
            user_id,
            role=Role(role),
            is_active=visit.said("active") == "yes",
            investigator=person,
            actor=visit.caller.actor,
            now=datetime.now(UTC),
        )
    except UserError as error:
        return _page(visit, told(error))
    except ApiError as problem:
        return _page(visit, problem)
    visit.request.app.state.authentication.forget()
    return RedirectResponse(address("/desk/users", done="user"), 303)


def _new(visit: Visit) -> NewUser:
    said = {name: visit.said(name) for name in ("username", "email", "role")}
    password = visit.form.get("password", [""])[-1]
    try:
        return NewUser.model_validate(said | {"password": password})
    except ValidationError as error:
        raise invalid_form(error.errors()) from None


def _page(visit: Visit, problem: ApiError | None = None) -> Response:
    found = UserRepository(visit.engine).list(limit=A_PAGE, cursor=visit.asked("cursor") or None)
    typed = {name: visit.said(name) for name in ("username", "email", "role")}
    return page(
        visit,
        "users.html",
        problem=problem,
        users=found.items,
        next_cursor=found.next_cursor,
        roles=PEOPLE,
        permissions=list(Permission),
        allowed=ALLOWED,
        meanings=MEANINGS,
        typed=typed,
    )
