"""What is printed on an investigator's statement, as data: the template draws it and decides nothing.

docs/statements.md describes each variable. Every amount is text that is ready to be printed; numbers beside it are only
for the lengths of bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from clearfacts_assets.chargeback.model import Kind
from clearfacts_assets.chargeback.statements.effects import notes_of, rule_rows
from clearfacts_assets.chargeback.statements.formatting import (
    breakable,
    day,
    harmless,
    money,
    month,
    quantity,
    shortened,
    span,
)
from clearfacts_assets.chargeback.statements.framing import (
    About,
    FundFacts,
    Identity,
    Organisation,
    Shown,
    frame,
    ladder,
)
from clearfacts_assets.chargeback.statements.grouping import PrintedLine
from clearfacts_assets.chargeback.statements.model import Cents, DueCharge, Subject, total
from clearfacts_assets.chargeback.statements.trends import columns, months_before
from clearfacts_assets.money import EXACT, exact_sum

BASES = {
    "billed": "billed cost (what the provider invoices)",
    "effective": "effective cost (what was used)",
    "contracted": "contracted cost",
    "list": "list cost",
}
NO_FUND = "No fund"
WARN_FROM = 80  # percent of a budget


def remembered(lines: Sequence[PrintedLine]) -> dict[str, Any]:
    """What a later version compares itself with."""
    by: dict[str, Decimal] = {}
    for line in lines:
        key = f"{line.fund or NO_FUND} · {line.service}"
        by[key] = EXACT.add(by.get(key, Decimal(0)), line.cents.due)
    return {name: format(amount, "f") for name, amount in sorted(by.items())}


def investigators_statement(
    subject: Subject, lines: Sequence[PrintedLine], who: Organisation, identity: Identity, about: About
) -> dict[str, Any]:
    """All variables of ``investigator.typ``."""
    currency, sums = subject.currency, total(line.cents for line in lines)
    shown = Shown(currency)
    person = shortened(harmless(about.name) or harmless(subject.name))
    project = shortened(harmless(subject.project) or "No project")
    facts = [
        ("Investigator", person),
        ("Project", project),
        ("Address", harmless(subject.name)),
        ("Billing period", month(subject.period)),
        ("Statement", f"{identity.number}, {identity.version_text}"),
        ("Issued", day(identity.issued)),
        ("Objections until", day(identity.dispute_by)),
        ("Cost basis", _basis(lines, about.bases)),
    ]
    if about.institution:
        facts.insert(3, ("Institution", harmless(about.institution)))
    if subject.fund:
        facts.insert(2, ("Fund", harmless(subject.fund)))
    if who.contact:
        facts.append(("Questions", who.contact))
    return {
        **frame(subject, who, identity, f"Statement of charges, {month(subject.period)}", f"{person}, {project}"),
        "heading": "Statement of charges",
        "subheading": f"{month(subject.period)} · {breakable(project)}",
        "facts": [{"label": label, "value": breakable(value)} for label, value in facts],
        "figure": _figure(sums.due, shown, identity),
        "notice": _notice(identity, currency, sums.due),
        "warnings": [one for fund in about.funds.values() for one in warnings(fund, currency, about.today)],
        "summary": ladder(sums, shown),
        "by-service": by_service(lines, shown),
        "by-service-alt": f"Bars of what is due for each service, in {currency}: "
        + ", ".join(f"{one['label']} {one['shown']}" for one in by_service(lines, shown)),
        "trend": columns(about.history, months_before(subject.period), currency, from_first=True),
        **_changes(identity.replaces, lines, shown),
        "rules": rule_rows(lines, shown),
        "funds": _funds(about, lines, shown),
        "sections": [_section(fund, list(group), about, shown) for fund, group in groupby(lines, lambda one: one.fund)],
        "notes": [*_notes(lines, subject, who), *who.notes],
        "attachment": {
            "name": "lines.csv",
            "description": f"Every charge of statement {identity.number} with exact amounts",
        },
    }


def _figure(due: Decimal, shown: Shown, identity: Identity) -> dict[str, str]:
    if due < 0:
        return {"label": "Credit", "amount": shown(due), "note": "in your favour; nothing is to be paid"}
    if identity.state == "proposed":
        note = f"accepted unless you object by {day(identity.dispute_by)}"
    elif due:
        note = "charged to the funds below; nothing has to be transferred"
    else:
        note = "nothing is to be paid"
    return {"label": "Amount due", "amount": shown(due), "note": note}


def _notice(identity: Identity, currency: str, due: Decimal) -> str:
    if not identity.replaces:
        return ""
    before = Decimal(str(identity.replaces["due"]))
    difference = EXACT.subtract(due, before)
    return (
        f"This is version {identity.version} of statement {identity.number}. It replaces version "
        f"{identity.replaces['version']}, which said {money(before, currency)} {currency}: the difference is "
        f"{money(difference, currency)} {currency}."
    )


def _basis(lines: Sequence[PrintedLine], bases: Mapping[str, str]) -> str:
    """One basis, or which source has which."""
    found = {one.source: bases.get(one.source, "billed") for line in lines for one in line.charges if one.source}
    kinds = sorted(set(found.values()))
    if len(kinds) <= 1:
        return BASES[kinds[0]] if kinds else "–"
    return "; ".join(f"{source}: {BASES[basis]}" for source, basis in sorted(found.items()))


def by_service(lines: Sequence[PrintedLine], shown: Shown, most: int = 7) -> list[dict[str, Any]]:
    """What is due for each service, the dearest first; beyond a few the rest is one."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        name = shortened(harmless(line.service) or "No service", 40)
        sums[name] = EXACT.add(sums.get(name, Decimal(0)), line.cents.due)
    order = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    if len(order) > most:
        order = [*order[: most - 1], ("Other services", exact_sum(amount for _, amount in order[most - 1 :]))]
    return [{"label": breakable(name), "value": float(amount), "shown": shown(amount)} for name, amount in order]


