"""``clearfacts deliveries``: what has left, what waits for a person, and the person's verdict."""

from __future__ import annotations

import getpass
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from clearfacts_assets.cli.console import fail, instant, out, print_json, print_more, print_table, say
from clearfacts_assets.cli.id_prefixes import one_id, short
from clearfacts_assets.cli.invoices.one_delivery import print_delivery
from clearfacts_assets.invoices.lifecycle import WAITS_FOR_A_PERSON, State, Verdict

if TYPE_CHECKING:
    from clearfacts_assets.invoices.ledger.model import AsSeen, DeliveryRecord
    from clearfacts_assets.storage.invoices.delivery_review import DeliveryDetail, DeliveryReview

app = typer.Typer(help="Deliveries: each invoice's way to its destination, and what waits for a person.")

AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Id = Annotated[str, typer.Argument(help="the delivery's id, or its first 8 characters")]


@app.command("list")
def list_(
    state: Annotated[list[State] | None, typer.Option(help="only these; may be given several times")] = None,
    number: Annotated[str | None, typer.Option(help="the invoice's number (BT-1)")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="most deliveries shown")] = 50,
    cursor: Annotated[str | None, typer.Option(help="where the last page ended (its next_cursor)")] = None,
    as_json: AsJson = False,
) -> None:
    """Deliveries, newest first. What waits for a person: --state parked --state held."""
    page = _open().list(states=state or (), number=number, limit=limit, cursor=cursor)
    if as_json:
        print_json({"deliveries": [as_result(one) for one in page.items], "next_cursor": page.next_cursor})
        return
    print_table(
        "Deliveries",
        ("delivery", "state", "invoice", "supplier", "since"),
        [
            (
                short(one.id),
                one.state,
                one.key.number + (f" (revision {one.revision})" if one.revision > 1 else ""),
                one.key.supplier,
                instant(one.updated_at),
            )
            for one in page.items
        ],
        whole=("delivery", "state", "supplier", "since"),
    )
    _print_reasons(page.items)
    print_more(page.next_cursor)


