"""The life of a mail, as one table. Never sent again by itself once a server may have taken it; nothing is lost."""

from __future__ import annotations

from enum import StrEnum

from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.messages import Message


class MailState(StrEnum):
    """Where a mail stands."""

    READY = "ready"
    HELD = "held"  # it cannot leave as it is: no address, an address that is none
    SENDING = "sending"  # claimed; a server may be taking it
    WAITING = "waiting"  # provably not taken; due again later
    UNKNOWN = "unknown"  # may have been taken: a person decides
    SENT = "sent"  # a server took it
    REFUSED = "refused"  # a server refused it for good, or patience has ended
    BOUNCED = "bounced"  # taken, and came back
    DROPPED = "dropped"  # a person decided that it will not be sent


class MailEvent(StrEnum):
    """What happens to a mail, in the past tense."""

    WANTED = "wanted"
    WITHHELD = "withheld"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_TAKEN = "not_taken"  # greylisted, no connection, login refused: nothing can have arrived
    LOST = "lost"  # the text was on its way, and no answer came; or whoever sent it was killed
    GIVEN_UP = "given_up"
    BOUNCED = "bounced"
    CONFIRMED = "confirmed"  # a person: it has arrived
    DROPPED = "dropped"  # a person: it will not be sent
    RESENT = "resent"  # a person: send it again, as another mail


TRANSITIONS: dict[tuple[MailState | None, MailEvent], MailState] = {
    (None, MailEvent.WANTED): MailState.READY,
    (None, MailEvent.WITHHELD): MailState.HELD,
    (MailState.READY, MailEvent.CLAIMED): MailState.SENDING,
    (MailState.WAITING, MailEvent.CLAIMED): MailState.SENDING,
    (MailState.SENDING, MailEvent.ACCEPTED): MailState.SENT,
    (MailState.SENDING, MailEvent.REFUSED): MailState.REFUSED,
    (MailState.SENDING, MailEvent.NOT_TAKEN): MailState.WAITING,
    (MailState.SENDING, MailEvent.GIVEN_UP): MailState.REFUSED,
    (MailState.SENDING, MailEvent.LOST): MailState.UNKNOWN,
    (MailState.UNKNOWN, MailEvent.ACCEPTED): MailState.SENT,  # proof that came late
    (MailState.UNKNOWN, MailEvent.CONFIRMED): MailState.SENT,
    (MailState.UNKNOWN, MailEvent.BOUNCED): MailState.BOUNCED,
    (MailState.SENT, MailEvent.BOUNCED): MailState.BOUNCED,
    (MailState.READY, MailEvent.DROPPED): MailState.DROPPED,
    (MailState.WAITING, MailEvent.DROPPED): MailState.DROPPED,
    (MailState.HELD, MailEvent.DROPPED): MailState.DROPPED,
    (MailState.UNKNOWN, MailEvent.DROPPED): MailState.DROPPED,
    # Sent again as a mail of its own: where this one stands does not change, unless it waited for that decision.
    (MailState.UNKNOWN, MailEvent.RESENT): MailState.DROPPED,
    (MailState.HELD, MailEvent.RESENT): MailState.DROPPED,
    (MailState.SENT, MailEvent.RESENT): MailState.SENT,
    (MailState.REFUSED, MailEvent.RESENT): MailState.REFUSED,
    (MailState.BOUNCED, MailEvent.RESENT): MailState.BOUNCED,
    (MailState.DROPPED, MailEvent.RESENT): MailState.DROPPED,
}
WAITS_FOR_A_PERSON = frozenset({MailState.HELD, MailState.UNKNOWN, MailState.REFUSED, MailState.BOUNCED})
TO_BE_SENT = frozenset({MailState.READY, MailState.WAITING})


class MailNotAllowed(ChargebackError):
    """The mail's state does not allow this."""


def after(mail: int, state: MailState | None, event: MailEvent) -> MailState:
    """The state that follows. Raises MailNotAllowed."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        tried = Message(event.replace("_", " "))
        raise MailNotAllowed("mail {mail} is {state}: it cannot be {event}", mail=mail, state=state, event=tried)
    return following
