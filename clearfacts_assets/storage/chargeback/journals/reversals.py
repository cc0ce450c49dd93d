"""Taking back a batch that has left, by its exact negative."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from clearfacts_assets.chargeback.journals.lifecycle import BatchEvent
from clearfacts_assets.chargeback.journals.model import BatchKind
from clearfacts_assets.chargeback.journals.posting import reversal_of
from clearfacts_assets.storage.chargeback.journals.batches import Asked, Batches, PlannedBatch
from clearfacts_assets.storage.chargeback.journals.rows import journal_of_row, move
from clearfacts_assets.storage.chargeback.journals.standing import may_be_reversed


def taken_back(connection: Connection, batches: Batches, row: dict[str, Any], asked: Asked) -> PlannedBatch:
    """The reversal of the batch (``row``), which is reversed from now on. Raises BatchNotAllowed."""
    may_be_reversed(connection, row)
    header = batches.header(
        connection, row["period"], row["currency"], BatchKind.REVERSAL, asked, reverses=row["number"]
    )
    of = journal_of_row(connection, row)
    move(connection, row, BatchEvent.REVERSED, actor=asked.actor, now=asked.now, reason=asked.reason)
    return PlannedBatch(reversal_of(header, of.lines, of.parts), reverses=row["id"])
