"""What must be told, until it has been told. An alert is written down first and sent from there, so none is lost.

Each subject is told once, however often it is seen. A process that dies between Slack's answer and our note of it tells
it a second time: for alerts that is the lesser evil.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, or_, select, update

from clearfacts_assets import tracing
from clearfacts_assets.backoff import Backoff
from clearfacts_assets.outcome_kinds import OutcomeKind
from clearfacts_assets.outgoing.evidence import replaced_unstorable
from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.operations.tables import Alert

BATCH = 20  # alerts sent by one dispatch; the others wait for the next
CLAIM = timedelta(seconds=120)  # longer than any one send takes
LONGEST_WAIT = timedelta(hours=1)
FIRST_WAIT = timedelta(seconds=30)
BACKOFF = Backoff(FIRST_WAIT.total_seconds(), LONGEST_WAIT.total_seconds())
GIVE_UP_AFTER = timedelta(days=3)
SUBJECT_CHARACTERS = 255  # what the column holds
_ERROR_CHARACTERS = 1000

_log = logging.getLogger(__name__)


class NotTold(Exception):
    """An alert could not be sent now. Whatever the outcome, it is tried again: one told twice is the lesser evil."""

    def __init__(
        self, reason: str, *, outcome: OutcomeKind = OutcomeKind.UNKNOWN, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.retry_after = retry_after  # seconds

    @property
    def only_this(self) -> bool:
        """Whether the message is at fault, and others may pass."""
        return self.outcome is OutcomeKind.REFUSED


Send = Callable[[str, Mapping[str, Any]], None]  # channel, message; raises NotTold


@dataclass(frozen=True, slots=True)
class DispatchCount:
    """What one dispatch came to."""

    sent: int = 0
    postponed: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class Matter:
    """What an alert is about, as data: whoever asks later what was told reads this, and takes no subject apart."""

    kind: str
    about: str | None = None
    at: datetime | None = None
    members: Sequence[str] | None = None


OTHER = Matter("other")


def enqueue(
    database: Engine | Connection,
    subject: str,
    channel: str,
    message: Mapping[str, Any],
    now: datetime,
    matter: Matter = OTHER,
) -> bool:
    """Write down what must be told; False where this subject was written down before. Idempotent.

    With a connection, it is part of that connection's transaction.
    """
    if isinstance(database, Engine):
        return write(
            database, lambda connection: enqueue(connection, subject, channel, message, now, matter), repeatable=True
        )
    row = {
        **asdict(matter),
        "number": select(func.coalesce(func.max(Alert.number), 0) + 1).scalar_subquery(),
        "id": uuid.uuid4(),
        "subject": _fitting(replaced_unstorable(subject)),
        "channel": replaced_unstorable(channel),
        "message": _replaced(message),
        "state": "pending",
        "attempts": 0,
        "created_at": now,
        "traceparent": tracing.traceparent() or None,
    }
    insert = insert_into(database, Alert).values(row).on_conflict_do_nothing(index_elements=["subject"])
    return database.execute(insert.returning(Alert.id)).first() is not None


def last_of(engine: Engine, kinds: Sequence[str], about: str | None = None) -> Matter | None:
    """What was written down last of these kinds (about this), by the order of writing: clocks may have been wrong."""
    columns = (Alert.kind, Alert.about, Alert.at, Alert.members)
    query = select(*columns).where(Alert.kind.in_(kinds)).order_by(Alert.number.desc(), Alert.created_at.desc())
    if about is not None:
        query = query.where(Alert.about == about)
    with reading(engine) as connection:
        row = connection.execute(query.limit(1)).one_or_none()
    return Matter(*row) if row else None


def dispatch(
    engine: Engine,
    send: Send,
    clock: Callable[[], datetime],
    *,
    batch: int = BATCH,
    way_of: Callable[[str], str] = lambda channel: "",
) -> DispatchCount:
    """Send what is due, oldest first. Several dispatchers may run at once; none sends what another one has claimed.

    Never raises for Slack's faults. When Slack itself does not take messages, the rest waits for the next dispatch;
    so does what goes by the same way (``way_of`` its channel), and nothing else.
    """
    with reading(engine) as connection:
        query = select(Alert.id, Alert.channel).where(_due(clock())).order_by(Alert.created_at).limit(batch)
        due = connection.execute(query).tuples().all()
    sent = postponed = given_up = 0
    away: set[str] = set()
    for alert_id, channel in due:
        if way_of(channel) in away:
            continue
        alert = _claim(engine, alert_id, clock())
        if alert is None:
            continue
        try:
            with tracing.span("alert", kind="PRODUCER", parent=alert.traceparent or ""):
                send(alert.channel, alert.message)
        except NotTold as failure:
            if _postpone(engine, alert, failure, clock()):
                postponed += 1
            else:
                given_up += 1
            if not failure.only_this:
                away.add(way_of(channel))
        else:
            _settle(engine, alert, clock())
            sent += 1
    return DispatchCount(sent, postponed, given_up)


def _due(now: datetime) -> Any:
    # Nothing is postponed for longer than LONGEST_WAIT: what seems so was, under a wrong clock.
    not_before = Alert.not_before
    return (Alert.state == "pending") & or_(
        not_before.is_(None), not_before <= now, not_before > now + LONGEST_WAIT + CLAIM
    )


def _claim(engine: Engine, alert_id: uuid.UUID, now: datetime) -> Row[Any] | None:
    """The alert, ours for CLAIM; None where another dispatcher was first."""

    def work(connection: Connection) -> Row[Any] | None:
        claim = (
            update(Alert)
            .where(Alert.id == alert_id, _due(now))
            .values(not_before=now + CLAIM, attempts=Alert.attempts + 1)
        )
        columns = (Alert.id, Alert.subject, Alert.channel, Alert.message, Alert.attempts, Alert.created_at)
        return connection.execute(claim.returning(*columns, Alert.traceparent)).first()

    return write(engine, work)


def _settle(engine: Engine, alert: Row[Any], now: datetime) -> None:
    told = update(Alert).where(Alert.id == alert.id).values(state="sent", sent_at=now, not_before=None, last_error=None)
    write(engine, lambda connection: connection.execute(told), repeatable=True)


def _postpone(engine: Engine, alert: Row[Any], failure: NotTold, now: datetime) -> bool:
    """Note why, and when to try again; False where patience has ended. Nothing changes if the claim was lost."""
    reason = replaced_unstorable(str(failure))[:_ERROR_CHARACTERS]
    patient = bool(now - alert.created_at < GIVE_UP_AFTER)
    values: dict[str, Any] = {
        "last_error": reason,
        "not_before": now + BACKOFF.delay(alert.attempts, asked=failure.retry_after),
    }
    if not patient:
        values = {"last_error": reason, "not_before": None, "state": "given_up"}
        _log.error("alert %r was never told, after %d tries: %s", alert.subject, alert.attempts, reason)
    noted = (
        update(Alert)
        .where(Alert.id == alert.id, Alert.state == "pending", Alert.attempts == alert.attempts)
        .values(**values)
    )
    write(engine, lambda connection: connection.execute(noted), repeatable=True)
    return patient


def _fitting(subject: str) -> str:
    """The subject, or its beginning and a digest of the whole where it is too long for the column."""
    if len(subject) <= SUBJECT_CHARACTERS:
        return subject
    return f"{subject[:180]}…{hashlib.sha256(subject.encode()).hexdigest()}"


def _replaced(value: Any) -> Any:
    """What no database can hold is replaced in every text of a message."""
    if isinstance(value, str):
        return replaced_unstorable(value)
    if isinstance(value, Mapping):
        return {str(key): _replaced(item) for key, item in value.items()}
    return [_replaced(item) for item in value] if isinstance(value, list | tuple) else value
