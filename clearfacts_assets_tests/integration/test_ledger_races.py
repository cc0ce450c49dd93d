"""Several runs at once on one ledger, on both databases: each delivery is in one hand, each key stands once."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import UUID, uuid4

from sqlalchemy import event, func, select

from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.tables import Delivery, SourceVersion
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, candidate, candidates
from clearfacts_assets_tests.integration.test_ledger import register


def test_two_runs_never_hold_the_same_delivery(migrated_url: str) -> None:
    """Eight threads of four runs claim the same hundred deliveries, a few at a time."""
    engine = open_engine(migrated_url)
    ids = [answer.delivery.id for answer in register(SqlDeliveryLedger(engine), *candidates(100))]
    taken: list[tuple[UUID, int]] = []
    start = threading.Barrier(8)

    def take(shift: int) -> None:
        ledger = SqlDeliveryLedger(engine)
        start.wait()
        order = ids[shift:] + ids[:shift]
        for index in range(0, 100, 7):
            taken.extend(
                (record.id, record.fence) for record in ledger.claim(uuid4(), order[index : index + 7], 60, TRANSPORT)
            )

    threads = [threading.Thread(target=take, args=(shift * 13,)) for shift in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(taken) == len(set(taken)) == 100
    assert {fence for _, fence in taken} == {1}
    engine.dispose()


def test_two_runs_register_the_same_keys_once(migrated_url: str) -> None:
    engine = open_engine(migrated_url)
    start = threading.Barrier(6)
    found: list[set[UUID]] = []

    def meet(seed: int) -> None:
        ledger = SqlDeliveryLedger(engine)
        some = candidates(60)
        start.wait()
        order = some[seed * 10 :] + some[: seed * 10]
        answers = [answer for index in range(0, 60, 20) for answer in register(ledger, *order[index : index + 20])]
        found.append({answer.delivery.id for answer in answers})

    threads = [threading.Thread(target=meet, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(found) == 6
    assert len(set.union(*found)) == 60
    with reading(engine) as connection:
        assert len(connection.execute(select(Delivery.id)).all()) == 60
    engine.dispose()


def test_two_runs_that_are_told_different_things_of_one_id_both_go_on(migrated_url: str) -> None:
    """One brings back what the id was before; between its look and its lock, another one brings something new."""
    engine, elsewhere = open_engine(migrated_url), open_engine(migrated_url)
    first, second, third = (replace(candidate(f"F-{number}"), invoice_id="E") for number in (1, 2, 3))
    for one in (first, second):
        register(SqlDeliveryLedger(engine), one)
    met: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement and not met:  # SQLite's writers wait for each other before they look
            met.append(statement)
            register(SqlDeliveryLedger(elsewhere), third)

    (answer,) = register(SqlDeliveryLedger(engine), first)
    assert answer.delivery.key.number == "F-1"
    assert bool(met) == (engine.dialect.name == "postgresql")
    with reading(engine) as connection:
        current = select(SourceVersion.delivery_id).where(SourceVersion.source_id == "E", SourceVersion.is_current)
        assert connection.scalars(current).all() == [answer.delivery.id]
        assert connection.scalar(select(func.count()).select_from(Delivery)) == (3 if met else 2)
    engine.dispose()
    elsewhere.dispose()
