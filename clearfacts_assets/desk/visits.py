"""Who looks at which page, and what came with it: the one login's session, the form with its token, the language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from fastapi import Request
from sqlalchemy import Engine

from clearfacts_assets.api.auth.authentication import READS
from clearfacts_assets.api.auth.dependencies import UNKNOWN, Requires
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.forms import form_of
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import LONGEST_NOTE
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.translations import Words, preferred

LONGEST_FORM = 2**18  # bytes; a thousand charges that were selected are a tenth of it
MOST_FIELDS = 5000
NO_FORM_OF_OURS = "The form is not one that a page of the desk sends."
LANGUAGE_COOKIE = "clearfacts_language"


@dataclass(slots=True)
class Visit:
    """One request of somebody who may make it."""

    request: Request
    caller: Principal
    served: Services
    words: Words
    csrf: str
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        return self.served.engine

    def may(self, permission: str) -> bool:
        return self.caller.may(Permission(permission))

    def said(self, name: str, default: str = "") -> str:
        """A field of the form, without blanks around it."""
        values = self.form.get(name)
        return values[-1].replace("\0", "").strip() if values else default

    def asked(self, name: str) -> str:
        """A parameter of the address."""
        return self.request.query_params.get(name, "").replace("\0", "").strip()[:500]


class Opens(Requires):
    """Lets in who has the permission; a change only with the session's CSRF token in its form.

    With ``files`` the page reads the body itself, and has to look for the token among its fields. Raises ApiError
    UNAUTHENTICATED, FORBIDDEN, CROSS_SITE_REQUEST, PAYLOAD_TOO_LARGE.
    """

    def __init__(self, permission: Permission, *, files: bool = False) -> None:
        super().__init__(permission)
        self.files = files

    async def __call__(self, request: Request) -> Visit:  # type: ignore[override]
        authentication = request.app.state.authentication
        principal: Principal | None = await authentication.identify(request, csrf=False)
        if principal is None:
            raise ApiError(ErrorCode.UNAUTHENTICATED, headers=UNKNOWN)
        if not principal.may(self.permission):
            raise Refused("This needs the permission {name}.", ErrorCode.FORBIDDEN, name=self.permission)
        cookie = request.cookies.get(authentication.cookie.name, "")
        visit = Visit(request, principal, request.app.state.services, words_of(request), "")
        if cookie:
            visit.csrf = authentication.csrf_token(cookie)
        if request.method not in READS and not self.files:
            visit.form = await form_of(
                request, most_bytes=LONGEST_FORM, most_fields=MOST_FIELDS, refusal=NO_FORM_OF_OURS
            )
            require_token(visit, visit.said("csrf"))
        return visit


@cache
def opens(permission: Permission, *, files: bool = False) -> Opens:
    """For a page: ``visit: Annotated[Visit, Depends(opens(Permission.CHARGES_READ))]``."""
    return Opens(permission, files=files)


def position_of(visit: Visit, name: str) -> int:
    """After which id a page begins; 0 for what is no id."""
    text = visit.asked(name)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def reason_of(visit: Visit) -> str:
    """The form's reason. Raises ApiError VALIDATION_ERROR where there is none, or one that is too long."""
    reason = visit.said("reason")
    if not reason or len(reason) > LONGEST_NOTE:
        raise Refused("Say why, in at most {most} characters; it is kept.", most=LONGEST_NOTE)
    return reason


def require_token(visit: Visit, offered: str) -> None:
    """A session's form holds the session's token. Programs that show a key or token need none: no browser adds it."""
    if "authorization" in visit.request.headers:
        return
    authentication = visit.request.app.state.authentication
    cookie = visit.request.cookies.get(authentication.cookie.name, "")
    if not authentication.csrf_matches(cookie, offered):
        raise ApiError(ErrorCode.CROSS_SITE_REQUEST)


def words_of(request: Request) -> Words:
    return Words(preferred(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")))