def _changes(before: Mapping[str, Any] | None, lines: Sequence[PrintedLine], shown: Shown) -> dict[str, Any]:
    if not before:
        return {"changes": [], "change-total": []}
    old, new = before["by_line"], remembered(lines)
    rows, nothing = [], Decimal(0)
    for name in sorted({*old, *new}):
        was, now = Decimal(old.get(name, nothing)), Decimal(new.get(name, nothing))
        if was != now:
            rows.append([breakable(harmless(name)), shown(was), shown(now), shown(EXACT.subtract(now, was))])
    was, now = Decimal(str(before["due"])), exact_sum(line.cents.due for line in lines)
    return {"changes": rows, "change-total": ["In all", shown(was), shown(now), shown(EXACT.subtract(now, was))]}


def warnings(fund: FundFacts, currency: str, today: str) -> list[str]:
    """What the investigator should know of the fund before it is too late."""
    found, name = [], harmless(fund.fund)
    percent = _percent(fund)
    if percent is not None and percent >= WARN_FROM:
        found.append(
            f"Fund {name} is used to {percent} % of its budget of {money(fund.budget or Decimal(0), currency)}."
        )
    if fund.award_end and today:
        if fund.award_end <= today:
            found.append(f"The award of fund {name} ended on {day(fund.award_end)}.")
        elif fund.award_end <= _days_after(today, 90):
            found.append(f"The award of fund {name} ends on {day(fund.award_end)}.")
    return found


def _days_after(today: str, days: int) -> str:
    return (date.fromisoformat(today) + timedelta(days=days)).isoformat()


def _percent(fund: FundFacts) -> int | None:
    if not fund.budget or fund.budget <= 0:
        return None
    return max(0, int(fund.charged * 100 / fund.budget))


def _funds(about: About, lines: Sequence[PrintedLine], shown: Shown) -> list[dict[str, Any]]:
    """Nothing where one fund pays all and no budget is known: the amount due says it."""
    known = any(one.budget is not None or one.name or one.award_end for one in about.funds.values())
    return [_fund(one, lines, shown) for one in about.funds.values()] if known or len(about.funds) > 1 else []


