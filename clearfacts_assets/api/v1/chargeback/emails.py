"""``/chargeback/emails``: mails with statements, each sent once; what is in doubt waits for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from clearfacts_assets.api.auth.principal import Principal
from clearfacts_assets.api.envelope import Listed, Success
from clearfacts_assets.api.errors import ErrorCode
from clearfacts_assets.api.openapi import errors
from clearfacts_assets.api.route_threads import reads, takes_long, waits
from clearfacts_assets.api.services import Services
from clearfacts_assets.api.v1.chargeback.dependencies import (
    Mails,
    Month,
    PageQuery,
    Reason,
    Registers,
    SeesAll,
    Served,
    after,
    told,
    wish_of,
)
from clearfacts_assets.api.v1.fields import Body, IdempotencyKey
from clearfacts_assets.chargeback.attribution.entries import BadEntry
from clearfacts_assets.chargeback.notifications import statement_mails
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent, MailState
from clearfacts_assets.chargeback.statements.mailing import bodies
from clearfacts_assets.storage.chargeback.charges import LARGEST_ID
from clearfacts_assets.storage.chargeback.issuing.mails import MailBox

router = APIRouter(prefix="/chargeback/emails", tags=["chargeback"])

LONGEST_BOUNCE = 500_000  # characters
MailId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Address = Annotated[str, Field(min_length=3, max_length=320, pattern=r"^[^\x00-\x20\x7f]+$")]
_DECIDING = errors(ErrorCode.EMAIL_NOT_FOUND, ErrorCode.EMAIL_NOT_ALLOWED)


class MailSummary(BaseModel):
    """One mail, and where it stands."""

    id: int
    period: str
    recipient: str
    name: str
    copies: list[str]
    subject: str
    state: MailState
    reason: str
    attempts: int
    test: bool
    repeats: int | None = Field(description="the mail that this one repeats")
    message_id: str
    created_at: datetime
    changed_at: datetime


class AttemptView(BaseModel):
    """What happened to a mail."""

    event: str
    code: int | None = Field(description="of the mail server")
    answer: str
    actor: str
    at: datetime


class MailView(MailSummary):
    """A mail with what it brings, and every try."""

    statements: list[str]
    history: list[AttemptView]


class MailsQuery(PageQuery):
    """Which mails."""

    period: Month | None = None
    state: list[MailState] = Field([], max_length=len(MailState), description="any of these, as bounced or unknown")
    to: Address | None = None


class PreviewQuery(BaseModel):
    """Of which month."""

    model_config = ConfigDict(extra="forbid")

    period: Month


class PreviewView(BaseModel):
    """A mail that would be sent."""

    recipient: str = Field(description="whom it is for")
    to: str = Field(description="where it would go: elsewhere in test mode")
    copies: list[str]
    subject: str
    text: str
    html: str
    files: list[str] = Field(description="PDFs that it would bring; none where it would have links")


class SendWanted(Body):
    """What is to be sent: what is due; with a period also what was never in a mail."""

    period: Month | None = None
    dry_run: bool = Field(False, description="say who would get a mail, and send nothing; of a period")


class Sent(BaseModel):
    """What came of it."""

    wanted: int = Field(0, description="new mails")
    sent: int = 0
    waiting: int = Field(0, description="provably not taken; due again later")
    refused: int = 0
    unknown: int = Field(0, description="may have been taken: a person decides")
    lapsed: int = Field(0, description="whose sender had died in the middle: a person decides")
    stopped: str = Field("", description="why no more was tried; empty where all was")
    would_send: dict[str, list[str]] = Field({}, description="in a dry run: the statements' numbers by recipient")


class Resending(Body):
    """Where to; the same address without it."""

    to: Address | None = None


class Resent(Sent):
    """The new mail."""

    id: int
    repeats: int


class MailDecision(Body):
    """How that is known, or why."""

    reason: Reason


class BounceBody(Body):
    """What a mail server sent back."""

    message: str = Field(min_length=1, max_length=LONGEST_BOUNCE, description="the whole message, as in an .eml file")


class Decided(BaseModel):
    """The mail, and where it stands now."""

    id: int
    state: MailState


class DelegateBody(Body):
    """Somebody who gets copies of an investigator's mails."""

    pi_email: Address
    delegate: Address
    remove: bool = Field(False, description="no more copies")


class DelegateView(BaseModel):
    """Who gets copies, or no more."""

    pi_email: str
    delegate: str
    copies: bool


