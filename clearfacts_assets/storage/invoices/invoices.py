"""Invoices: one row per job and invoice, what that job saw and did. All work is done a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    Table,
    bindparam,
    select,
    update,
)

from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryResult
from clearfacts_assets.invoices.lifecycle import FINAL, State
from clearfacts_assets.invoices.model import Decision, InvoiceStatus, Report, SourceDocument
from clearfacts_assets.invoices.retrieval import Stored
from clearfacts_assets.storage.bulk import execute_many
from clearfacts_assets.storage.database import insert_by, read, write
from clearfacts_assets.storage.invoices.documents import stored
from clearfacts_assets.storage.invoices.invoice_rows import (
    HEAD,
    VERDICT,
    barrier_of,
    invoice_of,
    new_row,
    newest_of_each,
    replaces,
    verdict_of,
    without_the_answer,
    without_what_is_refused,
)
from clearfacts_assets.storage.invoices.invoice_views import CONTENT_OF, InvoiceViews
from clearfacts_assets.storage.invoices.jobs import FINISHED
from clearfacts_assets.storage.invoices.kept_documents import relying
from clearfacts_assets.storage.invoices.refused_rows import write_rows
from clearfacts_assets.storage.invoices.settled_rows import (
    SETTLES_EARLIER_ROWS,
    followed,
    jobs_behind,
    waiting_elsewhere,
)
from clearfacts_assets.storage.invoices.tables import SHOWN_NOW, Delivery, InvoiceRow, Job, SourceVersion

COPIED_AT_ONCE = 200
TAKEN_AT_ONCE = 200

_rows = cast(Table, InvoiceRow.__table__)
_deliveries = cast(Table, Delivery.__table__)
_shown = cast(Table, SourceVersion.__table__)
_CONTENT = ("ubl_data", "content_sha256", "source_updated_at", "status", "error_message", "delivery_id")


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A row that waits for validation; ``content`` are the bytes that would be delivered."""

    id: UUID
    invoice_id: str
    content: bytes


