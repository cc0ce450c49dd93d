"""Sending what is due: claim, hand over, settle. Whatever happens in between, no mail is sent twice by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent, MailState
from clearfacts_assets.chargeback.statements.mailing import OutgoingMail, message
from clearfacts_assets.outcome_kinds import OutcomeKind

UNKNOWNS_IN_A_ROW = 3  # after which nothing more is sent now: a server that never answers is not asked 500 times


class Answered(Protocol):
    """What handing over came to."""

    @property
    def outcome(self) -> OutcomeKind: ...
    @property
    def code(self) -> int | None: ...
    @property
    def answer(self) -> str: ...
    @property
    def server(self) -> bool: ...


class Server(Protocol):
    def hand_over(self, sender: str, recipient: str, copies: Sequence[str], message: bytes) -> Answered: ...


class MailQueue(Protocol):
    """Where mails are kept."""

    def expire(self, now: datetime) -> int: ...
    def due(self, now: datetime, *, test: bool, period: str | None = None) -> list[int]: ...
    def claim(self, id_: int, now: datetime, sha256: str) -> Any: ...
    def settle(
        self, id_: int, event: MailEvent, now: datetime, answer: str, *, code: int | None = None, most: int = 12
    ) -> MailState: ...


@dataclass(slots=True)
class Sent:
    """What one round of sending came to."""

    sent: int = 0
    refused: int = 0
    waiting: int = 0
    unknown: int = 0
    lapsed: int = 0  # whose sender had ended in the middle: unknown now
    stopped: str = ""  # why the rest was left for later

    def as_result(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


_EVENTS = {
    OutcomeKind.ACCEPTED: MailEvent.ACCEPTED,
    OutcomeKind.REFUSED: MailEvent.REFUSED,
    OutcomeKind.NOT_SENT: MailEvent.NOT_TAKEN,
    OutcomeKind.DENIED: MailEvent.NOT_TAKEN,
    OutcomeKind.UNKNOWN: MailEvent.LOST,
}
_COUNTED = {
    MailState.SENT: "sent",
    MailState.REFUSED: "refused",
    MailState.WAITING: "waiting",
    MailState.UNKNOWN: "unknown",
}


def send_due(
    box: MailQueue,
    server: Server,
    outgoing_of: Callable[[int], OutgoingMail],
    clock: Callable[[], datetime],
    *,
    attempts: int,
    test_recipient: str = "",
    period: str | None = None,
) -> Sent:
    """Send everything that is due. In test mode all of it goes to ``test_recipient`` alone.

    A process that is killed in between leaves a claim; when that lapses the mail is unknown, and a person decides.
    """
    found, unknowns = Sent(lapsed=box.expire(clock())), 0
    for id_ in box.due(clock(), test=bool(test_recipient), period=period):
        outgoing = outgoing_of(id_)
        text = message(outgoing)
        if box.claim(id_, clock(), hashlib.sha256(text).hexdigest()) is None:
            continue
        recipient, copies = (test_recipient, ()) if test_recipient else (outgoing.recipient, outgoing.copies)
        answer = server.hand_over(outgoing.head.sender, recipient, copies, text)
        event = _EVENTS[answer.outcome]
        state = box.settle(id_, event, clock(), answer.answer, code=answer.code, most=attempts)
        counted = _COUNTED[state]
        setattr(found, counted, getattr(found, counted) + 1)
        unknowns = unknowns + 1 if state is MailState.UNKNOWN else 0
        if answer.server or unknowns >= UNKNOWNS_IN_A_ROW:
            found.stopped = answer.answer
            break
    return found
