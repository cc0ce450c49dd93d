"""Keys that were stored while a party was written in several ways: each becomes one, and nothing is sent by that."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, Table, insert, inspect, select
from sqlalchemy import column as sa_column
from sqlalchemy import table as sa_table

from clearfacts_assets.invoices.delivery.addressing import file_name
from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryRecord
from clearfacts_assets.invoices.lifecycle import State
from clearfacts_assets.invoices.model import Invoice
from clearfacts_assets.invoices.validation.head import read_invoice
from clearfacts_assets.invoices.validation.ubl import parse
from clearfacts_assets.storage import migrate
from clearfacts_assets.storage.accounts.tables import ConfigurationEntry
from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.tables import Delivery, InvoiceRow, Job
from clearfacts_assets.storage.operations.tables import Alert
from clearfacts_assets_tests.fixtures.databases import PostgresServer, database_name

BEFORE = "0006"
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
OPERATOR = Path(__file__).parents[1] / "fixtures" / "operator"
WITH_VAT, WITHOUT_VAT, FRENCH = "04a-buyer-with-vat.xml", "04b-buyer-without-vat.xml", "foreign-siren.xml"
OLD_PARTY = ("name", "vat_id", "legal_id", "endpoint")  # what was stored of one

# What two keys of one invoice were before, oldest first, and what they are then.
PAIRS = [
    (("ready", "ready"), ("held", "held")),
    (("ready", "delivered"), ("held", "delivered")),
    (("waiting", "parked"), ("held", "parked")),
    (("sending", "ready"), ("sending", "held")),
    (("unknown", "waiting"), ("unknown", "held")),
    (("delivered", "unknown"), ("delivered", "parked")),
    (("unknown", "unknown"), ("parked", "parked")),
    (("waived", "ready"), ("waived", "held")),
    (("rejected", "ready"), ("rejected", "ready")),
    (("delivered", "delivered"), ("delivered", "delivered")),
]
# As a receiver was stored, and the form that it gets.
RECEIVERS = [
    ("0999000228", "BE0999000228"),
    ("0208:0999000228", "BE0999000228"),
    ("BE999000228", "BE0999000228"),
    ("0002:999000228", "SIREN:999000228"),
    ("DE123456789", "DE123456789"),
    ("CHE107787577", "CH:UID:107787577"),
    ("0240:12X", "EAS-0240:12X"),
    ("PROEFBEDRIJF", "NAME:PROEFBEDRIJF"),
    ("HRB12345", "ID:HRB12345"),
]

_deliveries, _rows, _jobs = (cast(Table, table.__table__) for table in (Delivery, InvoiceRow, Job))


class Old:
    """A database of before, filled by hand as the program of then did it."""

    def __init__(self, url: str) -> None:
        self.url, self._minutes = url, count()
        self._columns: dict[str, set[str]] = {}  # of a table, until the database goes up
        self.engine: Engine = open_engine(url)
        self.job_id = uuid4()
        times = {"created_at": NOW, "updated_at": NOW}
        self._add(_jobs, {"id": self.job_id, "job_type": "scheduled", "status": "completed", "metadata": {}, **times})

    def _add(self, table: Table, *rows: dict[str, Any]) -> None:
        """Rows as they were then: with the columns that the table had, and what the program of then put into them."""
        with self.engine.begin() as connection:
            if table.name not in self._columns:
                self._columns[table.name] = {one["name"] for one in inspect(connection).get_columns(table.name)}
            columns = [column for column in table.c if column.name in self._columns[table.name]]
            defaults = {one.name: one.default.arg for one in columns if one.default and one.default.is_scalar}
            of_then = sa_table(table.name, *(sa_column(one.name, one.type) for one in columns))
            connection.execute(insert(of_then), [defaults | row for row in rows])

    def delivery(
        self, receiver: str, state: str = "ready", *, supplier: str = "BE0999000129", number: str = "F-1", **more: Any
    ) -> UUID:
        at = NOW + timedelta(minutes=next(self._minutes))
        row = {
            "id": uuid4(),
            "key_digest": digest_of_then(receiver, supplier, number),
            "destination": "clearfacts",
            "receiver": receiver,
            "supplier": supplier,
            "document_type": "invoice",
            "number": number,
            "issue_year": 2026,
            "content_sha256": "0" * 64,
            "state": state,
            "created_at": at,
            "updated_at": at,
            "delivered_at": at if state == "delivered" else None,
            "run_id": uuid4() if state == "sending" else None,
            "lease_until": at if state == "sending" else None,
            "fence": 0 if state in ("ready", "held") else 1,
        }
        self._add(_deliveries, row | more)
        return row["id"]  # type: ignore[return-value]

    def seen(self, delivery_id: UUID, name: str, *, document: bool = True) -> None:
        """The invoice row of a delivery, with what was kept of its parties then."""
        invoice = read(name)
        parties = {
            role: {field: value for field, value in asdict(party).items() if field in OLD_PARTY}
            for role, party in (("supplier", invoice.supplier), ("customer", invoice.customer))
        }
        row = {
            "id": uuid4(),
            "job_id": self.job_id,
            "invoice_id": str(uuid4()),
            "status": "pending",
            "decision": "accept",
            "ubl_data": (OPERATOR / name).read_text() if document else None,
            "report": {"type_code": invoice.type_code},
            "delivery_id": delivery_id,
            "document_type": "invoice",
            "number": invoice.number,
            "issue_date": invoice.issue_date,
            "parties": parties,
            "created_at": NOW,
            "updated_at": NOW,
        }
        self._add(_rows, row)

    def upgraded(self, **options: Any) -> dict[UUID, DeliveryRecord]:
        migrate.upgrade(self.url, **options)
        self._columns.clear()
        return self.now()

    def now(self) -> dict[UUID, DeliveryRecord]:
        with reading(self.engine) as connection:
            ids = list(connection.scalars(select(_deliveries.c.id)))
        return SqlDeliveryLedger(self.engine).states(ids)

    def alerts(self) -> list[Any]:
        with reading(self.engine) as connection:
            return list(connection.execute(select(Alert.__table__)))

    def digests(self) -> dict[UUID, tuple[str, int]]:
        with reading(self.engine) as connection:
            found = connection.execute(select(_deliveries.c.id, _deliveries.c.key_digest, _deliveries.c.revision))
            return {row.id: (row.key_digest, row.revision) for row in found}


def digest_of_then(receiver: str, supplier: str, number: str) -> str:
    return hashlib.sha256(
        "\x1f".join(["clearfacts", receiver, supplier, "invoice", number, "2026"]).encode()
    ).hexdigest()


def read(name: str) -> Invoice:
    return read_invoice(parse((OPERATOR / name).read_bytes()).root)


def candidate_of(name: str) -> Candidate:
    content = (OPERATOR / name).read_bytes()
    return Candidate(uuid4(), f"erp-{name}", read(name), content, hashlib.sha256(content).hexdigest())


@pytest.fixture(scope="module")
def file_of_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("before") / "clearfacts.db"
    migrate.upgrade(f"sqlite:///{file}", BEFORE)
    return file


@pytest.fixture(scope="module")
def template_of_before(postgres_server: PostgresServer) -> str:
    url = postgres_server.fresh()
    migrate.upgrade(url, BEFORE)
    return database_name(url)


@pytest.fixture
def url_of_before(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if database_kind == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('file_of_before'), tmp_path / 'clearfacts.db')}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.fresh(request.getfixturevalue("template_of_before"))
    yield url
    server.drop(url)


@pytest.fixture
def old(url_of_before: str) -> Iterator[Old]:
    found = Old(url_of_before)
    yield found
    found.engine.dispose()


def pair(old: Old, first: str, second: str, number: str = "OP-2026-0401") -> tuple[UUID, UUID]:
    """The same invoice twice, as 04a and 04b were stored; oldest first."""
    one = old.delivery("BE0999000228", first, number=number)
    other = old.delivery("0999000228", second, number=number)
    old.seen(one, WITH_VAT)
    old.seen(other, WITHOUT_VAT)
    return one, other


@dataclass(frozen=True)
class Mended:
    """All cases of PAIRS and RECEIVERS in one database, each under a number of its own, which went up once, then down
    and up again."""

    pairs: dict[tuple[str, str], tuple[UUID, UUID]]
    alone: dict[str, UUID]
    found: dict[UUID, DeliveryRecord]
    again: dict[UUID, DeliveryRecord]

    @classmethod
    def of(cls, old: Old) -> Mended:
        pairs = {before: pair(old, *before, number=f"P-{number}") for number, (before, _) in enumerate(PAIRS)}
        alone = {one: old.delivery(one, "parked", number=f"A-{number}") for number, (one, _) in enumerate(RECEIVERS)}
        found = old.upgraded()
        migrate.downgrade(old.url, BEFORE)
        return cls(pairs, alone, found, old.upgraded())


@pytest.fixture(scope="module")
def _mended() -> dict[str, Mended]:
    """By the kind of database."""
    return {}


@pytest.fixture
def mended(_mended: dict[str, Mended], database_kind: str, request: pytest.FixtureRequest) -> Mended:
    """Made for the first test of a kind: a migration takes longer than anything else here."""
    if database_kind not in _mended:
        _mended[database_kind] = Mended.of(request.getfixturevalue("old"))
    return _mended[database_kind]


def test_two_keys_of_one_invoice_become_one_and_the_one_that_did_not_leave_is_held(old: Old) -> None:
    one, other = pair(old, "delivered", "ready")
    found = old.upgraded()
    assert found[one].key.digest == found[other].key.digest == old.digests()[one][0]
    assert {record.key.receiver for record in found.values()} == {"BE0999000228"}
    assert [(found[id_].revision, found[id_].state) for id_ in (one, other)] == [(1, State.DELIVERED), (2, State.HELD)]
    assert f"revision 1 (delivered, {one})" in (found[other].reason or "")
    assert found[other].held_for is None
    # What comes again under either spelling finds this history and makes no key of its own.
    answers = SqlDeliveryLedger(old.engine).register(
        uuid4(), "clearfacts", [candidate_of(WITH_VAT), candidate_of(WITHOUT_VAT)]
    )
    assert {answer.delivery.key.digest for answer in answers} == {found[one].key.digest}
    assert {answer.delivery.state for answer in answers} == {State.HELD}
    assert [answer.delivery.revision for answer in answers] == [3, 4]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_nothing_leaves_by_itself_beside_what_may_have_arrived(
    mended: Mended, before: tuple[str, str], after: tuple[str, str]
) -> None:
    ids = mended.pairs[before]
    assert tuple(mended.found[id_].state for id_ in ids) == after
    assert [mended.found[id_].revision for id_ in ids] == [1, 2]


def test_what_has_left_is_still_found_under_the_key_and_the_name_it_left_with(old: Old) -> None:
    _, other = pair(old, "rejected", "unknown")
    alone = old.delivery("0999000228", "unknown", number="f 7", generation=2)
    same = old.delivery("BE0999000228", "unknown", number="F-9")
    found = old.upgraded()
    old_digests = [digest_of_then("0999000228", "BE0999000129", number) for number in ("OP-2026-0401", "f 7")]
    assert found[other].idempotency_key == f"{old_digests[0]}-r1g1"
    assert found[other].revision == 2
    assert file_name(found[other]) == f"OP-2026-0401-{old_digests[0][:16]}.xml"
    assert found[alone].idempotency_key == f"{old_digests[1]}-r1g2"
    assert file_name(found[alone]) == f"f-7-{old_digests[1][:16]}.xml"
    assert (found[same].wire_key, found[same].idempotency_key) == (None, f"{found[same].key.digest}-r1g1")
    keys = [record.idempotency_key for record in found.values()]
    assert len(set(keys)) == len(keys)


def test_a_document_tells_what_was_not_stored_of_its_parties(old: Old) -> None:
    """A SIREN whose scheme was dropped: only the document says that it is no Belgian company's number."""
    french = old.delivery("999000228", "parked", number="FR-1")
    old.seen(french, FRENCH)
    found = old.upgraded()
    assert found[french].key.receiver == "SIREN:999000228"
    answer = SqlDeliveryLedger(old.engine).register(uuid4(), "clearfacts", [candidate_of(FRENCH)])[0]
    assert answer.delivery.key.digest == found[french].key.digest
    with reading(old.engine) as connection:
        parties = connection.execute(select(_rows.c.parties)).scalar_one()
    assert parties["customer"]["legal_scheme"] == "0002"
    assert parties["customer"]["country"] == "FR"