@router.get("", responses=errors(ErrorCode.INVALID_CURSOR), summary="The log of mails, oldest first")
@reads
def list_emails(query: Annotated[MailsQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[MailSummary]]:
    """With where each stands."""
    found = MailBox(served.engine).list(
        period=query.period,
        states=[one.value for one in query.state],
        recipient=query.to,
        after=after(query.cursor),
        limit=query.limit + 1,
    )
    items = [MailSummary.model_validate(one) for one in found[: query.limit]]
    more = str(items[-1].id) if len(found) > query.limit else None
    return Success(data=Listed(items=items, next_cursor=more))


@router.get("/preview", responses=errors(), summary="The mails that would be sent")
@takes_long
def preview_emails(query: Annotated[PreviewQuery, Query()], _: SeesAll, served: Served) -> Success[Listed[PreviewView]]:
    """Nothing is sent, and nothing is marked."""
    items = []
    with told():
        for recipient, outgoing in statement_mails.previews(
            served.engine, served.configured, query.period, served.clock()
        ):
            text, html = bodies(outgoing)
            files = [] if outgoing.links else [one.file_name for one in outgoing.statements]
            said = {"copies": list(outgoing.copies), "subject": outgoing.subject, "text": text, "html": html}
            items.append(PreviewView(recipient=recipient, to=outgoing.recipient, files=files, **said))
    return Success(data=Listed(items=items, next_cursor=None))


@router.get("/{mail_id}", responses=errors(ErrorCode.EMAIL_NOT_FOUND), summary="One mail")
@reads
def get_email(mail_id: MailId, _: SeesAll, served: Served) -> Success[MailView]:
    """What it brings, and every try."""
    with told():
        return Success(data=MailView.model_validate(MailBox(served.engine).get(mail_id)))


@router.post("/send", responses=errors(), summary="Send what is due")
@takes_long
def send_emails(body: SendWanted, caller: Mails, served: Served) -> Success[Sent]:
    """What was sent is not sent again. Without a mail server (setting `email.host`) mails wait, and that is said."""
    engine, known = served.engine, served.configured
    with told(caller):
        if body.dry_run and body.period is None:
            raise BadEntry("period: a dry run is of a period")
        if body.period is not None:
            found = statement_mails.enqueue_and_send(
                engine, known, body.period, actor=caller.actor.name, clock=served.clock, dry_run=body.dry_run
            )
        elif known.email.host:
            found = statement_mails.send(engine, known, None, clock=served.clock)
        else:
            found = {"stopped": statement_mails.NO_HOST}
    return Success(data=Sent.model_validate(_said(found)))


@router.post("/{mail_id}/resend", responses=_DECIDING, summary="Send the same statements once more, knowingly")
@takes_long
def resend_email(
    mail_id: MailId, body: Resending, caller: Mails, served: Served, key: IdempotencyKey = None
) -> Success[Resent]:
    """As another mail. The same `Idempotency-Key` sends one."""
    wish = wish_of(caller, key, f"resend {mail_id}", to=body.to)
    with told(caller):
        found = statement_mails.resend(
            served.engine,
            served.configured,
            mail_id,
            wish=wish.digest[:32] + wish.id[:24] if wish else None,
            actor=caller.actor.name,
            clock=served.clock,
            to=body.to,
        )
    return Success(data=Resent.model_validate(_said(found)))


@router.post("/{mail_id}/confirm", responses=_DECIDING, summary="A mail in doubt has arrived")
@waits
def confirm_email(mail_id: MailId, body: MailDecision, caller: Mails, served: Served) -> Success[Decided]:
    """The reason says how that is known."""
    return _decided(mail_id, MailEvent.CONFIRMED, body, caller, served)


@router.post("/{mail_id}/drop", responses=_DECIDING, summary="A mail will not be sent")
@waits
def drop_email(mail_id: MailId, body: MailDecision, caller: Mails, served: Served) -> Success[Decided]:
    """Its statements stay as they are."""
    return _decided(mail_id, MailEvent.DROPPED, body, caller, served)


@router.post("/{mail_id}/bounced", responses=_DECIDING, summary="A mail came back")
@waits
def bounce_email(mail_id: MailId, body: MailDecision, caller: Mails, served: Served) -> Success[Decided]:
    """As a person says it."""
    return _decided(mail_id, MailEvent.BOUNCED, body, caller, served)


@router.post("/bounces", responses=_DECIDING, summary="Record what a mail server sent back")
@waits
def take_bounce(body: BounceBody, caller: Mails, served: Served) -> Success[Decided]:
    """A delivery report (RFC 3464) names the mail that it is about; 404 where that is none of ours."""
    content = body.message.encode("utf-8", "replace")
    with told(caller):
        id_ = statement_mails.take_bounce(served.engine, content, actor=caller.actor.name, now=served.clock())
    return Success(data=Decided(id=id_, state=MailState.BOUNCED))


@router.post("/delegates", responses=errors(), summary="Let somebody get copies of an investigator's mails")
@waits
def set_delegate(body: DelegateBody, caller: Registers, served: Served) -> Success[DelegateView]:
    """Or no more."""
    email, add = body.pi_email.lower(), not body.remove
    with told(caller):
        if add and statement_mails.problem_of(body.delegate):
            raise BadEntry("delegate is no address that a mail can go to")
        MailBox(served.engine).delegate(email, body.delegate, add=add, actor=caller.actor.name, now=served.clock())
    return Success(data=DelegateView(pi_email=email, delegate=body.delegate, copies=add))


def _decided(
    mail_id: int, event: MailEvent, body: MailDecision, caller: Principal, served: Services
) -> Success[Decided]:
    with told(caller):
        state = MailBox(served.engine).decide(
            mail_id, event, actor=caller.actor.name, now=served.clock(), reason=body.reason
        )
    return Success(data=Decided(id=mail_id, state=state))


def _said(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