class InvoiceRepository(InvoiceViews):
    """The ``invoices`` table, for who writes it, with one destination's deliveries."""

    def __init__(self, engine: Engine, destination: str = "clearfacts") -> None:
        super().__init__(engine)
        self._destination = destination

    def store(
        self, job_id: UUID, documents: Sequence[SourceDocument], *, now: datetime, skip_delivered: bool = True
    ) -> Stored:
        """Keep what a source handed over, in one transaction.

        A document with a problem is failed. The same invoice again replaces its row where its content is another one
        and not older, unless the row is on its way already. With ``skip_delivered``, what the ledger knows as
        delivered or waived, and the source still shows under the same id, is a duplicate at once. What a job that is
        over has kept is not kept a second time: it is found there by its hash.
        """
        newest, repeated = newest_of_each(documents)
        if not newest:
            return Stored()
        texts = [(invoice_id, one, stored(one.content)) for invoice_id, one in newest.items()]
        made: dict[str, str] = {}  # of rows that this call has written, should nobody hear of the commit
        incoming = [(invoice_id, one, text, text.sha256) for invoice_id, one, text in texts]

        def work(connection: Connection) -> Stored:
            relying(connection)
            settled = self._settled(connection, set(newest)) if skip_delivered else {}
            known = _content_of(connection, job_id, list(newest))
            kept = set(connection.scalars(_KEPT, {"digests": [sha256 for *_, sha256 in incoming]}))
            counts = {"new": 0, "repeated": repeated, "replaced": 0, "unusable": 0, "delivered_before": 0}
            values = []
            for invoice_id, document, text, sha256 in incoming:
                row = new_row(job_id, document, text, sha256, settled.get((invoice_id, sha256)), now)
                if sha256 in kept:
                    row["ubl_data"] = None
                before = known.get(row["invoice_id"])
                if before is None or replaces(row, before):
                    made[invoice_id] = "new" if before is None else "replaced"
                elif invoice_id not in made:
                    counts["repeated"] += 1
                    continue
                counts[made[invoice_id]] += 1
                counts["unusable"] += row["status"] == InvoiceStatus.FAILED
                counts["delivered_before"] += row["status"] == InvoiceStatus.DUPLICATE
                values.append(row)
            counts["unusable"] += _upsert(connection, values)
            return Stored(**counts)

        return write(self._engine, work, repeatable=True)

    def _settled(
        self, connection: Connection, source_ids: Collection[str]
    ) -> dict[tuple[str, str], tuple[UUID, State]]:
        """What the source showed last under its ids, by id and content, where that is settled for good."""
        asked = {"source_ids": list(source_ids), "destination": self._destination}
        found = connection.execute(_SHOWN_NOW, asked).tuples()
        return {
            (source_id, sha256): (delivery_id, State(state))
            for source_id, sha256, delivery_id, state in found
            if state in FINAL
        }

    def batches_to_validate(self, job_id: UUID, size: int) -> Iterator[list[DocumentRow]]:
        """The job's rows without a decision, in the order of their ids. Rows may be written between two batches."""
        query = select(_rows.c.id, _rows.c.invoice_id, CONTENT_OF.label("content")).where(
            _rows.c.job_id == job_id, _rows.c.status == InvoiceStatus.PENDING, _rows.c.decision.is_(None)
        )
        for batch in self._batches(query, size):
            yield [DocumentRow(row.id, row.invoice_id, row.content.encode("utf-8")) for row in batch if row.content]

    def record_reports(
        self, job_id: UUID, reports: Sequence[tuple[UUID, Report, Mapping[str, Any]]], *, now: datetime
    ) -> int:
        """Keep what validation said. A rejected row is failed with the reason; one on hold is pending with it.

        A row of which the database refuses a value is failed, and says which. Returns how many these were.
        """
        values = [
            {"row": row_id, "job": job_id, **verdict_of(report, as_json, now)} for row_id, report, as_json in reports
        ]
        return self._update_many(_JUDGE, values)

    def batches_to_deliver(
        self,
        job_id: UUID,
        size: int,
        day_of: Callable[[datetime | None], str | None] = lambda moment: None,
        only: Collection[UUID] | None = None,
    ) -> Iterator[list[Candidate]]:
        """The job's rows that are still pending and were not rejected, in the order of their ids.

        ``day_of`` says whose day an invoice is that the source changed at a moment; ``only`` asks for these rows alone.
        """
        names = (
            *("id", "invoice_id", "content_sha256", "source_updated_at", "created_at", "retrieved_at"),
            *("decision", "error_message", "delivery_id"),
        )
        query = select(*(_rows.c[name] for name in (*names, *HEAD)), CONTENT_OF.label("content")).where(
            _rows.c.job_id == job_id,
            _rows.c.status == InvoiceStatus.PENDING,
            _rows.c.decision.in_((Decision.ACCEPT, Decision.HOLD)),
            _rows.c.number.is_not(None),
        )
        if only is not None:
            query = query.where(_rows.c.id.in_(only))
        for batch in self._batches(query, size):
            yield [
                Candidate(
                    row_id=row.id,
                    invoice_id=row.invoice_id,
                    invoice=invoice_of(row),
                    content=row.content.encode("utf-8"),
                    content_sha256=row.content_sha256,
                    updated_at=row.source_updated_at,
                    retrieved_at=row.retrieved_at or row.created_at,
                    day=day_of(row.source_updated_at),
                    barrier=barrier_of(row),
                    delivery_id=row.delivery_id,
                )
                for row in batch
                if row.content
            ]

    def record_results(self, job_id: UUID, results: Sequence[DeliveryResult], *, now: datetime) -> None:
        """Keep what delivery came to. The rows name their delivery already; that again would cost as much as the rest.

        Rows of earlier jobs that waited for the same delivery follow it.
        """
        values = [
            {
                "row": result.row_id,
                "status": result.status,
                "clearfacts_response": result.response or None,
                "error_message": result.message or None,
                "processed_at": None if result.status is InvoiceStatus.PENDING else now,
                "updated_at": now,
            }
            for result in results
        ]
        settling = {result.delivery_id: result for result in results if result.status in SETTLES_EARLIER_ROWS}

        def work(connection: Connection) -> None:
            write_rows(connection, _UPDATE, values, without_the_answer)
            waited = waiting_elsewhere(connection, job_id, settling, now)
            execute_many(connection, _UPDATE, waited)

        write(self._engine, work, repeatable=True)

    def follow_deliveries(self, job_id: UUID, *, now: datetime) -> int:
        """Settle pending rows whose deliveries are settled: what a run could not write any more, or another one found.

        Rows of this job, and of all jobs that are over. Returns how many changed.
        """
        found = read(
            self._engine,
            lambda connection: {behind: followed(connection, behind) for behind in jobs_behind(connection, job_id)},
        )
        for behind, results in found.items():
            self.record_results(behind, results, now=now)
        return sum(len(results) for results in found.values())

    def _batches(self, query: Select[Any], size: int) -> Iterator[Sequence[Row[Any]]]:
        last = ""
        while True:
            page = (query.where(_rows.c.invoice_id > last) if last else query).order_by(_rows.c.invoice_id).limit(size)
            batch = read(self._engine, lambda connection, page=page: connection.execute(page).all())  # type: ignore[misc]
            if not batch:
                return
            last = batch[-1].invoice_id
            yield batch

    def _update_many(self, statement: Any, values: Sequence[Mapping[str, Any]]) -> int:
        if not values:
            return 0
        return write(
            self._engine,
            lambda connection: write_rows(connection, statement, values, without_what_is_refused),
            repeatable=True,
        )