@pytest.mark.parametrize(("receiver", "form"), RECEIVERS)
def test_a_key_without_a_row_is_read_as_it_stands(mended: Mended, receiver: str, form: str) -> None:
    delivery = mended.alone[receiver]
    assert mended.found[delivery].key.receiver == form
    assert mended.again[delivery].key.receiver == form


def test_a_row_without_its_document_is_read_from_its_parties(old: Old) -> None:
    delivery = old.delivery("0999000228", "delivered", number="OP-2026-0401")
    old.seen(delivery, WITHOUT_VAT, document=False)
    assert old.upgraded()[delivery].key.receiver == "BE0999000228"


def test_more_than_a_batch_becomes_one_and_is_told_once_by_its_first_numbers(old: Old) -> None:
    for number in range(23):
        old.delivery("BE0999000228", "delivered", number=f"D-{number:02}")
    for number in range(600):
        old.delivery("0999000228", "ready", number=f"D-{number:02}")
    found = old.upgraded(alert_channel="#billing")
    assert sum(record.state is State.HELD for record in found.values()) == 23
    assert sum(record.state is State.READY for record in found.values()) == 577
    (alert,) = old.alerts()
    assert (alert.subject, alert.channel, alert.state) == ("keys-became-one:0008", "#billing", "pending")
    assert alert.message["text"].startswith("23 invoices were kept as several")
    lines = alert.message["blocks"][2]["text"]["text"].splitlines()
    assert len(lines) == 21
    assert lines[-1] == "• and 3 more"
    assert all("revision 1 delivered, revision 2 held" in line for line in lines[:20])


