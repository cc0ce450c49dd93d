"""What a month of a source came to, for people who look at it: complete or not, what it costs, and when it changed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, select, text

from clearfacts_assets.storage.chargeback.import_tables import CostImportFile, RowChunk
from clearfacts_assets.storage.chargeback.reconciling import Exports, reconcile
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.database import reading
from clearfacts_assets.storage.decimal_sums import sum_of

# Refusals of records that have no cells: the original records do not hold them.
NO_CELLS = ("wrong_cell_count", "repeated_header", "record_too_long", "unterminated_quote", "bad_quotes")


@dataclass(frozen=True, slots=True)
class Completeness:
    """Of one source and month. Everything is counted twice, in two ways that know nothing of each other."""

    records: int  # that the files hold, as they were read
    taken: int  # of those, as charges
    refused: int
    expected: int  # charges that there have to be, by what the files say of this month
    charges: int  # that there are; what reverses a finalized one counts less than nothing
    unexplained: dict[str, Decimal]  # by currency: money that no step from provider to due explains
    invoices: tuple[dict[str, Any], ...]  # whose charges do not add up to what was exported

    @property
    def holds(self) -> bool:
        whole = self.records == self.taken + self.refused and self.expected == self.charges
        return whole and not any(self.unexplained.values()) and not self.invoices


def completeness(engine: Engine, period: str, source: str) -> Completeness:
    """Whether every record of the files that stand behind the month is a charge or refused, to the last digit."""
    with reading(engine) as connection:
        exports = Exports(connection, period)
        taken_back = _taken_back(connection, period, source)
        records, taken, refused = _records(connection, sorted(exports.imports), source)
        expected = exports.rows[source] - exports.rows_twice[source] - taken_back
        charges = _charges(connection, period, source)
    found = [one for one in reconcile(engine, period) if one.source == source]
    off = [] if taken_back else [i for one in found for i in one.invoices if i["difference"].strip("-0.")]
    unexplained = {one.currency: one.unexplained for one in found}
    return Completeness(records, taken, refused, expected, charges, unexplained, tuple(off))


def spending(
    engine: Engine, up_to: str, *, source: str | None = None, due_only: bool = False
) -> list[tuple[str, str, str, str, Decimal]]:
    """(period, service, project, currency, amount) of this month and the twelve before it, without what was rejected;
    with ``due_only`` what is due and nothing else."""
    standing = "IN ('clear', 'approved')" if due_only else "<> 'rejected'"
    with reading(engine) as connection:
        found = connection.execute(
            sql(
                f"SELECT t.period, t.service, a.project_id, t.currency, {sum_of(connection, 't.amount')} "  # noqa: S608
                "FROM charge_totals t JOIN cost_attributions a ON a.digest = t.attribution "
                f"WHERE t.period <= :period AND t.period >= :posted AND t.status {standing} "
                "AND (:source IS NULL OR t.source = :source) "
                "GROUP BY t.period, t.service, a.project_id, t.currency HAVING sum(t.rows) <> 0"
            ),
            {"period": up_to, "posted": f"{int(up_to[:4]) - 1:04d}{up_to[4:]}", "source": source},
        )
        return [(row[0], row[1], row[2], row[3], Decimal(row[4])) for row in found]


def last_changes(engine: Engine) -> dict[str, str]:
    """By period, a text that is another one after every change of what stands in it, and of its statements."""
    query = text(
        "SELECT p.name, p.state, COALESCE(t.last, 0), COALESCE(t.n, 0), COALESCE(s.last, 0) FROM billing_periods p "
        "LEFT JOIN (SELECT period, max(id) AS last, count(*) AS n FROM charge_totals GROUP BY period) t "
        "ON t.period = p.name LEFT JOIN (SELECT s.period AS period, max(e.id) AS last FROM statement_events e "
        "JOIN statements s ON s.id = e.statement_id GROUP BY s.period) s ON s.period = p.name"
    )
    with reading(engine) as connection:
        return {name: " ".join(map(str, said)) for name, *said in connection.execute(query)}


def _taken_back(connection: Connection, period: str, source: str) -> int:
    """Charges that an import replaced which was itself withdrawn; they do not come back by themselves."""
    values = {"period": period, "source": source}
    withdrawn = "SELECT id FROM cost_imports WHERE source = :source AND withdrawn_at IS NOT NULL"
    if connection.execute(sql(f"{withdrawn} LIMIT 1"), values).first() is None:
        return 0
    standing = "SELECT id FROM cost_imports WHERE source = :source AND withdrawn_at IS NULL"
    query = (
        "SELECT count(*) FROM charges WHERE origin_period = :period AND source = :source AND kind <> 'reversal' "  # noqa: S608
        f"AND withdrawn_by IN ({withdrawn}) AND import_id IN ({standing})"
    )
    return int(connection.execute(sql(query), values).scalar_one())


def _records(connection: Connection, imports: list[int], source: str) -> tuple[int, int, int]:
    """Of the files of these imports of the source: records, rows taken and rows refused."""
    chunks = select(RowChunk.import_file, RowChunk.rows).subquery()
    files = select(CostImportFile.id, CostImportFile.rows, CostImportFile.refused).where(
        CostImportFile.import_id.in_(imports or [0]),
        CostImportFile.dataset == "cost_and_usage",
        CostImportFile.import_id.in_(
            text("SELECT id FROM cost_imports WHERE source = :source").bindparams(bindparam("source", source))
        ),
    )
    found = connection.execute(files).all()
    ids = [one.id for one in found] or [0]
    of_chunks = select(chunks.c.rows).where(chunks.c.import_file.in_(ids))
    held = sum(connection.execute(of_chunks).scalars())
    marks = ", ".join(f"'{one}'" for one in NO_CELLS)
    without = connection.execute(
        text(
            f"SELECT count(*) FROM cost_refusals WHERE code IN ({marks}) AND import_file IN :files"  # noqa: S608
        ).bindparams(bindparam("files", ids, expanding=True))
    ).scalar_one()
    return held + int(without), sum(one.rows for one in found), sum(one.refused for one in found)


def _charges(connection: Connection, period: str, source: str) -> int:
    values = {"period": period, "source": source}
    kept = sql(
        "SELECT COALESCE(sum(rows), 0) FROM charge_totals WHERE period = :period AND source = :source "
        "AND kind = 'charge'"
    )
    late = sql(
        "SELECT COALESCE(sum(CASE WHEN kind = 'reversal' THEN -1 ELSE 1 END), 0) FROM charges "
        "WHERE origin_period = :period AND source = :source AND kind <> 'charge' AND withdrawn_by IS NULL"
    )
    return sum(int(connection.execute(one, values).scalar_one()) for one in (kept, late))