def _content_of(connection: Connection, job_id: UUID, invoice_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    found = connection.execute(_OF_THE_JOB, {"job_id": job_id, "invoice_ids": list(invoice_ids)}).mappings()
    return {row["invoice_id"]: dict(row) for row in found}


def _upsert(connection: Connection, values: Sequence[Mapping[str, Any]]) -> int:
    """How many rows the database refused; they are failed."""
    return write_rows(connection, _insert_or_replace(connection.dialect.name), values, without_what_is_refused)


# Written once: to make a statement costs as much as to execute it for a few rows.
_UPDATE = update(_rows).where(_rows.c.id == bindparam("row"))
_JUDGE = _UPDATE.where(_rows.c.job_id == bindparam("job"), _rows.c.delivery_id.is_(None))


@cache
def _insert_or_replace(dialect: str) -> Any:
    statement = insert_by(dialect, _rows)
    changed = [*_CONTENT, *VERDICT, "processed_at", "updated_at"]
    return statement.on_conflict_do_update(
        index_elements=[_rows.c.job_id, _rows.c.invoice_id],
        set_={name: statement.excluded[name] for name in changed},
    )


# Without the states in the question: SQLite would walk through all that was ever delivered.
_SHOWN_NOW = (
    select(_shown.c.source_id, _deliveries.c.content_sha256, _deliveries.c.id, _deliveries.c.state)
    .join(_deliveries, _deliveries.c.id == _shown.c.delivery_id)
    .where(_shown.c.source_id.in_(bindparam("source_ids", expanding=True)), SHOWN_NOW)
    .where(_shown.c.withdrawn_at.is_(None), _deliveries.c.destination == bindparam("destination"))
)
# Of jobs that are over: one that is under way may yet put a newer document in the place of what it has.
_KEPT = (
    select(_rows.c.content_sha256)
    .join(Job, Job.id == _rows.c.job_id)
    .where(_rows.c.content_sha256.in_(bindparam("digests", expanding=True)), _rows.c.ubl_data.is_not(None))
    .where(Job.status.in_(FINISHED))
)
_OF_THE_JOB = (
    select(_rows.c.invoice_id, *(_rows.c[name] for name in _CONTENT if name != "ubl_data"))
    .where(_rows.c.job_id == bindparam("job_id"), _rows.c.invoice_id.in_(bindparam("invoice_ids", expanding=True)))
    .with_for_update()
)
