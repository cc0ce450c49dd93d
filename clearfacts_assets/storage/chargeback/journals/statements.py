"""What journals and invoices read of statements: the one place where they do. Only what is stored of an issued one
counts, its printed cents above all; how it came to be is not asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, Engine, TextClause, select, text

from clearfacts_assets.chargeback.journals.model import Part
from clearfacts_assets.chargeback.model import ChargebackError
from clearfacts_assets.money import EXACT, exponent, plain
from clearfacts_assets.storage.chargeback.issuing.tables import StatementRow
from clearfacts_assets.storage.database import reading

AT_ONCE = 50  # statements whose parts are read together: SQLite sorts so many in memory
_PLACES = 4  # of the finest currency
INVESTIGATOR = "investigator"


class StatementBent(ChargebackError):
    """The stored cents of a statement are not what it says is due."""


@dataclass(frozen=True, slots=True)
class StatementHead:
    """A version of an investigator's statement, as it was issued."""

    id: int
    number: str
    version: int
    state: str
    period: str
    subject: str
    project: str
    currency: str
    due: Decimal
    issued_on: str
    replaces: int | None


_COLUMNS = tuple(StatementHead.__dataclass_fields__)


def heads(
    connection: Connection,
    *,
    period: str | None = None,
    ids: Iterable[int] | None = None,
    states: Sequence[str] = ("issued",),
    currency: str | None = None,
) -> list[StatementHead]:
    """Investigators' statements, by id."""
    table = StatementRow.__table__
    query = select(*(table.c[name] for name in _COLUMNS)).where(table.c.kind == INVESTIGATOR, table.c.version > 0)
    if states:
        query = query.where(table.c.state.in_(states))
    if period is not None:
        query = query.where(table.c.period == period)
    if currency is not None:
        query = query.where(table.c.currency == currency)
    if ids is None:
        return [StatementHead(*row) for row in connection.execute(query.order_by(table.c.id))]
    wanted, found = sorted(set(ids)), []
    for start in range(0, len(wanted), AT_ONCE):
        some = query.where(table.c.id.in_(wanted[start : start + AT_ONCE]))
        found += [StatementHead(*row) for row in connection.execute(some.order_by(table.c.id))]
    return found


def currencies(engine: Engine) -> list[str]:
    """In which investigators' statements were ever issued."""
    table = StatementRow.__table__
    query = select(table.c.currency).where(table.c.kind == INVESTIGATOR, table.c.version > 0).distinct()
    with reading(engine) as connection:
        return sorted(one for one in connection.execute(query).scalars() if one)


def parts_of(connection: Connection, statements: Sequence[StatementHead]) -> Iterator[Part]:
    """What they say, by statement, fund, service, category and source. Raises StatementBent where a statement's cents
    do not add up to what is due by it."""
    by_id = {one.id: one for one in statements}
    ids, sources = sorted(by_id), _Sources(connection)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        sums = dict.fromkeys(some, 0)
        for id_, fund, service, origin, charges, units in _rows(connection, some, by_id, sources):
            head = by_id[id_]
            sums[id_] += units
            names = (head.number, head.version, head.period, head.currency, head.subject, head.project)
            source, account, category = origin
            yield Part(*names, fund, service, source, account, charges, _amount(units, head.currency), category)
        for id_, total in sums.items():
            if total != int(by_id[id_].due.scaleb(_PLACES)):
                one = by_id[id_]
                raise StatementBent(
                    "{number}, version {version}: its lines come to {total}, and it says {due} {currency}",
                    number=one.number,
                    version=one.version,
                    total=plain(Decimal(total).scaleb(-_PLACES)),
                    due=plain(one.due),
                    currency=one.currency,
                )


_Origin = tuple[str, str, str]  # source, account code as tags or the registry say it, category of the service
_Row = tuple[int, str, str, _Origin, int, int]  # statement, fund, service, whence, charges, units
_NO_ORIGIN: _Origin = ("", "", "")


