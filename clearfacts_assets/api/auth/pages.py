"""The pages of the login: plain HTML from the server, one template, no script."""

from __future__ import annotations

import hmac
import logging
import secrets
from html import escape
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from clearfacts_assets.api.auth.access import Access, access
from clearfacts_assets.api.auth.dependencies import anybody
from clearfacts_assets.api.auth.middleware import HEADERS, HTTPS_ONLY
from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.auth.templates import part, template
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.forms import form_of

logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False, dependencies=[Depends(anybody)])

LONGEST_FORM = 8192  # bytes
MOST_FIELDS = 10
FORM_COOKIE = "clearfacts_form"  # the CSRF token of who has no session yet
FORM_SECONDS = 3600
LONGEST_NEXT = 2000  # characters of the address to go to after the login

WRONG = "That name and password do not fit together."
STALE = "This page was open for too long, or came from elsewhere. Please try again."


@router.get("/login")
async def login_page(request: Request) -> Response:
    """The form."""
    return _login_page(await access(request), next_=_local(request.query_params.get("next", "")))


@router.post("/login")
async def log_in(request: Request) -> Response:
    """A session of its own for every login, and on to where the person wanted to go."""
    auth = await access(request)
    form = await _form(request)
    next_ = _local(form.get("next", ""))
    sent_with_form = hmac.compare_digest(
        form.get("csrf", "").encode("utf-8", "replace"), request.cookies.get(FORM_COOKIE, "").encode("utf-8", "replace")
    )
    if not form.get("csrf") or not sent_with_form or not auth.authentication.same_origin(request):
        return _login_page(auth, next_=next_, problem=STALE, status=403)
    name = form.get("username", "")
    try:
        cookie = await auth.logins.for_browser(request, name, form.get("password", ""))
    except ApiError as error:
        problem = WRONG if error.code is ErrorCode.INVALID_CREDENTIALS else error.message
        page = _login_page(auth, next_=next_, problem=problem, status=error.status, name=name)
        page.headers.update(error.headers)
        return page
    person = await auth.authentication.of_cookie(cookie)
    if next_ == "/" and person is not None and not person.may(Permission.DAGSTER_READ):
        next_ = "/desk"  # an investigator's only page
    answer = RedirectResponse(next_, 303, headers=_headers(auth))
    answer.set_cookie(
        auth.authentication.cookie.name,
        cookie,
        max_age=int(auth.logins.session_life.total_seconds()),
        path="/",
        secure=auth.authentication.cookie.secure,
        httponly=True,
        samesite="lax",  # so that a link in Slack opens the page that it names
    )
    answer.delete_cookie(FORM_COOKIE, path="/login")
    return answer


@router.get("/logout")
async def logout_page(request: Request) -> Response:
    """Who is logged in, and a button."""
    auth = await access(request)
    principal = await auth.authentication.identify(request)
    cookie = request.cookies.get(auth.authentication.cookie.name, "")
    if principal is None or not cookie:
        return RedirectResponse("/login", 303, headers=_headers(auth))
    body = part("logout", name=principal.name, role=principal.role.value, csrf=auth.authentication.csrf_token(cookie))
    return _page(auth, "Log out", body)


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Ends the session."""
    auth = await access(request)
    cookie = request.cookies.get(auth.authentication.cookie.name, "")
    form = await _form(request)
    if not auth.authentication.same_origin(request) or not auth.authentication.csrf_matches(
        cookie, form.get("csrf", "")
    ):
        raise ApiError(ErrorCode.CROSS_SITE_REQUEST)
    await auth.logins.end_cookie(request, cookie)
    answer = RedirectResponse("/login", 303, headers=_headers(auth))
    secure = auth.authentication.cookie.secure
    answer.delete_cookie(auth.authentication.cookie.name, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def _login_page(auth: Access, *, next_: str, problem: str = "", status: int = 200, name: str = "") -> Response:
    token = secrets.token_urlsafe(32)
    told = part("problem", text=problem) if problem else ""
    body = part("login", next=next_, csrf=token, username=name).replace("<!-- problem -->", told)
    page = _page(auth, "Log in", body, status=status)
    page.set_cookie(
        FORM_COOKIE,
        token,
        max_age=FORM_SECONDS,
        path="/login",
        secure=auth.authentication.cookie.secure,
        httponly=True,
        samesite="strict",
    )
    return page


def _page(auth: Access, title: str, body: str, *, status: int = 200) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    headers = _headers(auth) | {
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    }
    html = template("page").substitute(title=escape(title), nonce=nonce, body=body)
    return HTMLResponse(html, status, headers=headers)


def _headers(auth: Access) -> dict[str, str]:
    secure = HTTPS_ONLY if auth.authentication.cookie.secure else {}
    return HEADERS | secure | {"Cache-Control": "no-store"}


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small urlencoded form; the last one of each name counts."""
    fields = await form_of(request, most_bytes=LONGEST_FORM, most_fields=MOST_FIELDS)
    return {name: values[-1] for name, values in fields.items()}


def _local(wanted: str) -> str:
    """A path of ours, or the first page: nobody is sent to another site after a login."""
    parts = urlsplit(wanted) if len(wanted) <= LONGEST_NEXT else None
    if parts is None or parts.scheme or parts.netloc or not wanted.startswith("/"):
        return "/"
    if wanted.startswith(("//", "/\\")) or not wanted.isprintable() or wanted.startswith(("/login", "/logout")):
        return "/"
    return wanted
