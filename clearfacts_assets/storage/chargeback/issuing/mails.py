"""Mails in the database: wanted once, claimed by one, settled by what the server said. Nothing is sent from here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, or_, select, update

from clearfacts_assets.backoff import Backoff
from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.chargeback.statements import mail_lifecycle
from clearfacts_assets.chargeback.statements.mail_lifecycle import MailEvent, MailState
from clearfacts_assets.chargeback.statements.mailing import MailedStatement
from clearfacts_assets.storage.accounts.audit import Actor, record
from clearfacts_assets.storage.chargeback.issuing.mail_rows import (
    Mail,
    MailOptions,
    enqueue,
    happen,
    insert_mail,
    mail_of,
    mail_row,
    mailed,
    statements_of,
    unsent,
)
from clearfacts_assets.storage.chargeback.issuing.tables import (
    InvestigatorDelegate,
    MailAttempt,
    MailRow,
    StatementFile,
    StatementRow,
)
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.chargeback.registry_tables import InvestigatorRow
from clearfacts_assets.storage.database import commit_to_disk, reading

BACKOFF = Backoff(first=5 * 60, longest=4 * 3600)  # of a mail that no server has taken
LEASE = timedelta(minutes=30)  # longer than handing over one mail can take


class MailBox:
    """All mails of statements."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def want(self, period: str, options: MailOptions, *, actor: str, now: datetime) -> list[int]:
        """One mail an investigator with all that stands and was never in a mail. Returns the ids of the new ones.

        Two at once make no two mails of one statement.
        """
        with self._engine.begin() as connection:
            only_writer(connection)
            found = [
                enqueue(connection, email, statements, period, options, actor, now)
                for email, statements in unsent(connection, period_of(period), options).items()
            ]
            if found:
                record(
                    connection, actor=Actor(actor), action="chargeback_mails.wanted",
                    resource_type="chargeback_mails", resource_id=period, now=now, after={"mails": found},
                )  # fmt: skip
            commit_to_disk(connection)
        return found

    def would_send(self, period: str, options: MailOptions) -> dict[str, list[dict[str, Any]]]:
        """Who would get a mail, with which statements."""
        with reading(self._engine) as connection:
            return unsent(connection, period_of(period), options)

    def expire(self, now: datetime) -> int:
        """Mails whose sender has gone while a server may have been taking them: nobody knows. Returns how many."""
        with self._engine.begin() as connection:
            only_writer(connection)
            rows = connection.execute(
                select(MailRow.id).where(MailRow.state == MailState.SENDING.value, MailRow.lease_until < now)
            ).scalars()
            gone = list(rows)
            for id_ in gone:
                happen(
                    connection, id_, MailEvent.LOST, now, "who was sending it ended in the middle", actor="clearfacts"
                )
        return len(gone)

    def due(self, now: datetime, *, test: bool, period: str | None = None) -> list[int]:
        """What may be sent now, oldest first."""
        states = [one.value for one in mail_lifecycle.TO_BE_SENT]
        query = (
            select(MailRow.id)
            .where(
                MailRow.state.in_(states),
                MailRow.test == test,
                or_(MailRow.not_before.is_(None), MailRow.not_before <= now),
            )
            .order_by(MailRow.id)
        )
        if period:
            query = query.where(MailRow.period == period)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def claim(self, id_: int, now: datetime, sha256: str) -> Mail | None:
        """The mail, to be sent by the caller alone; None where another one was first. On disk before a byte leaves."""
        with self._engine.begin() as connection:
            only_writer(connection)
            row = connection.execute(select(MailRow.state).where(MailRow.id == id_)).one_or_none()
            if row is None or MailState(row.state) not in mail_lifecycle.TO_BE_SENT:
                return None
            happen(connection, id_, MailEvent.CLAIMED, now, "", lease_until=now + LEASE, bytes_sha256=sha256)
            connection.execute(update(MailRow).where(MailRow.id == id_).values(attempts=MailRow.attempts + 1))
            mail = mail_of(connection, id_)
            commit_to_disk(connection)
        return mail

    def settle(
        self, id_: int, event: MailEvent, now: datetime, answer: str, *, code: int | None = None, most: int = 12
    ) -> MailState:
        """Write down what came of it. A mail that was not taken waits, each time twice as long, ``most`` times."""
        with self._engine.begin() as connection:
            only_writer(connection)
            if (MailState(mail_row(connection, id_)["state"]), event) not in mail_lifecycle.TRANSITIONS:
                # Its claim has lapsed meanwhile, and it waits for a person: only a yes is proof that comes late.
                return MailState(mail_row(connection, id_)["state"])
            attempts = connection.execute(select(MailRow.attempts).where(MailRow.id == id_)).scalar_one()
            if event is MailEvent.NOT_TAKEN and attempts >= most:
                event, answer = MailEvent.GIVEN_UP, f"after {attempts} tries: {answer}"
            not_before = now + BACKOFF.delay(attempts) if event is MailEvent.NOT_TAKEN else None
            state = happen(connection, id_, event, now, answer, code=code, not_before=not_before, lease_until=None)
            commit_to_disk(connection)
        return state

    def decide(self, id_: int, event: MailEvent, *, actor: str, now: datetime, reason: str = "") -> MailState:
        """A person (or a bounce that was read) says what became of it. Raises NoSuchMail, MailNotAllowed."""
        with self._engine.begin() as connection:
            only_writer(connection)
            state = happen(connection, id_, event, now, reason, actor=actor)
            _audit(connection, event.value, id_, actor, now, reason)
        return state

    def resend(
        self, id_: int, *, wish: str, actor: str, now: datetime, recipient: str | None, options: MailOptions
    ) -> int:
        """Send the same statements once more, knowingly, as another mail; the same wish makes one. Returns its id."""
        with self._engine.begin() as connection:
            only_writer(connection)
            row = mail_row(connection, id_)
            there = connection.execute(select(MailRow.id).where(MailRow.wish == wish)).scalar_one_or_none()
            if there is not None:
                return int(there)
            happen(connection, id_, MailEvent.RESENT, now, f"wish {wish}", actor=actor)
            to = recipient or row["recipient"]
            # The same Message-ID, so that a mailbox that has it already can know the second one.
            values = {name: row[name] for name in ("period", "name", "copies", "subject", "test", "message_id")}
            ids = statements_of(connection, id_)
            new = insert_mail(
                connection, values | {"recipient": to, "wish": wish, "repeats": id_}, ids, options, actor, now
            )
            _audit(connection, "resent", id_, actor, now, f"as mail {new}")
        return new

    def get(self, id_: int) -> dict[str, Any]:
        """One mail with all that happened to it. Raises NoSuchMail."""
        with reading(self._engine) as connection:
            row = mail_row(connection, id_)
            query = select(MailAttempt.__table__).where(MailAttempt.mail_id == id_).order_by(MailAttempt.id)
            attempts = [dict(one) for one in connection.execute(query).mappings()]
            numbers = select(StatementRow.number, StatementRow.version).where(
                StatementRow.id.in_(statements_of(connection, id_))
            )
            return row | {"statements": [f"{n} v{v}" for n, v in connection.execute(numbers)], "history": attempts}

    def mail(self, id_: int) -> Mail:
        with reading(self._engine) as connection:
            return mail_of(connection, id_)

    def by_message_id(self, message_id: str) -> int | None:
        with reading(self._engine) as connection:
            query = select(MailRow.id).where(MailRow.message_id == message_id).order_by(MailRow.id.desc()).limit(1)
            return connection.execute(query).scalar_one_or_none()

    def list(
        self,
        *,
        period: str | None = None,
        states: Sequence[str] = (),
        recipient: str | None = None,
        after: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Sequence[dict[str, Any]]:
        """In this order, from the one after the id; 0 is the beginning."""
        query = select(MailRow.__table__).order_by(MailRow.id.desc() if newest_first else MailRow.id).limit(limit)
        if after:
            query = query.where(MailRow.id < after if newest_first else MailRow.id > after)
        if period:
            query = query.where(MailRow.period == period)
        if states:
            query = query.where(MailRow.state.in_(list(states)))
        if recipient:
            query = query.where(MailRow.recipient == recipient)
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def statements(self, ids: Sequence[int]) -> Sequence[MailedStatement]:
        """With their PDFs."""
        table = StatementRow.__table__
        query = (
            select(table, StatementFile.pdf)
            .join(StatementFile, StatementFile.statement_id == table.c.id)
            .where(table.c.id.in_(list(ids)))
            .order_by(table.c.number)
        )
        with reading(self._engine) as connection:
            return [mailed(dict(row)) for row in connection.execute(query).mappings()]

    def names(self) -> dict[str, str]:
        """Of the investigators, by address."""
        with reading(self._engine) as connection:
            return {
                row.email: row.name for row in connection.execute(select(InvestigatorRow.email, InvestigatorRow.name))
            }

    def delegates(self) -> Sequence[tuple[str, str]]:
        """(investigator, who gets copies), by investigator."""
        query = select(InvestigatorDelegate.email, InvestigatorDelegate.delegate)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(InvestigatorDelegate.email, InvestigatorDelegate.delegate))
            return [(row.email, row.delegate) for row in found]

    def delegate(self, email: str, delegate: str, *, add: bool, actor: str, now: datetime) -> None:
        """Let somebody get copies of an investigator's mails, or no more."""
        same = (InvestigatorDelegate.email == email) & (InvestigatorDelegate.delegate == delegate)
        with self._engine.begin() as connection:
            only_writer(connection)
            there = connection.execute(select(InvestigatorDelegate.email).where(same)).first()
            if add and not there:
                connection.execute(insert(InvestigatorDelegate).values(email=email, delegate=delegate))
            elif not add:
                connection.execute(InvestigatorDelegate.__table__.delete().where(same))  # type: ignore[attr-defined]
            what = "delegate_added" if add else "delegate_removed"
            record(
                connection, actor=Actor(actor), action=f"chargeback_investigators.{what}",
                resource_type="chargeback_investigators", resource_id=email, now=now, after={"delegate": delegate},
            )  # fmt: skip


def _audit(connection: Connection, what: str, id_: int, actor: str, now: datetime, reason: str) -> None:
    record(
        connection,
        actor=Actor(actor),
        action=f"chargeback_mail.{what}",
        resource_type="chargeback_mail",
        resource_id=str(id_),
        now=now,
        reason=reason or None,
    )
