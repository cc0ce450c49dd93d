"""What a run of delivery is told: whose documents, what it asks and tells while it works, and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from clearfacts_assets.invoices.delivery.addressing import PURCHASE
from clearfacts_assets.invoices.delivery.receivers import Admit, everything
from clearfacts_assets.invoices.ledger.model import Candidate, Force


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """Whose documents are delivered, and how they are to be filed.

    ``dead_run_ids`` are runs known to be dead; what they were sending becomes unknown. ``admit`` says what may go on of
    each batch. ``more`` are further batches, which are taken on only while the run sends.
    """

    run_id: UUID
    invoice_type: str = PURCHASE
    correlation_id: str = ""
    force: Force | None = None
    dead_run_ids: Collection[UUID] = ()
    admit: Admit = everything
    more: Iterable[Sequence[Candidate]] = ()


@dataclass(frozen=True, slots=True)
class Signals:
    """What a run asks and tells while it works.

    ``should_stop`` ends it early: calls under way are finished and written down, the rest keeps its place. The threads
    that call the destination ask it too. ``on_stop`` hears why a run ends before its time, whoever ended it.
    ``reached`` hears the names of the points at which a crash would matter; faults are injected there.
    """

    should_stop: Callable[[], bool] = lambda: False
    on_stop: Callable[[str], None] = lambda reason: None
    reached: Callable[[str], None] = lambda point: None


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that only grow, and waiting."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
