"""``/desk/emails/delegates``: who gets copies of an investigator's mails."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_TEXT
from clearfacts_assets.chargeback.notifications.statement_mails import problem_of
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens
from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

router = APIRouter(prefix="/desk/emails/delegates", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Registers = Annotated[Visit, Depends(opens(Permission.REGISTRY_WRITE))]

FIELDS = ("pi_email", "delegate")
MOST_SHOWN = 500  # pairs


@router.get("")
def list_delegates(visit: Sees) -> Response:
    """By investigator."""
    return _page(visit)


@router.post("")
def set_delegate(visit: Registers) -> Response:
    """From the next mail on they get a copy; with ``remove`` no more."""

    def work() -> str:
        (person, delegate), add = (visit.said(name) for name in FIELDS), visit.said("remove") != "yes"
        if not person or len(person) > LONGEST_TEXT:
            raise Refused("Say whose mails they are.")
        if add and problem_of(delegate):
            raise Refused("No copy can go there: write an address, as ann@example.org.")
        who, now = visit.caller.actor.name, visit.served.clock()
        MailBox(visit.engine).delegate(person.lower(), delegate, add=add, actor=who, now=now)
        return address("/desk/emails/delegates", done="kept")

    return done_or_shown(visit, work, partial(_page, visit))


def _page(visit: Visit, problem: ApiError | None = None) -> Response:
    typed = {name: visit.said(name) for name in FIELDS}
    found = MailBox(visit.engine).delegates()
    return page(visit, "delegates.html", problem=problem, delegates=found[:MOST_SHOWN], typed=typed)