def test_nothing_is_told_where_nothing_became_one(old: Old) -> None:
    delivery = old.delivery("0999000228", "ready")
    assert old.upgraded()[delivery].state is State.READY
    assert old.alerts() == []


def test_the_channel_is_the_one_that_the_running_system_was_told(old: Old) -> None:
    pair(old, "delivered", "ready")
    entry = {"id": uuid4(), "key": "slack.channel", "value": '"#elsewhere"', "created_at": NOW, "updated_at": NOW}
    old._add(cast(Table, ConfigurationEntry.__table__), entry)
    old.upgraded(alert_channel="#billing")
    assert old.alerts()[0].channel == "#elsewhere"


def test_down_gives_the_former_digests_back_and_up_again_tells_nothing_twice(old: Old) -> None:
    pair(old, "delivered", "ready")
    old.delivery("0999000228", "unknown", number="f 7")
    before = old.digests()
    after = old.upgraded()
    changed = old.digests()
    migrate.downgrade(old.url, BEFORE)
    assert old.digests() == before
    again = old.upgraded()
    assert old.digests() == changed
    assert {id_: record.state for id_, record in again.items()} == {id_: record.state for id_, record in after.items()}
    assert len(old.alerts()) == 1


def test_an_invoice_of_type_381_becomes_the_credit_note_that_it_is(old: Old) -> None:
    delivery = old.delivery("BE0999000228", "delivered", number="OP-2026-0401")
    old.seen(delivery, WITH_VAT)
    with old.engine.begin() as connection:
        connection.execute(_rows.update().values(report={"type_code": "381"}))
    assert old.upgraded()[delivery].key.document_type == "credit_note"
