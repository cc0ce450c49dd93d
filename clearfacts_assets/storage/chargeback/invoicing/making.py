"""Making invoices: of each external customer's statements, once for each version; what no longer stands is taken back.

A document is kept whole with its row. Its file is written beside its place before the commit and put into it
afterwards; one that is missing is written again from what was kept (laying_out.py).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, select

from clearfacts_assets.chargeback.attribution.registry import normal_name
from clearfacts_assets.chargeback.invoicing.deciding import due_documents
from clearfacts_assets.chargeback.invoicing.model import (
    Asked,
    CannotInvoice,
    Document,
    DocumentKind,
    InvoiceLine,
    Party,
    Terms,
    document_of,
)
from clearfacts_assets.chargeback.invoicing.ubl import Attachment, written
from clearfacts_assets.chargeback.journals.calendar import last_day
from clearfacts_assets.chargeback.journals.files import Prepared, prepare
from clearfacts_assets.chargeback.model import period_of
from clearfacts_assets.chargeback.rates.book import Institutions
from clearfacts_assets.customer_settings import CustomerSettings, PartySettings
from clearfacts_assets.money import EXACT, plain
from clearfacts_assets.storage.accounts.audit import Actor, named, record
from clearfacts_assets.storage.chargeback.invoicing.laying_out import lay_out, stamp
from clearfacts_assets.storage.chargeback.invoicing.tables import StatementInvoice
from clearfacts_assets.storage.chargeback.issuing.tables import StatementFile, StatementRow
from clearfacts_assets.storage.chargeback.journals.statements import StatementHead, heads, parts_of
from clearfacts_assets.storage.chargeback.ledger import only_writer
from clearfacts_assets.storage.chargeback.rates.rules import load_book
from clearfacts_assets.storage.chargeback.registry import load_registry
from clearfacts_assets.storage.database import commit_to_disk, reading

_NEEDED = ("name", "vat", "endpoint", "city", "country")
_SAME = ("number", "kind", "statement", "version", "period", "currency", "customer", "issued", "due_by", "vat_category",
         "vat_percent", "vat_reason", "names", "names_issued")  # fmt: skip


@dataclass(slots=True)
class Made:
    """What came of a month: new documents, and statements of which none can be made, each with the reason."""

    period: str
    documents: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    internal: int = 0  # statements that never get an invoice
    dry_run: bool = False

    def as_result(self) -> dict[str, Any]:
        problems = [{"statement": number, "problem": problem} for number, problem in self.problems]
        told = {name: getattr(self, name) for name in ("period", "documents", "unchanged", "internal", "dry_run")}
        return told | {"problems": problems}


class InvoiceMaker:
    """Makes them as the settings say."""

    def __init__(self, engine: Engine, said: CustomerSettings, folder: Path) -> None:
        self._engine, self._said, self._folder = engine, said, folder
        self._parties = {normal_name(name): party for name, party in said.parties.items()}

    def make(self, period: str, *, actor: str | Actor, now: datetime, dry_run: bool = False) -> Made:
        """All that is missing for a month's statements. Twice makes nothing anew. Raises BadPeriod, OSError."""
        found = Made(period_of(period), dry_run=dry_run)
        files: list[Prepared] = []
        try:
            with self._engine.begin() as connection:
                only_writer(connection)
                month = _Month(connection, found, files, actor, now)
                for number, customer, stands in self._external(connection, period, found):
                    self._of_statement(month, number, customer, stands)
                if dry_run:
                    connection.rollback()
                else:
                    commit_to_disk(connection)
        except BaseException:
            _drop(files)
            raise
        if dry_run:
            _drop(files)
        else:
            for one in files:
                stamp(one.temporary, now)
                one.put()
            lay_out(self._engine, self._folder, period)
        return found

    def _external(
        self, connection: Connection, period: str, found: Made
    ) -> list[tuple[str, str, StatementHead | None]]:
        """Statement numbers of external customers with the customer and the version that stands now, if any."""
        book, institutions = load_book(connection), Institutions(load_registry(connection))
        day = last_day(period).isoformat()
        classes = set(self._said.rate_classes) - {"internal"}
        stands = {one.number: one for one in heads(connection, period=period)}
        sent = connection.execute(
            select(StatementInvoice.statement, StatementInvoice.customer).where(StatementInvoice.period == period)
        ).all()
        customers = {row.statement: row.customer for row in sent}
        for one in stands.values():
            institution = institutions.of(one.subject)
            if book.rate_class(institution, one.subject, day) in classes:
                customers.setdefault(one.number, institution or one.subject.rpartition("@")[2])
            elif one.number not in customers:
                found.internal += 1
        return [(number, customers[number], stands.get(number)) for number in sorted(customers)]

    def _of_statement(self, month: _Month, number: str, customer: str, stands: StatementHead | None) -> None:
        sent = sent_documents(month.connection, number)
        today = month.now.date()
        try:
            party, supplier = self._party(number, customer), self._supplier()
            terms = Terms(customer, party, today, today + timedelta(days=self._said.payment_days))
            wanted = document_of(asked_by(month.connection, stands), terms) if stands else None
        except CannotInvoice as problem:
            month.found.problems.append((number, str(problem)))
            return
        due = due_documents([one for _, one in sent], wanted, today)
        month.found.unchanged += not due
        for document in due:
            row = month.keep(document, _statement_of(sent, document, stands), supplier, party)
            if not month.found.dry_run:
                month.files.append(prepare(self._folder / row["period"] / row["file_name"], [_xml(row).decode()]))

    def _party(self, number: str, customer: str) -> Party:
        said = self._parties.get(normal_name(customer))
        if said is None:
            raise CannotInvoice("{number}: customers.parties has no {customer!r}", number=number, customer=customer)
        return _complete(said, f"customers.parties of {customer!r}")

    def _supplier(self) -> Party:
        return _complete(self._said.supplier or PartySettings(), "customers.supplier")