class _Sources:
    """Which services come from one source, with one account code and one category, in a whole month: nearly all of them
    do, and then no charge has to be looked up for that."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._months: dict[str, dict[str, _Origin | None]] = {}

    def of(self, period: str, service: str) -> _Origin | None:
        """Whence it comes; None where that is several, or not known."""
        known = self._months.get(period)
        if known is None:
            known = self._months[period] = {}
            query = text(
                "SELECT DISTINCT t.service, t.source, a.account_code, t.service_category FROM charge_totals t "
                "JOIN cost_attributions a ON a.digest = t.attribution WHERE t.period = :period"
            )
            for name, *origin in self._connection.execute(query, {"period": period}):
                known[name] = None if name in known else (origin[0], origin[1], origin[2])
        return known.get(service)


def _rows(
    connection: Connection, ids: Sequence[int], by_id: Mapping[int, StatementHead], sources: _Sources
) -> Iterator[_Row]:
    """Those of which the month knows the source, then those of which each charge has to be asked."""
    found: list[_Row] = []
    unclear: set[int] = set()
    for id_, fund, service, of_charges, charges, units in connection.execute(_by_service(connection, ids)).all():
        known = sources.of(by_id[id_].period, service) if of_charges else _NO_ORIGIN
        if known is None:
            unclear.add(id_)
        else:
            found.append((id_, fund, service, known, charges, int(units)))
    yield from (row for row in found if row[0] not in unclear)
    if unclear:
        for id_, fund, service, source, account, category, charges, units in connection.execute(
            _by_charge(connection, sorted(unclear))
        ).all():
            yield id_, fund, service, (source or "", account or "", category or ""), charges, int(units)


def _amount(ten_thousandths: int, currency: str) -> Decimal:
    """With the currency's places. Raises decimal.Inexact for what is no whole number of its smallest units."""
    return Decimal(ten_thousandths).scaleb(-_PLACES).quantize(Decimal(1).scaleb(-exponent(currency)), context=EXACT)


def _units(connection: Connection) -> str:
    """Cents are added as whole numbers (of ten thousandths, which every currency has room in): exact on both databases,
    and many times as quick as adding texts. A cell that is finer than that, or no number, makes another sum than the
    statement's."""
    if connection.dialect.name == "postgresql":
        return "trunc(sc.cents * 10000)"
    places = "CASE instr(sc.cents, '.') WHEN 0 THEN 0 ELSE length(sc.cents) - instr(sc.cents, '.') END"
    digits = "replace(sc.cents, '.', '')"
    # Nearly all currencies have two places, and those are the quickest to read.
    return (
        f"CASE substr(sc.cents, -3, 1) WHEN '.' THEN CAST({digits} AS INTEGER) * 100 "
        f"ELSE CAST({digits} || substr('0000', 1 + {places}) AS INTEGER) END"
    )


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(str(int(one)) for one in ids)


def _by_service(connection: Connection, ids: Sequence[int]) -> TextClause:
    """A row a statement, fund and service; what belongs to no charge (its id is 0) apart."""
    return text(
        "SELECT sc.statement_id, sc.fund, sc.service, sc.charge_id <> 0 AS of_charges, count(*) AS charges, "  # noqa: S608
        f"sum({_units(connection)}) AS units FROM statement_charges sc WHERE sc.statement_id IN ({_listed(ids)}) "
        "GROUP BY sc.statement_id, sc.fund, sc.service, sc.charge_id <> 0 ORDER BY sc.statement_id"
    )


def _by_charge(connection: Connection, ids: Sequence[int]) -> TextClause:
    """The same, and by source, category and payer, for which each charge is looked up."""
    return text(
        "SELECT g.statement_id, g.fund, g.service, g.source, a.account_code, g.category, g.charges, g.units "  # noqa: S608
        "FROM (SELECT sc.statement_id, sc.fund, sc.service, c.source, c.service_category AS category, c.attribution, "
        f"count(*) AS charges, sum({_units(connection)}) AS units "
        "FROM statement_charges sc LEFT JOIN charges c ON c.id = sc.charge_id "
        f"WHERE sc.statement_id IN ({_listed(ids)}) "
        "GROUP BY sc.statement_id, sc.fund, sc.service, c.source, c.service_category, c.attribution) g "
        "LEFT JOIN cost_attributions a ON a.digest = g.attribution ORDER BY g.statement_id"
    )
