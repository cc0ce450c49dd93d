"""What is due in a period, as statements take it: the one place where statements read the rules' ledger lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, text

from clearfacts_assets.chargeback.model import Attribution, Kind
from clearfacts_assets.chargeback.rates.model import NO_CHARGE, OTHERS, Line, LineKind, RuleStep
from clearfacts_assets.chargeback.statements.effects import CARRIED_FORWARD, SHARED_COST, named_effect
from clearfacts_assets.chargeback.statements.model import DueCharge, Relief, StatementKind, Subject
from clearfacts_assets.chargeback.statements.trends import months_before
from clearfacts_assets.money import EXACT, exact_sum
from clearfacts_assets.storage.chargeback.rates.lines import LINE, attribution_of, line_of
from clearfacts_assets.storage.chargeback.sql_text import sql
from clearfacts_assets.storage.decimal_sums import sum_of

_DUE = "('clear', 'approved')"
_LIVE = "l.withdrawn_run IS NULL"
_PAYER = "a.pi_email, a.project_id, a.fund_org, a.cost_center"
_FACTS = (
    *("id", "service", "resource_id", "resource_name", "category", "kind", "origin_period", "source"),
    *("charge_start", "charge_end", "quantity", "unit", "corrects"),
)
_CREDITS = frozenset({LineKind.CREDIT, LineKind.PREPAYMENT, LineKind.CARRIED})
_PIECE = 500  # charges or rules that one query asks for


@dataclass(frozen=True, slots=True)
class Payers:
    """A subject, and the attributions in the ledger that are its."""

    subject: Subject
    attributions: tuple[bytes, ...]


def payers(connection: Connection, period: str, *, by_fund: bool = False) -> list[Payers]:
    """Everybody who has lines in the period, each project and currency apart, in a fixed order. A split charge is with
    the funds that pay its shares."""
    found: dict[Subject, set[bytes]] = {}
    rows = connection.execute(
        sql(
            f"SELECT DISTINCT {_PAYER}, l.currency, l.attribution FROM ledger_lines l "  # noqa: S608
            f"JOIN cost_attributions a ON a.digest = l.attribution WHERE l.period = :period AND {_LIVE}"
        ),
        {"period": period},
    )
    for row in rows:
        fund = row.fund_org if by_fund else ""
        subject = Subject(StatementKind.INVESTIGATOR, period, row.pi_email, row.project_id, fund, row.currency)
        found.setdefault(subject, set()).add(bytes(row.attribution))
    return [Payers(subject, tuple(sorted(digests))) for subject, digests in sorted(found.items())]


def charges_of(connection: Connection, whose: Payers) -> list[DueCharge]:
    """What is due from them, by charge and share: what it costs, and what others pay of it, as the rules wrote it.

    Of whoever has no name only what is due counts: what a pool took from them wholly is nobody's bill.
    """
    lines = _lines(connection, whose)
    facts = _facts(connection, sorted({one.charge_id for one in lines if one.charge_id != NO_CHARGE}))
    whole = _of_wholes(connection, whose.subject.period, sorted({one.charge_id for one in lines if one.share}))
    named = [one.rule_version for one in (*lines, *(each for of in whole.values() for each in of))]
    rules = _rules(connection, sorted({one for one in named if one is not None}))
    known = {digest: attribution_of(connection, digest) for digest in whose.attributions}
    found = []
    for (charge, _, digest), group in groupby(lines, key=lambda one: (one.charge_id, one.share, one.attribution)):
        parts = list(group)
        if not _was_split(parts):
            before = whole.get(charge, []) if parts[0].share else []
            found.append(_charge(parts, known[digest], facts.get(charge), whose.subject.period, rules, before))
    nobody = not whose.subject.name and not any(one.due for one in found)
    return [] if nobody else found


def _lines(connection: Connection, whose: Payers) -> list[Line]:
    query = text(
        f"SELECT {', '.join('l.' + name for name in LINE)} FROM ledger_lines l "  # noqa: S608
        f"WHERE l.period = :period AND {_LIVE} AND l.currency = :currency AND l.attribution IN :attributions "
        "ORDER BY l.charge_id, l.share, l.attribution, l.position"
    ).bindparams(bindparam("attributions", expanding=True))
    subject = whose.subject
    values = {"period": subject.period, "currency": subject.currency, "attributions": list(whose.attributions)}
    return [line_of(row) for row in connection.execute(query, values)]


def _facts(connection: Connection, ids: Sequence[int]) -> dict[int, Any]:
    query = text(f"SELECT {', '.join(_FACTS)} FROM charges WHERE id IN :ids").bindparams(  # noqa: S608
        bindparam("ids", expanding=True)
    )
    pieces = (ids[start : start + _PIECE] for start in range(0, len(ids), _PIECE))
    return {row.id: row for piece in pieces for row in connection.execute(query, {"ids": list(piece)})}


def _rules(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """How rules are called in all texts: kind, name, version."""
    query = text(
        "SELECT v.id, r.kind, r.name, v.number FROM billing_rule_versions v JOIN billing_rules r ON r.id = v.rule_id "
        "WHERE v.id IN :ids"
    ).bindparams(bindparam("ids", expanding=True))
    pieces = (ids[start : start + _PIECE] for start in range(0, len(ids), _PIECE))
    rows = [row for piece in pieces for row in connection.execute(query, {"ids": list(piece)})]
    return {row.id: f"{row.kind} {row.name} v{row.number}" for row in rows}


def _was_split(lines: Sequence[Line]) -> bool:
    """The charge as a whole, which went to its shares: it comes to nothing, and the shares are what is due."""
    whole = lines[0].charge_id != NO_CHARGE and lines[0].share == 0
    return whole and any(one.step is RuleStep.SPLIT for one in lines)


def _of_wholes(connection: Connection, period: str, ids: Sequence[int]) -> dict[int, list[Line]]:
    """What rates and markups did to charges before they were split: their shares carry it on, by the split's name."""
    query = text(
        f"SELECT {', '.join(LINE)} FROM ledger_lines l WHERE l.period = :period AND {_LIVE} AND l.charge_id IN :ids "  # noqa: S608
        "AND l.share = 0 AND l.rule_version IS NOT NULL AND l.step IN ('price', 'markup') "
        "ORDER BY l.charge_id, l.position"
    ).bindparams(bindparam("ids", expanding=True))
    pieces = (ids[start : start + _PIECE] for start in range(0, len(ids), _PIECE))
    rows = (row for piece in pieces for row in connection.execute(query, {"period": period, "ids": list(piece)}))
    lines = [line_of(row) for row in rows if row.charge_id != NO_CHARGE]
    return {charge: list(group) for charge, group in groupby(lines, key=lambda one: one.charge_id)}


