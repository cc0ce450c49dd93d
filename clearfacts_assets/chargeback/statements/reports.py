"""The other statements as data: what a sponsor paid, the sums of a cost centre, a project's year for a grant report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clearfacts_assets.chargeback.statements.formatting import breakable, day, harmless, money, month
from clearfacts_assets.chargeback.statements.framing import About, Identity, Organisation, Shown, frame, ladder
from clearfacts_assets.chargeback.statements.model import Cents, Subject, total
from clearfacts_assets.chargeback.statements.rounding import apportioned
from clearfacts_assets.chargeback.statements.trends import columns
from clearfacts_assets.money import EXACT, exact_sum, plain, rounded
from clearfacts_assets.spreadsheet import neutralised

Report = tuple[dict[str, Any], str, Cents, Decimal]  # data, CSV, sums, the exact sum


@dataclass(frozen=True, slots=True)
class SponsorRow:
    """What a sponsor paid of somebody's charges. ``amount`` is above zero."""

    investigator: str
    project: str
    fund: str
    label: str
    service: str
    charges: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class DepartmentRow:
    """One investigator's project and fund in a cost centre; ``due`` is what statements say."""

    number: str
    investigator: str
    project: str
    fund: str
    charges: int
    listed: Decimal
    due: Decimal


@dataclass(frozen=True, slots=True)
class YearRow:
    """One month's statement; ``by_service`` and ``by_fund`` are its due in parts."""

    period: str
    number: str
    cents: Cents
    by_service: tuple[tuple[str, Decimal], ...] = ()
    by_fund: tuple[tuple[str, Decimal], ...] = ()


