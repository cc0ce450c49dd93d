"""Price, markup and split: from charges to entries, with every digit kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from clearfacts_assets.chargeback.model import Attribution
from clearfacts_assets.chargeback.rates.book import RuleBook, Version
from clearfacts_assets.chargeback.rates.definitions import INTERNAL, Markup, Part, Rate, RuleKind, Split
from clearfacts_assets.chargeback.rates.entries import ChargeFacts, Entry
from clearfacts_assets.chargeback.rates.findings import Findings
from clearfacts_assets.chargeback.rates.model import ZERO
from clearfacts_assets.chargeback.rates.pricing import IN_HOUSE, price
from clearfacts_assets.chargeback.rates.rule_matching import Bearers, Covering
from clearfacts_assets.chargeback.rates.units import UnitMismatch
from clearfacts_assets.money import EXACT, BadAmount, parse_amount

_EVEN = Context(prec=120, rounding=ROUND_HALF_EVEN)
_FINEST = 12  # decimals of a share, where its charge has no more
Digest = Callable[[Attribution], bytes]


class Costing:
    """Charges, in the order of use, become entries with list price, discount and markup."""

    def __init__(self, book: RuleBook, covering: Covering, findings: Findings) -> None:
        self._book, self._findings = book, findings
        self._covering, self._bearers = covering, Bearers()
        self._by_quantity = any(one.kind is RuleKind.ALLOWANCE for one in book.versions)
        self._used: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)  # rule, month, payer: for tiers

    def entry(self, charge: ChargeFacts) -> Entry:
        """With its price and markup."""
        quantity = ZERO
        if charge.quantity and (self._by_quantity or charge.issuer == IN_HOUSE):
            try:
                quantity = Decimal(parse_amount(charge.quantity))
            except BadAmount:
                said = f"{charge.quantity!r} is no quantity: no rate and no allowance counts"
                self._findings.add("unreadable_quantity", said, charge.id)
        entry = Entry(
            charge.id,
            0,
            charge.to,
            charge.digest,
            charge.use,
            charge.day,
            charge.currency,
            charge.listed,
            EXACT.subtract(charge.amount, charge.listed) or ZERO,
            ZERO,
            quantity,
            charge.unit,
        )
        if charge.issuer == IN_HOUSE and quantity:
            self._price(entry)
        for version in self._book.on(RuleKind.MARKUP, charge.day):
            rule = version.definition
            if isinstance(rule, Markup) and self._covering.covers(version, entry):
                added = EXACT.multiply(EXACT.add(entry.listed, entry.discount), rule.percent)
                entry.markup, entry.marked_up = added.scaleb(-2, context=EXACT), version
                break
        return entry

    def _price(self, entry: Entry) -> None:
        """What the import priced at the internal rate, at the rate of who pays now."""
        book, day, use = self._book, entry.day, entry.use
        wanted = book.rate_class(use.institution, entry.to.pi_email, day)
        version = book.rate(use.service, wanted, day)
        if version is None and wanted != INTERNAL:
            self._findings.add("no_rate_for_class", f"{use.service} has no {wanted} rate", entry.charge_id)
            version = book.rate(use.service, INTERNAL, day)
            entry.note = f"no {wanted} rate: the internal one"
        if version is None:
            self._findings.add("no_rate", f"{use.service} has no rate on {day}: priced as imported", entry.charge_id)
            return
        rate = version.definition
        assert isinstance(rate, Rate)  # noqa: S101 - it was looked up among the rates
        if rate.currency != entry.currency:
            self._findings.add("currency_of_rate", f"{use.service} is priced in {rate.currency}", entry.charge_id)
            return
        key = (version.rule_id, day[:7], self._bearers.of(rate.tiers_per, entry)) if rate.tiers else None
        try:
            found = price(version, entry.quantity, entry.unit, day[:7], self._used[key] if key else ZERO)
        except UnitMismatch as error:
            self._findings.add("unit_mismatch", str(error), entry.charge_id)
            return
        if key:
            self._used[key] = EXACT.add(self._used[key], found.quantity)
        entry.price, entry.listed = version, found.list
        entry.discount = EXACT.subtract(found.amount, found.list)


class Splitting:
    """Entries become shares on several funds."""

    def __init__(self, book: RuleBook, covering: Covering, digest: Digest) -> None:
        self._book, self._covering, self._digest = book, covering, digest
        self._spent: dict[tuple[int, str, str], Decimal] = defaultdict(Decimal)  # rule, fund, bearer: of amounts

    def shares(self, entry: Entry) -> list[Entry]:
        """Its shares; none where no rule splits it."""
        for version in self._book.on(RuleKind.SPLIT, entry.day):
            rule = version.definition
            if isinstance(rule, Split) and self._covering.covers(version, entry):
                if rule.parts[0].part is not None:
                    return self._by_part(entry, version, rule.parts)
                if rule.currency == entry.currency:
                    return self._by_amount(entry, version, rule.parts)
        return []

    def _by_part(self, entry: Entry, version: Version, parts: Sequence[Part]) -> list[Entry]:
        fractions = [one.part or Fraction(0) for one in parts]
        return self._divided(entry, version, parts, fractions)

    def _by_amount(self, entry: Entry, version: Version, parts: Sequence[Part]) -> list[Entry]:
        """Each fund up to its amount of the month, the last one the rest; what is negative goes to the last."""
        cost = left = entry.cost
        taken: list[Decimal] = []
        for one in parts:
            if one.amount is None or left <= 0:
                taken.append(left if one.amount is None else ZERO)
                continue
            key = (version.rule_id, one.fund_org, one.account_code)
            amount = min(left, EXACT.subtract(one.amount, self._spent[key]))
            self._spent[key] = EXACT.add(self._spent[key], amount)
            left = EXACT.subtract(left, amount)
            taken.append(amount)
        whole = [index for index, amount in enumerate(taken) if amount]
        if len(whole) <= 1 or not cost:
            index = whole[0] if whole else len(parts) - 1
            return self._divided(entry, version, [parts[index]], [Fraction(1)])
        kept = [parts[index] for index in whole]
        shares = self._divided(entry, version, kept, [Fraction(taken[index]) / Fraction(cost) for index in whole])
        for share, index in zip(shares, whole, strict=True):  # the amounts themselves, whatever was rounded
            share.discount = EXACT.subtract(EXACT.subtract(taken[index], share.listed), share.markup)
        return shares

    def _divided(
        self, entry: Entry, version: Version, parts: Sequence[Part], fractions: Sequence[Fraction]
    ) -> list[Entry]:
        listed, discount, markup = (divided(one, fractions) for one in (entry.listed, entry.discount, entry.markup))
        shares = []
        for place, (part, fraction) in enumerate(zip(parts, fractions, strict=True)):
            to = replace(
                entry.to, fund_org=part.fund_org, account_code=part.account_code or entry.to.account_code, origin="rule"
            )
            share = replace(
                entry,
                share=place + 1,
                to=to,
                digest=self._digest(to),
                split=version,
                quantity=_part(entry.quantity, fraction, _FINEST),
                effects=[],
                listed=listed[place],
                discount=discount[place],
                markup=markup[place],
            )
            shares.append(share)
        return shares


def divided(amount: Decimal, fractions: Sequence[Fraction]) -> list[Decimal]:
    """The amount in parts that add up to it exactly: the first takes what the others' last digit leaves."""
    places = max(_FINEST, -int(amount.as_tuple().exponent))
    others = [_part(amount, one, places) for one in fractions[1:]]
    first = amount
    for one in others:
        first = EXACT.subtract(first, one)
    return [first, *others]


def _part(amount: Decimal, fraction: Fraction, places: int) -> Decimal:
    product = _EVEN.multiply(amount, Decimal(fraction.numerator))
    return _EVEN.divide(product, Decimal(fraction.denominator)).quantize(Decimal(1).scaleb(-places), context=_EVEN)