def _charge(
    lines: Sequence[Line],
    to: Attribution,
    row: Any,
    period: str,
    rules: Mapping[int, str],
    before: Sequence[Line],
) -> DueCharge:
    """One share. What others pay is its reliefs, all else is what it costs; without a row it is of the whole bill."""
    paid = [one for one in lines if one.kind in OTHERS or one.kind is LineKind.CARRIED]
    if row is None:  # what comes from a pool or an earlier month is a cost, what goes on to a later one is a relief
        paid = [one for one in paid if one.amount < 0]
    cost = [one for one in lines if one not in paid]
    listed = exact_sum(one.amount for one in cost if one.kind is LineKind.LIST or row is None)
    charged = exact_sum(one.amount for one in cost)
    said = _of_charge(row) if row is not None else _of_bill(lines[0], period)
    return DueCharge(
        charge_id=lines[0].charge_id,
        share=lines[0].share,
        fund=to.fund_org,
        cost_center=to.cost_center,
        listed=listed,
        charged=charged,
        subsidies=tuple(_relief(one, rules) for one in paid if one.kind not in _CREDITS),
        credits=tuple(_relief(one, rules) for one in paid if one.kind in _CREDITS),
        rounding=exact_sum(one.amount for one in cost if one.kind is LineKind.ROUNDING),
        effects=(*_effects([one._replace(amount=Decimal(0)) for one in before], rules), *_effects(cost, rules)),
        pi_email=to.pi_email,
        project=to.project_id,
        **said,
    )


def _relief(line: Line, rules: Mapping[int, str]) -> Relief:
    rule = rules.get(line.rule_version or 0, "")
    payer = "" if line.kind is LineKind.POOL else line.payer
    return Relief(named_effect(line.kind, rule, line.note, payer), payer, line.amount, rule)


def _effects(cost: Sequence[Line], rules: Mapping[int, str]) -> tuple[Relief, ...]:
    """What rules made of the price, a rule at a time: they are in the amount already."""
    found: dict[tuple[str, str], Decimal] = {}
    for one in cost:
        if one.rule_version is not None:
            rule = rules[one.rule_version]
            kind = LineKind.MARKUP if one.step is RuleStep.MARKUP else LineKind.LIST
            key = (rule, named_effect(one.kind if one.kind is LineKind.POOL else kind, rule, "", ""))
            found[key] = EXACT.add(found.get(key, Decimal(0)), one.amount)
    return tuple(Relief(label, "", amount, rule) for (rule, label), amount in found.items())


def _of_charge(row: Any) -> dict[str, Any]:
    names = ("service", "resource_id", "resource_name", "category", "kind", "origin_period", "source", "unit")
    times = {"start": row.charge_start, "end": row.charge_end, "quantity": row.quantity or ""}
    return {name: getattr(row, name) for name in names} | times | {"corrects": row.corrects}