def _drop(files: Sequence[Prepared]) -> None:
    for one in files:
        one.drop()


def _complete(said: PartySettings, where: str) -> Party:
    values = said.model_dump()
    missing = [name for name in _NEEDED if not values[name]]
    if missing:
        raise CannotInvoice("{where} lacks {missing}", where=where, missing=", ".join(missing))
    return Party(**values)


def _statement_of(
    sent: Sequence[tuple[int, Document]], document: Document, stands: StatementHead | None
) -> int:  # fmt: skip
    """The id of the version that the document is about."""
    if document.names:
        return next(id_ for id_, one in sent if one.number == document.names)
    assert stands is not None  # noqa: S101 - only a version that stands is asked for
    return stands.id


def asked_by(connection: Connection, stands: StatementHead) -> Asked:
    """What the version of a statement asks for: a line a service and fund."""
    sums: dict[tuple[str, str], Decimal] = {}
    for part in parts_of(connection, [stands]):
        key = (part.service or "Services", part.fund_org)
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), part.amount)
    lines = tuple(
        InvoiceLine(service, f"{stands.project} {fund}".strip(), amount)
        for (service, fund), amount in sorted(sums.items())
        if amount
    )
    return Asked(stands.number, stands.version, stands.period, stands.currency, lines)


@dataclass(frozen=True, slots=True)
class _Month:
    """A month under way: its transaction, what came of it so far, files that are not in their places yet."""

    connection: Connection
    found: Made
    files: list[Prepared]
    actor: str | Actor
    now: datetime

    def keep(self, document: Document, statement: int, supplier: Party, party: Party) -> dict[str, Any]:
        """The document as a row, of the version (id) of a statement."""
        connection = self.connection
        pdf = connection.execute(select(StatementFile.pdf).where(StatementFile.statement_id == statement)).scalar_one()
        name = connection.execute(select(StatementRow.file_name).where(StatementRow.id == statement)).scalar_one()
        content = written(document, supplier, party, Attachment(name, bytes(pdf)))
        values = {
            **{name: getattr(document, name) for name in _SAME},
            "kind": document.kind.value,
            "statement_id": statement,
            "lines": [[one.name, one.note, plain(one.amount)] for one in document.lines],
            **{name: getattr(document, name) for name in ("net", "vat", "gross")},
            "sha256": hashlib.sha256(content).hexdigest(),
            "file_name": f"{document.number}.xml",
            "document": zlib.compress(content, 6),
            "created_by": named(self.actor).name,
            "created_at": self.now,
        }
        connection.execute(insert(StatementInvoice).values(values))
        record(
            connection,
            actor=named(self.actor),
            action=f"chargeback_statement.{document.kind.value}_made",
            resource_type="chargeback_statement",
            resource_id=document.statement,
            now=self.now,
            after={"number": document.number, "gross": plain(document.gross), "names": document.names},
        )
        self.found.documents.append(shown(values))
        return values


def sent_documents(connection: Connection, statement: str) -> list[tuple[int, Document]]:
    """What was made of a statement's versions, oldest first, each with the id of its version."""
    table = StatementInvoice.__table__
    rows = connection.execute(select(table).where(table.c.statement == statement).order_by(table.c.id)).mappings()
    return [(row["statement_id"], _document_of(row)) for row in rows]


def _document_of(row: Any) -> Document:
    lines = tuple(InvoiceLine(name, note, Decimal(amount)) for name, note, amount in row["lines"])
    same = {name: row[name] for name in _SAME}
    return Document(**same | {"kind": DocumentKind(row["kind"])}, lines=lines)


def _xml(row: Any) -> bytes:
    return zlib.decompress(row["document"])


def shown(row: Any) -> dict[str, Any]:
    """One document as JSON shows it."""
    names = ("number", "kind", "statement", "version", "period", "currency", "customer", "names", "sha256", "file_name")
    amounts = {name: plain(row[name]) for name in ("net", "vat", "gross")}
    return {name: row[name] for name in names} | amounts | {"issued": row["issued"].isoformat()}


class StatementInvoiceRepository:
    """Reads what was made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, period: str | None = None, statement: str | None = None) -> Sequence[dict[str, Any]]:
        """Oldest first."""
        table = StatementInvoice.__table__
        query = select(*(one for one in table.c if one.name != "document")).order_by(table.c.id)
        if period is not None:
            query = query.where(table.c.period == period)
        if statement is not None:
            query = query.where(table.c.statement == statement)
        with reading(self._engine) as connection:
            return [shown(row) for row in connection.execute(query).mappings()]

    def contents(self, period: str) -> Sequence[tuple[str, bytes]]:
        """(number, XML) of the month's documents."""
        table = StatementInvoice.__table__
        query = select(table.c.number, table.c.document).where(table.c.period == period).order_by(table.c.id)
        with reading(self._engine) as connection:
            return [(row.number, zlib.decompress(row.document)) for row in connection.execute(query)]