def _print_reasons(deliveries: Sequence[DeliveryRecord]) -> None:
    """Below the table, because a reason is long and many share one; and what to do about those that wait."""
    reasons = Counter((one.state, one.reason) for one in deliveries if one.reason)
    if not reasons:
        return
    print_table(
        "Why",
        ("deliveries", "state", "reason"),
        [(count, state, reason) for (state, reason), count in reasons.most_common()],
        right=("deliveries",),
        whole=("state",),
    )
    if any(one.state in WAITS_FOR_A_PERSON for one in deliveries):
        out.print(
            "\nLook:    clearfacts deliveries show ID"
            '\nDecide:  clearfacts deliveries resolve ID --as delivered|resend|waive --seen parked/1 --reason "..."',
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@app.command()
def show(delivery_id: Id, as_json: AsJson = False) -> None:
    """One delivery with all evidence: every try, every answer, every decision."""
    detail = _get(*_chosen(delivery_id))
    if as_json:
        print_json(
            as_result(detail.record)
            | {
                "attempts": [asdict(one) for one in detail.attempts],
                "decisions": [asdict(one) for one in detail.decisions],
                "seen_in": [asdict(one) for one in detail.seen],
                "document": asdict(detail.document) if detail.document else None,
                "versions": [as_result(one) for one in detail.versions],
                "shown": [asdict(one) for one in detail.shown],
            }
        )
        return
    print_delivery(detail)


@app.command()
def resolve(
    delivery_id: Id,
    verdict: Annotated[Verdict, typer.Option("--as", help="delivered, resend, send_again or waive")],
    reason: Annotated[str, typer.Option(help="why; kept in the audit log with your name")],
    seen: Annotated[
        str | None,
        typer.Option(
            help="how it was when you looked, as `show` says it: parked/1; refused if that has changed. "
            "Without it a person at a terminal is shown the delivery and asked; a script is refused"
        ),
    ] = None,
    actor: Annotated[str | None, typer.Option(help="who decides; the user of this terminal by default")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide about a delivery that waits for a person.

    delivered: the destination has it. resend: send it, with the next run of its day. send_again: send once more what is
    delivered. waive: it is not sent. Exit code 1 where it is not as you saw it any more, or cannot be decided so.
    """
    from clearfacts_assets.invoices.lifecycle import ForbiddenTransition, Outdated

    as_seen = _as_seen(seen)
    review, chosen = _chosen(delivery_id)
    detail = _get(review, chosen)
    record = detail.record
    if as_seen is None:
        as_seen = _shown_and_asked(detail, verdict)
    try:
        now = datetime.now(UTC)
        decided = review.resolve(
            chosen, verdict, reason=reason, actor=actor or getpass.getuser(), now=now, seen=as_seen
        )
    except Outdated as outdated:
        fail(f"nothing was decided: {outdated}. `clearfacts deliveries show {delivery_id}` shows what is known.")
    except ForbiddenTransition as forbidden:
        hint = (
            "it is being sent: wait until its run is over" if record.state is State.SENDING else "see its state above"
        )
        fail(f"{forbidden}; {hint}. `clearfacts deliveries show {delivery_id}` shows what is known.")
    except ValueError as error:
        fail(f"{error}: use --reason", code=2)
    if as_json:
        print_json(as_result(decided))
        return
    say(f"Delivery {decided.id} of invoice {decided.key.number} was {record.state} and is {decided.state} now.")
    if decided.ordered:
        seen_in = sorted({one.partition_key for one in _get(review, chosen).seen if one.partition_key})
        day = decided.day or (seen_in[-1] if seen_in else None)
        again = f"clearfacts run --date {day}" if day else "the next run of its day"
        out.print(f"It leaves with: {again}", highlight=False)


@app.command()
def acknowledge(
    delivery_id: Id,
    reason: Annotated[str, typer.Option(help="why nothing is to be done; kept in the audit log with your name")],
    actor: Annotated[str | None, typer.Option(help="who says so; the user of this terminal by default")] = None,
) -> None:
    """You have seen that Clearfacts does not have a delivered document any more, and nothing is to be done.

    The check every_delivered_document_is_known does not name it again, unless it comes back and goes once more.
    """
    from clearfacts_assets.storage.accounts.audit import Actor
    from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments, NotMissing

    review, chosen = _chosen(delivery_id)
    number = _get(review, chosen).record.key.number
    try:
        DeliveredDocuments(review.engine).acknowledge(
            chosen, reason=reason, actor=Actor(actor or getpass.getuser()), now=datetime.now(UTC)
        )
    except NotMissing as error:
        fail(str(error))
    except ValueError as error:
        fail(f"{error}: use --reason", code=2)
    say(f"It is noted that the document of invoice {number} is gone. To send it again: resolve --as send_again.")


def _as_seen(text: str | None) -> AsSeen | None:
    """``parked/1``: the state and the generation."""
    from clearfacts_assets.invoices.ledger.model import AsSeen

    if text is None:
        return None
    state, _, generation = text.partition("/")
    if state not in set(State) or not generation.isascii() or not generation.isdigit():
        fail(f"--seen is what `clearfacts deliveries show` says of it, such as parked/1, and not {text}", code=2)
    return AsSeen(State(state), int(generation))


def _shown_and_asked(detail: DeliveryDetail, verdict: Verdict) -> AsSeen:
    """What somebody at this terminal has just been shown and has said yes to. A script cannot have looked."""
    from clearfacts_assets.invoices.ledger.model import AsSeen

    record = detail.record
    seen = AsSeen(record.state, record.generation)
    if not sys.stdin.isatty():
        fail(
            f"nothing was decided: say with --seen how the delivery was when you looked at it, so that a verdict on "
            f"an older list is noticed. `clearfacts deliveries show {short(record.id)}` shows it; it is "
            f"{seen.state}/{seen.generation} now.",
            code=2,
        )
    print_delivery(detail)
    if not typer.confirm(f"Is {verdict} your decision on this?", err=True):
        fail("nothing was decided.")
    return seen


def as_result(record: DeliveryRecord) -> dict[str, Any]:
    """A delivery as JSON shows it."""
    result = asdict(record)
    key = result.pop("key")
    return {"delivery_id": result.pop("id"), **key, **result}


def _get(review: DeliveryReview, delivery_id: UUID) -> DeliveryDetail:
    from clearfacts_assets.storage.invoices.delivery_review import DeliveryNotFound

    try:
        return review.get(delivery_id)
    except DeliveryNotFound as error:
        fail(f"{error}: `clearfacts deliveries list` shows them")


def _chosen(text: str) -> tuple[DeliveryReview, UUID]:
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview
    from clearfacts_assets.storage.invoices.tables import Delivery

    engine = open_database()
    return DeliveryReview(engine), one_id(engine, Delivery.__table__.c.id, text, "delivery")


def _open() -> DeliveryReview:
    from clearfacts_assets.cli.invoices.ledger import open_database
    from clearfacts_assets.storage.invoices.delivery_review import DeliveryReview

    return DeliveryReview(open_database())
