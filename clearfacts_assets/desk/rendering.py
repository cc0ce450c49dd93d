"""Templates to pages, and the files that pages need, each under a name that changes with its content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import StreamingResponse

from clearfacts_assets.api.errors import ApiError
from clearfacts_assets.chargeback.model import CHANGES
from clearfacts_assets.desk import charts
from clearfacts_assets.desk.translations import LANGUAGES, Words, mark
from clearfacts_assets.desk.visits import Visit
from clearfacts_assets.invoices.validation.reports.page import styles

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FLUSH = Markup("<!-- -->")
ASSETS = ("desk.css", "desk.js", "mark.svg", "invoice.css")


@cache
def asset(name: str) -> tuple[str, bytes]:
    """The name under which it is served, and its bytes."""
    ours = name != "invoice.css"
    content = (files(__package__) / "static" / name).read_bytes() if ours else styles().encode()
    stem, _, kind = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}", content


def asset_url(name: str) -> str:
    return f"/desk/static/{asset(name)[0]}"


@cache
def environment() -> Environment:
    """The templates; a name that is not given is a fault, not an empty text."""
    made = Environment(
        loader=PackageLoader("clearfacts_assets.desk"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(asset=asset_url, languages=LANGUAGES, charts=charts, address=address, kinds=kinds_of)
    return made


def kinds_of(*changes: Mapping[str, Any]) -> list[str]:
    """The kinds of change that a table of these differences shows: what was mended by hand only where there is any.
    Differences from before there was a kind do not have it."""
    always = ("new", "changed", "retagged", "withdrawn", "equal")
    ordered = [*always[:-1], *(kind for kind in CHANGES if kind not in always), always[-1]]
    return [kind for kind in ordered if kind in always or any(one.get(kind, {}).get("rows") for one in changes)]


def address(path: str, **parameters: Any) -> str:
    """A path with those parameters that say something."""
    said = {name: value for name, value in parameters.items() if value not in (None, "", [], ())}
    return f"{path}?{urlencode(said, doseq=True)}" if said else path


def page(
    visit: Visit, template: str, /, *, status: int = 200, problem: ApiError | None = None, **said: Any
) -> Response:
    """A page of somebody who is logged in. ``problem`` is told at its top, and gives the status."""
    html = environment().get_template(template).render(**{**_known(visit, problem), **said})
    return Response(html, problem.status if problem else status, media_type="text/html; charset=utf-8")


def late_page(visit: Visit, template: str, late: Callable[[], Mapping[str, Any]], /, **said: Any) -> Response:
    """A page whose top is sent before ``late`` is asked for the rest: what takes seconds in a large month. Its template
    has ``{{ flush }}`` before it calls ``late()``. What can be refused is asked before: the status is sent first."""
    known = {**_known(visit, None), **said, "late": late, "flush": _FLUSH}
    pieces = environment().get_template(template).generate(**known)

    def sent() -> Iterator[str]:
        waiting: list[str] = []
        for piece in pieces:
            waiting.append(piece)
            if piece == _FLUSH:
                yield "".join(waiting)
                waiting.clear()
        yield "".join(waiting)

    return StreamingResponse(sent(), media_type="text/html; charset=utf-8")


def _known(visit: Visit, problem: ApiError | None) -> dict[str, Any]:
    words = visit.words
    return {
        "visit": visit,
        "caller": visit.caller,
        "_": words.say,
        "words": words,
        "path": visit.request.url.path,
        "problem": told_in(words, problem) if problem else "",
        "problems": problem.details.get("fields", []) if problem else [],
        "done": DONE.get(visit.asked("done"), ""),
    }


def error_page(request: Request, error: ApiError, words: Words) -> Response:
    """What could not be shown, in words, with what can be done about it."""
    remedy = REMEDIES.get(error.status, REMEDIES[500] if error.status >= 500 else REMEDIES[422])
    said = {"message": told_in(words, error), "error": error, "remedy": remedy, "path": request.url.path}
    html = environment().get_template("error.html").render(_=words.say, words=words, **said)
    return Response(html, error.status, media_type="text/html; charset=utf-8")


def told_in(words: Words, problem: ApiError) -> str:
    """What is refused, in the reader's language."""
    return words.told(problem.said)


# What somebody in front of a page can do, by status.
REMEDIES = {
    401: mark("Log in, then send it again."),
    403: mark("Open the page again and send the form once more. If that does not help, ask an admin for another role."),
    404: mark("Look for it in its list: it may have another number, or be somebody else's."),
    409: mark("Look at how things stand now, then decide anew."),
    413: mark("Send less at once."),
    422: mark("Go back, mend what is said above, and send it again."),
    429: mark("Wait a minute, then try again."),
    500: mark("Try again later. If it comes back, tell those who run the system: their log says more."),
}


# What a page says after something was done; the address names it.
DONE = {
    "opened": "The month was begun.",
    "close": "The month is closed.",
    "reopen": "The month is open again.",
    "finalize": "The month is finalized. Nothing in it changes any more.",
    "approve": "Approved.",
    "reject": "Rejected. It stays to be seen, and is not billed.",
    "correct": "Corrected and approved.",
    "undo": "The last decision was taken back.",
    "imported": "Imported.",
    "unchanged": "These very files were imported already: nothing has changed.",
    "withdrawn": "The import was taken back.",
    "saved": "Saved. Who pays was asked again in every month that is not finalized.",
    "kept": "Saved.",
    "rules": "The rules were applied.",
    "remark": "Your remark was kept. The team that bills will answer it.",
    "answered": "Answered.",
    "voided": "The statement was taken out.",
    "accepted": "The statement is issued.",
    "issued": "The statements were made.",
    "decided": "Decided, and written into the audit log.",
    "user": "The user was saved.",
    "journals": "The journals were made.",
    "exported": "The draft has left.",
    "ledger": "What the general ledger said was kept.",
    "reversed": "The journal was taken back.",
    "sent": "What is due was handed to the mail server.",
    "mails": "The mails wait: no mail server is set.",
    "resent": "It was sent once more, as another mail.",
    "mail": "Kept with the mail.",
    "language": "The language was changed.",
    "invoices": "The invoices were made.",
}
