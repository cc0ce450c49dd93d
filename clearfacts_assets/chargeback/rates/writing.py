"""From entries to the ledger's lines: one for each effect, in the order of the steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from heapq import merge
from operator import itemgetter

from clearfacts_assets.chargeback.rates.apportioning import money_of
from clearfacts_assets.chargeback.rates.book import Version
from clearfacts_assets.chargeback.rates.entries import Entry
from clearfacts_assets.chargeback.rates.model import NO_CHARGE, STEPS, Line, LineKind, RuleStep
from clearfacts_assets.money import EXACT

_PLACES_OF_A_STEP = 100  # positions that lines of one step may take
_FIRST = {step: place * _PLACES_OF_A_STEP for place, step in enumerate(STEPS)}


class _Writer:
    """The lines of one share."""

    def __init__(self, entry: Entry) -> None:
        self._entry, self._places = entry, dict[RuleStep, int]()
        self.lines: list[Line] = []

    def add(
        self, step: RuleStep, kind: LineKind, version: Version | None, amount: Decimal, payer: str = "", note: str = ""
    ) -> None:
        entry = self._entry
        place = self._places[step] = self._places.get(step, _FIRST[step]) + 1
        rule = version.id if version else None
        said = (entry.charge_id, entry.share, place, step, kind, rule, payer, entry.digest, entry.currency)
        self.lines.append(Line(*said, amount, note))


def lines_of_entry(entry: Entry) -> list[Line]:
    """Of a charge, or of a share of one."""
    writer = _Writer(entry)
    if entry.charge_id != NO_CHARGE:
        _cost(writer, entry)
    for effect in entry.effects:
        amount = money_of(-effect.cents, entry.currency)
        writer.add(effect.step, effect.kind, effect.version, amount, effect.payer, effect.note)
    if entry.charge_id != NO_CHARGE:
        rounding = EXACT.subtract(money_of(entry.cents, entry.currency), entry.cost)
        if rounding:
            writer.add(RuleStep.ROUNDING, LineKind.ROUNDING, None, rounding)
    return writer.lines


def _cost(writer: _Writer, entry: Entry) -> None:
    step = RuleStep.PRICE if entry.split is None else RuleStep.SPLIT
    of_price, of_markup = (entry.price, entry.marked_up) if entry.split is None else (entry.split, entry.split)
    writer.add(step, LineKind.LIST, of_price, entry.listed, note=entry.note)
    if entry.discount:
        writer.add(step, LineKind.DISCOUNT, of_price, entry.discount)
    if entry.markup:
        writer.add(RuleStep.MARKUP if entry.split is None else step, LineKind.MARKUP, of_markup, entry.markup)


def lines_of_whole(entry: Entry, shares: Sequence[Entry]) -> list[Line]:
    """Of a charge that was split: its cost, and that it goes to its shares."""
    writer = _Writer(entry)
    _cost(writer, entry)
    note = f"to {', '.join(one.to.fund_org for one in shares)}"
    for kind, amount in (
        (LineKind.LIST, entry.listed),
        (LineKind.DISCOUNT, entry.discount),
        (LineKind.MARKUP, entry.markup),
    ):
        if amount:
            writer.add(RuleStep.SPLIT, kind, shares[0].split, EXACT.minus(amount), note=note)
    return writer.lines


class Written:
    """All lines, by charge and share. Made when they are asked for: they take more room than what they come from."""

    def __init__(
        self, entries: Iterable[Entry], split: Sequence[tuple[Entry, Sequence[Entry]]], others: Iterable[Line]
    ) -> None:
        """``others`` are lines already, of other charges."""
        self._shares = {id(whole): shares for whole, shares in split}
        whole = (one for one, _ in split)
        self._entries = sorted((*entries, *whole), key=lambda one: (one.charge_id, one.share))
        self._others = sorted(others, key=_PLACE)

    def __iter__(self) -> Iterator[Line]:
        return merge(self._own(), self._others, key=_PLACE) if self._others else self._own()

    def _own(self) -> Iterator[Line]:
        for one in self._entries:
            shares = self._shares.get(id(one))
            yield from lines_of_whole(one, shares) if shares else lines_of_entry(one)


_PLACE = itemgetter(0, 1, 2)
