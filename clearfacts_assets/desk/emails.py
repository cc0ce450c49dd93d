"""``/desk/emails``: mails with statements. Seen before they leave, each sent once; doubts wait for a person."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from clearfacts_assets.api.auth.permissions import Permission
from clearfacts_assets.api.errors import ApiError, ErrorCode
from clearfacts_assets.api.route_threads import takes_long, waits
from clearfacts_assets.api.v1.chargeback.dependencies import told, wish_of
from clearfacts_assets.api.v1.chargeback.emails import LONGEST_BOUNCE
from clearfacts_assets.chargeback.notifications import statement_mails
from clearfacts_assets.chargeback.statements.mail_lifecycle import TRANSITIONS as MAIL_TRANSITIONS
from clearfacts_assets.chargeback.statements.mail_lifecycle import WAITS_FOR_A_PERSON, MailEvent, MailState
from clearfacts_assets.chargeback.statements.mailing import bodies
from clearfacts_assets.desk.changes import done_or_shown
from clearfacts_assets.desk.refusals import Refused
from clearfacts_assets.desk.rendering import address, page
from clearfacts_assets.desk.routing import DeskRoute
from clearfacts_assets.desk.visits import Visit, opens, position_of, reason_of
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.issuing.mails import MailBox
from clearfacts_assets.storage.chargeback.periods import PeriodRepository

router = APIRouter(prefix="/desk/emails", include_in_schema=False, route_class=DeskRoute)
Sees = Annotated[Visit, Depends(opens(Permission.CHARGEBACK_READ))]
Mails = Annotated[Visit, Depends(opens(Permission.EMAILS_SEND))]
MailId = Annotated[int, Path(ge=1, le=LARGEST_ID)]

A_PAGE = 50
MAILS_SHOWN = 20  # of a preview; the others are counted
DECISIONS = {"confirm": MailEvent.CONFIRMED, "drop": MailEvent.DROPPED, "bounced": MailEvent.BOUNCED}


@router.get("")
def list_mails(visit: Sees) -> Response:
    """The log of mails, newest first."""
    return _list(visit)


@router.get("/preview")
async def preview(visit: Sees) -> Response:
    """Whom a mail would go to, and what it would say. Nothing is sent, and nothing is marked."""

    def work() -> Response:
        period, mails = visit.asked("period"), list[dict[str, Any]]()
        with told():
            box, options = MailBox(visit.engine), statement_mails.mail_options_of(visit.served.configured)
            would = {to: [one["number"] for one in those] for to, those in box.would_send(period, options).items()}
            found = statement_mails.previews(visit.engine, visit.served.configured, period, visit.served.clock())
            for _, (recipient, outgoing) in zip(range(MAILS_SHOWN), found, strict=False):
                files = [] if outgoing.links else [one.file_name for one in outgoing.statements]
                mails.append({"for": recipient, "mail": outgoing, "text": bodies(outgoing)[0], "files": files})
        return page(visit, "email_preview.html", period=period, would=would, mails=mails, host=_host(visit))

    return await takes_long.run(work)


@router.post("/send")
async def send(visit: Mails) -> Response:
    """A mail for all that stands and was never in one; what is due is handed over. Nothing is sent twice."""

    def work() -> str:
        period, who = visit.said("period"), visit.caller.actor.name
        known, clock = visit.served.configured, visit.served.clock
        found = statement_mails.enqueue_and_send(visit.engine, known, period, actor=who, clock=clock)
        done = "sent" if _host(visit) else "mails"
        return address("/desk/emails", done=done, period=period, stopped=found.get("stopped"))

    return await takes_long.run(done_or_shown, visit, work, partial(_list, visit))


@router.post("/bounces")
async def take_bounce(visit: Mails) -> Response:
    """What a mail server sent back, as the whole message: it names the mail that it is about."""

    def work() -> str:
        text = visit.said("message")
        if not text or len(text) > LONGEST_BOUNCE:
            raise Refused("Paste the whole message, with its headers.")
        content, now = text.encode("utf-8", "replace"), visit.served.clock()
        id_ = statement_mails.take_bounce(visit.engine, content, actor=visit.caller.actor.name, now=now)
        return address(f"/desk/emails/{id_}", done="mail")

    return await waits.run(done_or_shown, visit, work, partial(_list, visit))


@router.get("/{mail_id}")
def get_mail(mail_id: MailId, visit: Sees) -> Response:
    """What it brings, and every try."""
    return _whole(visit, mail_id)


@router.post("/{mail_id}/resend")
async def resend(mail_id: MailId, visit: Mails) -> Response:
    """The same statements once more, knowingly, as another mail; the same form sends one."""

    def work() -> None:
        if visit.said("knowingly") != "yes":
            raise Refused("Say that you know that it may arrive twice.")
        wish = wish_of(visit.caller, visit.said("once") or None, f"desk-resend {mail_id}", to=visit.said("to"))
        statement_mails.resend(
            visit.engine,
            visit.served.configured,
            mail_id,
            wish=wish.digest[:32] + wish.id[:24] if wish else None,
            actor=visit.caller.actor.name,
            clock=visit.served.clock,
            to=visit.said("to")[:320] or None,
        )

    return await _changed(visit, mail_id, "resent", work)


@router.post("/{mail_id}/{decision}")
async def decide(mail_id: MailId, decision: str, visit: Mails) -> Response:
    """It has arrived, it came back, it will not be sent: a person says so, with a reason."""
    event = DECISIONS.get(decision)
    if event is None:
        raise ApiError(ErrorCode.NOT_FOUND)

    def work() -> None:
        MailBox(visit.engine).decide(
            mail_id, event, actor=visit.caller.actor.name, now=visit.served.clock(), reason=reason_of(visit)
        )

    return await _changed(visit, mail_id, "mail", work)


async def _changed(visit: Visit, mail_id: int, done: str, work: Callable[[], None]) -> Response:
    def kept() -> str:
        work()
        return address(f"/desk/emails/{mail_id}", done=done)

    return await takes_long.run(done_or_shown, visit, kept, partial(_whole, visit, mail_id))


def _host(visit: Visit) -> str:
    return visit.served.configured.email.host


def _list(visit: Visit, problem: ApiError | None = None) -> Response:
    period, state = visit.said("period") or visit.asked("period"), visit.asked("state")
    waiting = [one.value for one in WAITS_FOR_A_PERSON]
    states = waiting if state == "waits" else [state] if state in set(MailState) else []
    found = MailBox(visit.engine).list(
        period=period or None,
        states=states,
        recipient=visit.asked("to") or None,
        after=position_of(visit, "after"),
        limit=A_PAGE + 1,
        newest_first=True,
    )
    return page(
        visit,
        "emails.html",
        problem=problem,
        mails=found[:A_PAGE],
        more=found[A_PAGE - 1]["id"] if len(found) > A_PAGE else None,
        periods=[one.name for one in PeriodRepository(visit.engine).list()],
        states=["waits", *MailState],
        asked={"period": period, "state": state, "to": visit.asked("to")},
        stopped=visit.asked("stopped"),
        host=_host(visit),
        typed=visit.said("message"),
    )


def _whole(visit: Visit, mail_id: int, problem: ApiError | None = None) -> Response:
    with told():
        one = MailBox(visit.engine).get(mail_id)
    possible = {event for state, event in MAIL_TRANSITIONS if state == MailState(one["state"])}
    decisions = [name for name, event in DECISIONS.items() if event in possible]
    typed = {name: visit.said(name) for name in ("to", "reason")}
    once = visit.said("once") or visit.served.clock().isoformat()
    said: dict[str, Any] = {
        "decisions": decisions,
        "may_resend": MailEvent.RESENT in possible,
        "typed": typed,
        "once": once,
    }
    return page(visit, "email.html", problem=problem, one=one, **said)
