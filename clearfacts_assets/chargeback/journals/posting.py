"""From parts of statements to lines that balance. Each line has its counterpart, of the very same amount."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from clearfacts_assets.chargeback.journals.chart import Chart, Place
from clearfacts_assets.chargeback.journals.model import CannotPost, Header, Journal, Line, Part, Side
from clearfacts_assets.messages import Message
from clearfacts_assets.money import EXACT

NAMES_OF_DESCRIPTIONS = (
    "source",
    "period",
    "fund_org",
    "pi_email",
    "project_id",
    "service",
    "statement",
    "number",
)


@dataclass(frozen=True, slots=True)
class Wording:
    """How lines are described. The templates may hold the names above in braces."""

    debit: str = "{source} {period} Research Computing Charges"
    credit: str = "{source} {period} Research Computing Charges"
    characters: int = 0  # most of a description; 0: no bound

    def of(self, template: str, part: Part, number: str) -> str:
        """The description of a line of this part in the batch of this number."""
        said = template.format(
            source=part.source,
            period=part.period,
            fund_org=part.fund_org,
            pi_email=part.pi_email,
            project_id=part.project_id,
            service=part.service,
            statement=part.statement,
            number=number,
        ).strip()
        return said[: self.characters] if self.characters else said


@dataclass(slots=True)
class _Pair:
    """What is booked between two places for one statement."""

    debit: Place
    credit: Place
    part: Part  # the first one of those behind it; names for the description
    amount: Decimal

    def lines(self, number: int, batch: str, wording: Wording) -> list[Line]:
        """Both sides, as the batch's pair of this number. What is negative swaps them."""
        ours, theirs = (Side.DEBIT, Side.CREDIT) if self.amount > 0 else (Side.CREDIT, Side.DEBIT)
        return [
            self._line(2 * number - 1, batch, ours, self.debit, wording.of(wording.debit, self.part, batch)),
            self._line(2 * number, batch, theirs, self.credit, wording.of(wording.credit, self.part, batch)),
        ]

    def _line(self, number: int, batch: str, side: Side, place: Place, said: str) -> Line:
        part = self.part
        return Line(
            number=number,
            pair=(number + 1) // 2,
            side=side,
            amount=abs(self.amount),
            fund_org=place.fund_org,
            account=place.account,
            segments=place.segments,
            description=said,
            reference=f"{batch}-{number:05d}",
            statement=part.statement,
            source=part.source,
            pi_email=part.pi_email,
            project_id=part.project_id,
            instead_of=place.instead_of,
        )


def journal_of(header: Header, parts: Sequence[Part], chart: Chart, wording: Wording) -> Journal:
    """The journal of these parts, in whatever order they come. Raises CannotPost with all problems at once.

    What is negative swaps sides. What comes to nothing between two places has no lines.
    """
    pairs, suspended = _pairs(header, sorted(parts, key=_order), chart)
    booked = (one for one in pairs if one.amount)
    lines = [line for number, one in enumerate(booked, start=1) for line in one.lines(number, header.number, wording)]
    return Journal(header, lines, parts, suspended)


def _order(part: Part) -> tuple[str, int, str, str, str, str, str, str, str, Decimal]:
    return (
        part.statement,
        part.version,
        part.pi_email,
        part.project_id,
        part.fund_org,
        part.source,
        part.service,
        part.category,
        part.account_code,
        part.amount,
    )


def _pairs(header: Header, parts: Iterable[Part], chart: Chart) -> tuple[list[_Pair], Mapping[str, str]]:
    found: dict[tuple[object, ...], _Pair] = {}
    day, problems, suspended = header.accounting_date.isoformat(), list[Message](), dict[str, str]()
    known: dict[tuple[str, ...], tuple[Place, Place] | None] = {}
    for part in parts:
        if not part.amount:
            continue
        where = (part.fund_org, part.service, part.category, part.source, part.account_code)
        if where not in known:
            known[where] = _places(chart, part, day, problems)
        places = known[where]
        if places is None:
            continue
        debit, credit = places
        if debit.instead_of:
            suspended[debit.instead_of] = debit.fund_org
        key = (
            *(part.statement, part.pi_email, part.project_id, part.source),
            *(part.fund_org, debit.account, credit.fund_org, credit.account),
        )
        if key in found:
            found[key].amount = EXACT.add(found[key].amount, part.amount)
        else:
            found[key] = _Pair(debit, credit, part, part.amount)
    if problems:
        raise CannotPost(problems)
    return list(found.values()), suspended


def _places(chart: Chart, part: Part, day: str, problems: list[Message]) -> tuple[Place, Place] | None:
    debit = chart.debit(part, day, problems)
    if debit is None:
        # The other side is asked all the same, so that a person hears of everything at once.
        chart.credit(part, "", problems)
        return None
    credit = chart.credit(part, debit.account, problems)
    return None if credit is None else (debit, credit)


def reversal_of(header: Header, lines: Sequence[Line], parts: Sequence[Part] = ()) -> Journal:
    """The exact negative: the same lines with sides swapped, whatever the chart says by now."""
    swapped = [
        replace(one, side=one.side.other, reference=f"{header.number}-{one.number:05d}", description=one.description)
        for one in lines
    ]
    suspended = {one.instead_of: one.fund_org for one in lines if one.instead_of}
    return Journal(header, swapped, [one.times(-1) for one in parts], suspended)


def transfer_of(
    header: Header, before: Sequence[Line], now: Sequence[Part], chart: Chart, wording: Wording,
    parts: Sequence[Part] = (),
) -> Journal:  # fmt: skip
    """What was booked for statements that no longer stand, taken back line by line, and what stands now instead.

    Pairs of the two that are each other's exact negative cancel out and have no lines.
    """
    back, forth = reversal_of(header, before), journal_of(header, now, chart, wording)
    pairs = [*_by_pair(back.lines), *_by_pair(forth.lines)]
    waiting: dict[tuple[object, ...], list[int]] = {}
    gone: set[int] = set()
    for place, pair in enumerate(pairs):
        opposite = waiting.get(_meaning(pair, swapped=True), [])
        if opposite:
            gone |= {place, opposite.pop()}
        else:
            waiting.setdefault(_meaning(pair), []).append(place)
    kept = [line for place, pair in enumerate(pairs) if place not in gone for line in pair]
    numbered = [
        replace(one, number=number, pair=(number + 1) // 2, reference=f"{header.number}-{number:05d}")
        for number, one in enumerate(kept, start=1)
    ]
    suspended = {one.instead_of: one.fund_org for one in numbered if one.instead_of}
    return Journal(header, numbered, parts, suspended)


def _by_pair(lines: Sequence[Line]) -> list[list[Line]]:
    found: dict[int, list[Line]] = {}
    for one in lines:
        found.setdefault(one.pair, []).append(one)
    return list(found.values())


def _meaning(pair: Sequence[Line], *, swapped: bool = False) -> tuple[object, ...]:
    """What a pair books, without its names: two that differ in their sides alone cancel out."""
    told = []
    for one in pair:
        side = one.side.other if swapped else one.side
        told.append((one.fund_org, one.account, tuple(sorted(one.segments.items())), side.value, one.amount))
    return tuple(sorted(told))
