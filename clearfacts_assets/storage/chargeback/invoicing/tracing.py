"""Where the cents of a statement come from, and where they went: rows of exports, and journals."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from clearfacts_assets.chargeback.journals.model import from_units
from clearfacts_assets.money import plain
from clearfacts_assets.storage.chargeback.import_tables import CostImportFile
from clearfacts_assets.storage.chargeback.issuing.tables import StatementCharge
from clearfacts_assets.storage.chargeback.journals.tables import JournalBatch, JournalStatement
from clearfacts_assets.storage.chargeback.tables import Charge
from clearfacts_assets.storage.database import reading


def rows_of(engine: Engine, statement: int) -> list[dict[str, Any]]:
    """Each charge's share on the version (id) of a statement, with the file and line that it comes from. What belongs
    to a bill and to no charge comes from no file."""
    share, charge, file = StatementCharge.__table__, Charge.__table__, CostImportFile.__table__
    query = (
        select(
            file.c.name.label("file"),
            charge.c.line.label("file_line"),
            *(share.c[name] for name in ("charge_id", "share", "line", "fund", "service", "exact", "cents")),
            *(charge.c[name] for name in ("source", "resource_id", "amount")),
        )
        .outerjoin(charge, charge.c.id == share.c.charge_id)
        .outerjoin(file, file.c.id == charge.c.import_file)
        .where(share.c.statement_id == statement)
        .order_by(share.c.line, share.c.id)
    )
    found = []
    with reading(engine) as connection:
        for row in connection.execute(query.select_from(share)).mappings():
            told = {name: row[name] for name in ("charge_id", "share", "fund", "service", "source", "resource_id")}
            amounts = {name: plain(row[name]) for name in ("exact", "cents")}
            charged = plain(row["amount"]) if row["amount"] is not None else None
            found.append(
                {"file": row["file"], "line": row["file_line"], "statement_line": row["line"], **told, **amounts,
                 "charge_amount": charged}
            )  # fmt: skip
    return found


def journals_of(engine: Engine, number: str) -> list[dict[str, Any]]:
    """The batches that book, or take out, a version of the statement."""
    booked, batch = JournalStatement.__table__, JournalBatch.__table__
    query = (
        select(batch.c.number, batch.c.state, batch.c.kind, batch.c.currency, booked.c.version, booked.c.units,
               booked.c.sign)
        .join(batch, batch.c.id == booked.c.batch_id)
        .where(booked.c.number == number)
        .order_by(batch.c.id, booked.c.sign)
    )  # fmt: skip
    with reading(engine) as connection:
        return [
            {
                **{name: row[name] for name in ("number", "state", "kind", "version")},
                "amount": plain(from_units(row["units"] * row["sign"], row["currency"])),
            }
            for row in connection.execute(query).mappings()
        ]
