"""What was taken from a folder before, as the rows of all jobs tell it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, and_, func, not_, or_, select

from clearfacts_assets.invoices.ledger.model import HELD_FOR_RECEIVER
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.model import InvoiceStatus
from clearfacts_assets.storage.database import insert_into, reading, write
from clearfacts_assets.storage.invoices.tables import Delivery, FinishedFile, InvoiceRow, Job

_AT_ONCE = 500  # ids in one question
_HAS_AN_END = InvoiceRow.status != InvoiceStatus.PENDING
_FOR_A_RUN = (State.READY, State.WAITING)  # what another run has to take again to send it


class TakenFiles:
    """The memory of a source of files: nobody else remembers them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def since(self) -> datetime | None:
        """When the first job of this installation was made; None before it."""
        with reading(self._engine) as connection:
            moment: datetime | None = connection.scalar(select(func.min(Job.created_at)))
        return moment

    def taken(self, versions: Sequence[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
        """Those of the versions, each a source's id and its time there, with which some job has come to an end.

        What a job left for another run, because it died, the other side was away or its receiver is not known yet, is
        not among them.
        """
        waits_for_its_receiver = and_(Delivery.state == State.HELD, Delivery.held_for == HELD_FOR_RECEIVER)
        no_run_is_needed = and_(Delivery.state.not_in(_FOR_A_RUN), not_(waits_for_its_receiver))
        return self._among(versions, or_(_HAS_AN_END, no_run_is_needed))

    def settled(self, versions: Sequence[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
        """Those of the versions of which a job's row has its end."""
        return self._among(versions, _HAS_AN_END)

    def finished(self, marks: Collection[str]) -> set[str]:
        """Those of the marks that are kept."""
        asked, found = sorted(marks), set[str]()
        with reading(self._engine) as connection:
            for first in range(0, len(asked), _AT_ONCE):
                some = FinishedFile.mark.in_(asked[first : first + _AT_ONCE])
                found.update(connection.scalars(select(FinishedFile.mark).where(some)))
        return found

    def finish(self, marks: Collection[str]) -> None:
        """Keep the marks; those that are kept already stay as they are."""
        rows = [{"mark": mark, "finished_at": datetime.now(UTC)} for mark in sorted(marks)]
        if rows:
            write(
                self._engine,
                lambda connection: connection.execute(
                    insert_into(connection, FinishedFile.__table__).on_conflict_do_nothing(), rows
                ),
                repeatable=True,
            )

    def _among(self, versions: Sequence[tuple[str, datetime]], so: ColumnElement[bool]) -> set[tuple[str, datetime]]:
        return set(versions).intersection(self._rows(sorted({invoice_id for invoice_id, _ in versions}), so))

    def _rows(self, ids: Sequence[str], so: ColumnElement[bool]) -> Iterator[tuple[str, datetime | None]]:
        rows = select(InvoiceRow.invoice_id, InvoiceRow.source_updated_at).outerjoin(
            Delivery, Delivery.id == InvoiceRow.delivery_id
        )
        with reading(self._engine) as connection:
            for first in range(0, len(ids), _AT_ONCE):
                some = InvoiceRow.invoice_id.in_(ids[first : first + _AT_ONCE])
                for row in connection.execute(rows.where(some, so)):
                    yield row.invoice_id, row.source_updated_at
