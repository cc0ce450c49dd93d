"""What has to hold of a period before statements are made of it: it is closed, and rules were applied to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine

from clearfacts_assets.chargeback.lifecycle import NotAllowed, State
from clearfacts_assets.chargeback.model import ChargebackError, period_of
from clearfacts_assets.chargeback.statements.model import StatementKind
from clearfacts_assets.storage.chargeback.issuing import due_charges
from clearfacts_assets.storage.chargeback.issuing.issue_plan import Issuance
from clearfacts_assets.storage.chargeback.ledger import only_writer, state_of
from clearfacts_assets.storage.chargeback.rates.rule_runs import run_in
from clearfacts_assets.storage.database import reading


class NothingIssued(ChargebackError):
    """Nothing can be issued for this period now."""


@contextmanager
def ledger_of(engine: Engine, period: str, kind: StatementKind, issuance: Issuance) -> Iterator[Connection]:
    """One state of the ledger. In a rehearsal it has the lines that the rules would write, and none is kept."""
    of_lines = kind in (StatementKind.INVESTIGATOR, StatementKind.SPONSOR)
    if not (issuance.dry_run and of_lines):
        with reading(engine) as connection:
            yield connection
        return
    with engine.connect() as connection, connection.begin() as transaction:
        only_writer(connection)
        ruled(connection, period, issuance.actor, issuance.now)
        yield connection
        transaction.rollback()


def require(engine: Engine, period: str) -> None:
    with reading(engine) as connection:
        may_issue(period, state_of(connection, period_of(period)))


def ruled(connection: Connection, period: str, actor: str, now: datetime) -> None:
    """Raises NothingIssued for a period that was finalized without lines."""
    state = state_of(connection, period_of(period))
    may_issue(period, state)
    run_in(connection, period, actor=actor, now=now)
    without = state is State.FINALIZED and not due_charges.with_lines(connection, period, period)
    if without and any(amount for *_, amount in due_charges.history(connection, period, [period])):
        raise NothingIssued(
            "{period} was finalized before rules were applied to it: it has no ledger lines", period=period
        )


def may_issue(period: str, state: State | None) -> None:
    if state is None:
        raise NothingIssued("nothing is known of {period}: clearfacts chargeback periods list", period=period)
    if state is State.OPEN:
        raise NotAllowed(
            "{period} is open, and its charges may still change: clearfacts chargeback periods close {period}",
            period=period,
        )