def _facts(subject: Subject, who: Organisation, identity: Identity, *more: tuple[str, str]) -> list[dict[str, str]]:
    facts = [*more, ("Statement", f"{identity.number}, {identity.version_text}"), ("Issued", day(identity.issued))]
    if who.contact:
        facts.append(("Questions", who.contact))
    return [{"label": label, "value": breakable(harmless(value))} for label, value in facts]


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    to = io.StringIO()
    writer = csv.writer(to, lineterminator="\r\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(one) for one in row])
    return to.getvalue()


def _cell(one: object) -> object:
    if isinstance(one, Decimal):
        return plain(one)
    return neutralised(one) if isinstance(one, str) else one


def _page(
    subject: Subject, who: Organisation, identity: Identity, heading: str, about: str, note: str
) -> dict[str, Any]:
    when = month(subject.period) if "-" in subject.period else subject.period
    replaces = identity.replaces or {}
    notice = ""
    if replaces:
        before = money(Decimal(str(replaces["due"])), subject.currency)
        notice = f"This version replaces version {replaces['version']}, which said {before} {subject.currency}."
    return {
        **frame(subject, who, identity, f"{heading}, {when}", about),
        "heading": heading,
        "subheading": f"{when} · {breakable(about)}",
        "notice": notice,
        "notes": [note, *who.notes],
        "attachment": {"name": "lines.csv", "description": f"The rows of statement {identity.number}"},
    }


def _bars(sums: dict[str, Decimal], shown: Shown, most: int = 8) -> list[dict[str, Any]]:
    order = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    if len(order) > most:
        order = [*order[: most - 1], ("Others", exact_sum(amount for _, amount in order[most - 1 :]))]
    return [
        {"label": breakable(harmless(name) or "–"), "value": float(one), "shown": shown(one)} for name, one in order
    ]


def _added(pairs: Sequence[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for name, amount in pairs:
        sums[name] = EXACT.add(sums.get(name, Decimal(0)), amount)
    return sums


def _alt(rows: Sequence[dict[str, Any]], what: str) -> str:
    return f"{what}: " + ", ".join(f"{one['label']} {one['shown']}" for one in rows)


def _people(count: int) -> str:
    return f"for {count} investigator{'' if count == 1 else 's'}"


def sponsors_statement(
    subject: Subject, rows: Sequence[SponsorRow], who: Organisation, identity: Identity, about: About
) -> Report:
    """``sponsor.typ``: whose charges a sponsor paid, and how much of them."""
    shown, currency = Shown(subject.currency), subject.currency
    order = sorted(rows, key=lambda one: (one.investigator, one.project, one.fund, one.service, one.label))
    exact = exact_sum(one.amount for one in order)
    paid = rounded(exact, currency)
    cents = apportioned({place: one.amount for place, one in enumerate(order)}, paid, currency) if order else {}
    people = _bars(_added([(one.investigator, cents[place]) for place, one in enumerate(order)]), shown)
    labels = _bars(_added([(one.label, cents[place]) for place, one in enumerate(order)]), shown)
    page = _page(
        subject, who, identity, "Sponsor's statement", subject.name,
        "What was paid is part of the investigators' charges that they do not pay themselves. The exact amounts are "
        "added and rounded once; the rows' cents are shared out so that they agree with the sum.",
    )  # fmt: skip
    data = page | {
        "facts": _facts(subject, who, identity, ("Sponsor", subject.name), ("Billing period", month(subject.period))),
        "figure": {
            "label": "Paid by you",
            "amount": shown(paid),
            "note": _people(len({one.investigator for one in order})),
        },
        "charts": [
            {"title": "By investigator", "rows": people, "alt": _alt(people, "Bars of what was paid by investigator")},
            {"title": "By rule", "rows": labels, "alt": _alt(labels, "Bars of what was paid by rule")},
        ],
        "header": ["Investigator and project", "Fund", "Service", "Charges", "Paid"],
        "rows": [
            [
                breakable(f"{harmless(one.investigator)} · {harmless(one.project)}"),
                breakable(harmless(one.fund)),
                breakable(f"{harmless(one.service)} · {harmless(one.label)}"),
                f"{one.charges:,}",
                shown(cents[place]),
            ]
            for place, one in enumerate(order)
        ],
        "total": ["In all", "", "", f"{sum(one.charges for one in order):,}", shown(paid)],
    }
    table = [
        (
            one.investigator,
            one.project,
            one.fund,
            one.service,
            one.label,
            one.charges,
            one.amount,
            cents[place],
        )
        for place, one in enumerate(order)
    ]
    header = ("investigator", "project", "fund", "service", "rule", "charges", "paid_exact", "paid")
    return data, _csv(header, table), Cents(listed=paid, due=paid), exact


def departments_summary(
    subject: Subject, rows: Sequence[DepartmentRow], who: Organisation, identity: Identity, about: About
) -> Report:
    """``department.typ``: everybody of a cost centre, with the numbers of their statements."""
    shown, currency = Shown(subject.currency), subject.currency
    order = sorted(rows, key=lambda one: (one.investigator, one.project, one.fund, one.number))
    due = exact_sum(one.due for one in order)
    listed = {place: one.listed for place, one in enumerate(order)}
    cents = apportioned(listed, rounded(exact_sum(listed.values()), currency), currency) if order else {}
    sums = Cents(listed=exact_sum(cents.values()), discount=EXACT.subtract(due, exact_sum(cents.values())), due=due)
    people = _bars(_added([(one.investigator, one.due) for one in order]), shown)
    funds = _bars(_added([(one.fund, one.due) for one in order]), shown)
    page = _page(
        subject, who, identity, "Department's summary", subject.name or "No cost centre",
        "Each amount is the one on the investigator's own statement, whose number stands beside it. Nothing is charged "
        "by this summary.",
    )  # fmt: skip
    data = page | {
        "facts": _facts(
            subject, who, identity,
            ("Cost centre", subject.name or "–"), ("Billing period", month(subject.period)),
            ("Investigators", str(len({one.investigator for one in order}))),
        ),
        "figure": {"label": "Charged to these funds", "amount": shown(due), "note": "on the statements below"},
        "charts": [
            {"title": "By investigator", "rows": people, "alt": _alt(people, "Bars of what is due by investigator")},
            {"title": "By fund", "rows": funds, "alt": _alt(funds, "Bars of what is due by fund")},
        ],
        "header": ["Investigator and project", "Fund", "Statement", "List price", "Due"],
        "rows": [
            [
                breakable(f"{harmless(one.investigator)} · {harmless(one.project)}"),
                breakable(harmless(one.fund) or "No fund"),
                one.number,
                shown(cents[place]),
                shown(one.due),
            ]
            for place, one in enumerate(order)
        ],
        "total": ["In all", "", "", shown(sums.listed), shown(due)],
    }  # fmt: skip
    table = [
        (one.number, one.investigator, one.project, one.fund, one.charges, cents[place], one.due)
        for place, one in enumerate(order)
    ]
    header = ("statement", "investigator", "project", "fund", "charges", "list_price", "due")
    return data, _csv(header, table), sums, due


def years_statement(
    subject: Subject, rows: Sequence[YearRow], who: Organisation, identity: Identity, about: About
) -> Report:
    """``year.typ``: a project's months, services and funds, for a grant report."""
    shown = Shown(subject.currency)
    order = sorted(rows, key=lambda one: (one.period, one.number))
    sums = total(one.cents for one in order)
    services = _bars(_added([pair for one in order for pair in one.by_service]), shown, most=10)
    funds = _added([pair for one in order for pair in one.by_fund])
    months = [f"{subject.period}-{number:02d}" for number in range(1, 13)]
    person = harmless(about.name) or subject.name
    page = _page(
        subject, who, identity, "Statement of a year", f"{person}, {subject.project}",
        "This statement repeats what the months' statements say; it charges nothing. It is meant for grant reports.",
    )  # fmt: skip
    data = page | {
        "facts": _facts(
            subject, who, identity,
            ("Investigator", person), ("Project", subject.project or "–"), ("Address", subject.name),
            ("Months", f"{len({one.period for one in order})} with charges"),
        ),
        "figure": {"label": f"Charged in {subject.period}", "amount": shown(sums.due), "note": "the months below"},
        "summary": ladder(sums, shown),
        "charts": [{"title": "By service", "rows": services, "alt": _alt(services, "Bars of what was due by service")}],
        "trend": columns(about.history, months, subject.currency),
        "header": ["Month", "Statement", "List price", "Discount", "Subsidy", "Credits", "Due"],
        "rows": [
            [
                month(one.period),
                one.number,
                shown(one.cents.listed),
                shown.or_dash(one.cents.discount),
                shown.or_dash(one.cents.subsidy),
                shown.or_dash(one.cents.credit),
                shown(one.cents.due),
            ]
            for one in order
        ],
        "total": [
            *("In all", ""),
            shown(sums.listed),
            *map(shown.or_dash, (sums.discount, sums.subsidy, sums.credit)),
            shown(sums.due),
        ],
        "funds": [[breakable(harmless(name) or "No fund"), shown(amount)] for name, amount in sorted(funds.items())],
        "fund-total": ["In all", shown(exact_sum(funds.values()))],
    }  # fmt: skip
    table = [
        (one.period, one.number, *(getattr(one.cents, name) for name in Cents.__dataclass_fields__)) for one in order
    ]
    header = ("month", "statement", "list_price", "discount", "subsidy", "credit", "due")
    return data, _csv(header, table), sums, sums.due