def _fund(fund: FundFacts, lines: Sequence[PrintedLine], shown: Shown) -> dict[str, Any]:
    due = exact_sum(line.cents.due for line in lines if line.fund == fund.fund)
    known = fund.budget is not None
    return {
        "fund": breakable(shortened(harmless(fund.fund) or NO_FUND)),
        "name": breakable(harmless(fund.name)),
        "due": shown(due),
        "budget": shown(fund.budget) if fund.budget is not None else "–",
        "charged": shown(fund.charged),
        "left": shown(EXACT.subtract(fund.budget, fund.charged)) if fund.budget is not None else "–",
        "percent": _percent(fund) if known else None,
        "award-end": day(fund.award_end) if fund.award_end else "",
    }


def _section(fund: str, lines: list[PrintedLine], about: About, shown: Shown) -> dict[str, Any]:
    sums = total(line.cents for line in lines)
    known = about.funds.get(fund)
    title = shortened(harmless(fund) or NO_FUND)
    named = f"{harmless(known.name)}. " if known and known.name else ""
    count = sum(len(line.charges) for line in lines)
    return {
        "fund": title,
        "title": f"Fund {breakable(title)}" if fund else NO_FUND,
        "about": f"{named}Due {shown(sums.due)} {shown.currency} for {count:,} charge{'s' if count != 1 else ''}.",
        "services": [_service(name, list(group), shown) for name, group in groupby(lines, lambda one: one.service)],
    }


def _service(name: str, lines: list[PrintedLine], shown: Shown) -> dict[str, Any]:
    sums = total(line.cents for line in lines)
    return {
        "name": breakable(shortened(harmless(name) or "No service")),
        **_amounts(sums, shown),
        "lines": [_line(one, shown) for one in lines],
    }


def _amounts(cents: Cents, shown: Shown) -> dict[str, str]:
    return {
        "listed": shown(cents.listed),
        "discount": shown.or_dash(cents.discount),
        "relief": shown.or_dash(EXACT.add(cents.subsidy, cents.credit)),
        "due": shown(cents.due),
    }


def _line(line: PrintedLine, shown: Shown) -> dict[str, Any]:
    first = line.charges[0]
    what = harmless(first.resource_name) or harmless(first.resource_id) or harmless(first.service) or first.category
    id_ = harmless(first.resource_id) if first.resource_name else ""
    return {
        "number": line.number,
        "what": breakable(what),
        "id": breakable(id_) if id_ != what else "",
        "dates": span(line.first_day, line.last_day),
        "quantity": quantity(line.quantity, harmless(first.unit)),
        "note": _note(line, shown),
        **_amounts(line.cents, shown),
    }


def _note(line: PrintedLine, shown: Shown) -> str:
    """What a line is where it is no plain charge: a credit, a tax, what corrects an earlier month, and who paid."""
    first: DueCharge = line.charges[0]
    found = []
    if first.category in ("Credit", "Tax", "Purchase", "Adjustment"):
        found.append({"Adjustment": "Provider's adjustment"}.get(first.category, first.category))
    if first.kind == Kind.ADJUSTMENT:
        found.append(f"Adjustment of {month(first.origin_period)}")
    elif first.kind == Kind.REVERSAL:
        found.append(f"Reversal of a charge of {month(first.origin_period)}")
    return " · ".join((*found, *notes_of(line, shown)))


def _notes(lines: Sequence[PrintedLine], subject: Subject, who: Organisation) -> list[str]:
    currency = subject.currency
    found = [
        "The exact amounts of all charges are added first; the sum is rounded once to the smallest unit of "
        f"{currency}, half away from zero. The lines' cents are shared out so that lines, columns and the sum agree.",
        "Each charge with its exact amount is in the attached file lines.csv.",
    ]
    if any(one.kind != Kind.CHARGE for line in lines for one in line.charges):
        found.append(
            "Adjustments and reversals belong to an earlier month that was final when they came. A reversal takes back "
            "the very cents that were printed then."
        )
    if any(one.category == "Credit" for line in lines for one in line.charges):
        found.append("A credit is an amount that the provider, the university or a sponsor gives back.")
    if who.contact:
        found.append(f"If something is not right, tell {who.contact} before the day that is named above.")
    return found
