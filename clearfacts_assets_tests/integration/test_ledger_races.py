"""Several runs at once on one ledger, on both databases: each delivery is in one hand, each key stands once."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

from sqlalchemy import select

from clearfacts_assets.storage.database import open_engine, reading
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.tables import Delivery
from clearfacts_assets_tests.fixtures.submissions import TRANSPORT, candidates
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
        thread.join(60)
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
        thread.join(60)
    assert len(found) == 6
    assert len(set.union(*found)) == 60
    with reading(engine) as connection:
        assert len(connection.execute(select(Delivery.id)).all()) == 60
    engine.dispose()