def _of_bill(line: Line, period: str) -> dict[str, Any]:
    """What belongs to the bill as a whole: a part of a pool, or an amount that is carried between months."""
    service = SHARED_COST if line.kind is LineKind.POOL else CARRIED_FORWARD
    away = line.kind is LineKind.CARRIED and line.amount < 0
    name = ("To a later month, " if away else "") + line.note
    times = {"start": f"{period}-01T00:00:00Z", "end": "", "quantity": ""}
    about = {"service": service, "resource_id": "", "resource_name": name[:1].upper() + name[1:], "unit": ""}
    return about | times | {"category": "Usage", "kind": Kind.CHARGE.value, "origin_period": period, "source": ""}


def all_charges(connection: Connection, period: str) -> Iterator[DueCharge]:
    """Everything that is due in the period, by payer."""
    for one in payers(connection, period):
        yield from charges_of(connection, one)


def mark(connection: Connection, period: str) -> str:
    """Another text whenever what is due in the period may have changed."""
    span = {"period": period, "posted": period if "-" in period else f"{period}-12"}
    between = "WHERE period >= :period AND period <= :posted"
    charges = connection.execute(sql(f"SELECT count(*), max(id) FROM charge_totals {between}"), span).one()  # noqa: S608
    lines = connection.execute(sql(f"SELECT max(id) FROM ledger_runs {between}"), span).scalar_one()  # noqa: S608
    return f"{charges[0]}.{charges[1]}.{lines or ''}"


def with_lines(connection: Connection, first: str, last: str) -> list[str]:
    """The months of this span in which rules were applied. Of the others, charges as they were billed are due."""
    rows = connection.execute(
        sql("SELECT DISTINCT period FROM ledger_runs WHERE period >= :first AND period <= :last"),
        {"first": first, "last": last},
    )
    return sorted(rows.scalars())


def history(
    connection: Connection, period: str, months: Sequence[str] | None = None
) -> list[tuple[str, str, str, str, str, Decimal]]:
    """(investigator, project, currency, month, service, due) of the months up to this one."""
    months = list(months or months_before(period))
    ruled = with_lines(connection, months[0], months[-1])
    span = {"first": months[0], "last": months[-1], "ruled": ruled or [""]}
    who, service = "a.pi_email, a.project_id", f"COALESCE(c.service, CASE l.kind WHEN 'pool' THEN '{SHARED_COST}' "
    service += f"ELSE '{CARRIED_FORWARD}' END)"
    of_lines = text(
        f"SELECT {who}, l.currency, l.period, {service} AS service, {sum_of(connection, 'l.amount')} AS due "  # noqa: S608
        "FROM ledger_lines l JOIN cost_attributions a ON a.digest = l.attribution "
        f"LEFT JOIN charges c ON c.id = l.charge_id WHERE l.period IN :ruled AND {_LIVE} "
        f"GROUP BY {who}, l.currency, l.period, {service}"
    )
    of_charges = text(
        f"SELECT {who}, t.currency, t.period, t.service, {sum_of(connection, 't.amount')} AS due "  # noqa: S608
        "FROM charge_totals t JOIN cost_attributions a ON a.digest = t.attribution "
        f"WHERE t.period >= :first AND t.period <= :last AND t.period NOT IN :ruled AND t.status IN {_DUE} "
        f"GROUP BY {who}, t.currency, t.period, t.service"
    )
    found = []
    for query in (of_lines, of_charges):
        rows = connection.execute(query.bindparams(bindparam("ruled", expanding=True)), span)
        found += [(row[0], row[1], row[2], row[3], row[4], Decimal(row[5])) for row in rows]
    return found


def charged_to_funds(connection: Connection, period: str) -> dict[tuple[str, str], Decimal]:
    """(fund, currency) -> all that was ever due from it, up to and with this period."""
    ruled = with_lines(connection, "", period)
    of_lines = text(
        f"SELECT a.fund_org, l.currency, {sum_of(connection, 'l.amount')} FROM ledger_lines l "  # noqa: S608
        "JOIN cost_attributions a ON a.digest = l.attribution "
        f"WHERE l.period IN :ruled AND {_LIVE} GROUP BY a.fund_org, l.currency"
    )
    of_charges = text(
        f"SELECT a.fund_org, t.currency, {sum_of(connection, 't.amount')} FROM charge_totals t "  # noqa: S608
        "JOIN cost_attributions a ON a.digest = t.attribution "
        f"WHERE t.period <= :period AND t.period NOT IN :ruled AND t.status IN {_DUE} GROUP BY a.fund_org, t.currency"
    )
    found: dict[tuple[str, str], Decimal] = {}
    for query in (of_lines, of_charges):
        bound = query.bindparams(bindparam("ruled", expanding=True))
        for fund, currency, amount in connection.execute(bound, {"period": period, "ruled": ruled or [""]}):
            found[fund, currency] = EXACT.add(found.get((fund, currency), Decimal(0)), Decimal(amount))
    return found
