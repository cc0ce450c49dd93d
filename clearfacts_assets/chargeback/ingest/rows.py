"""From the records of one file to rows as the ledger wants them, or to refusals. No input or output, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clearfacts_assets.chargeback.cells import BadCell, text_of
from clearfacts_assets.chargeback.focus import NUMBERS
from clearfacts_assets.chargeback.ingest.canonical import NO_MOMENT, Canonical, Table
from clearfacts_assets.chargeback.ingest.payers import NewAttributions, Payer, Payers, standing
from clearfacts_assets.chargeback.ingest.rules import ReadingRules
from clearfacts_assets.chargeback.model import Basis, Flag, Refusal, Status
from clearfacts_assets.chargeback.ports import Batch, ByColumn, Opened
from clearfacts_assets.money import NO_CURRENCY, BadAmount, is_code, parse_amount

COSTS = ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost")
# What a staged row takes from the canonical row as it is.
_TAKEN = {
    "BillingAccountId": "account",
    "SubAccountId": "sub_account",
    "ChargeCategory": "category",
    "ChargeClass": "charge_class",
    "ChargePeriodStart": "charge_start",
    "ChargePeriodEnd": "charge_end",
    "ServiceName": "service",
    "ServiceCategory": "service_category",
    "ResourceId": "resource_id",
    "ResourceName": "resource_name",
    "SkuId": "sku",
    "ConsumedQuantity": "quantity",
    "ConsumedUnit": "unit",
    "InvoiceId": "invoice_id",
    "InvoiceIssuerName": "issuer",
}
_DATES = ("BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
_JUDGED = ("BillingPeriodStart", "BillingCurrency", "CommitmentDiscountId", "AllocatedMethodId")

# What take() gives for each row, in this order.
STAGED = (
    "row",
    "line",
    "fingerprint",
    *_TAKEN.values(),
    *["billed", "effective", "contracted", "list", "period", "currency", "listed", "amount"],
    *["tag_set", "read_attribution", "attribution", "read_flags", "flags", "status"],
)
_CLASS = STAGED.index("charge_class")
LONGEST_KEPT_RECORD = 2**16


@dataclass(slots=True)
class Taken:
    """What became of a batch."""

    rows: ByColumn | None = None  # as STAGED has them; None for no row
    refusals: list[Refusal] = field(default_factory=list)
    seen: NewAttributions = field(default_factory=NewAttributions)
    corrections: bool = False  # whether a row may correct an earlier charge


class RowReader:
    """Reads the rows of one file by its header and the delivery's rules."""

    def __init__(self, opened: Opened, rules: ReadingRules) -> None:
        self._file, self._rules, self._columns = opened.name, rules, opened.columns
        self._place = {name: index for index, name in enumerate(opened.columns)}
        self._canonical = Canonical(
            opened.columns,
            (*_TAKEN, *COSTS, *_JUDGED, *_DATES),
            decimal_comma=rules.decimal_comma,
            besides=self._besides(),
        )
        self._payers = Payers(rules)
        self._without = frozenset(name for name in (*COSTS, "BillingCurrency") if name not in self._place)
        # Nothing but the costs and the tags can make a row of such a delivery special.
        known = rules.registry
        self._plain = not (rules.patterns or known.exceptions or known.overrides or self._without)

    def _besides(self) -> str:
        """What else makes a row another one: the basis that it is charged on, the currency that its file leaves out."""
        said = [] if self._rules.basis is Basis.BILLED else [self._rules.basis.value]
        return " ".join([*said, *([self._rules.currency] if "BillingCurrency" not in self._place else [])])

    def take(self, batch: Batch) -> Taken:
        """Every record of the batch, as a row or as a refusal."""
        self._payers.seen = NewAttributions()
        taken = Taken(refusals=list(batch.refusals), seen=self._payers.seen)
        numbers = range(batch.first_row, batch.first_row + len(batch.rows))
        if batch.rows:
            try:
                taken.rows = ByColumn(self._staged(ByColumn.of(batch.rows), numbers, batch.lines))
            except BadCell:
                self._one_by_one(batch, taken)
        taken.corrections = taken.rows is not None and any(taken.rows.columns[_CLASS])
        return taken

    def _one_by_one(self, batch: Batch, taken: Taken) -> None:
        """The batch again, with those of its rows refused that cannot be taken."""
        rows: list[tuple[Any, ...]] = []
        for index, row in enumerate(batch.rows):
            number, line = (batch.first_row + index,), (batch.lines[index],)
            try:
                try:
                    found = self._staged(ByColumn.of([row]), number, line)
                except BadCell:
                    found = self._staged(ByColumn.of([self._with_currency(row)]), number, line)
            except BadCell as error:
                taken.refusals.append(self._refusal(row, number[0], line[0], batch.texts[index], error))
            else:
                rows += ByColumn(found)
        if rows:
            taken.rows = ByColumn.of(rows)

    def _staged(self, rows: ByColumn, numbers: Sequence[int], lines: Sequence[int]) -> list[Sequence[Any]]:
        """The columns of STAGED. Raises BadCell where one of the rows cannot be taken."""
        table = self._canonical.read(rows)
        costs = [table.values[name] for name in COSTS]
        undated = self._undated(table)
        optional = [[one or None for one in cost] for cost in costs[1:]]
        return [
            numbers,
            lines,
            table.fingerprints,
            *(table.values[name] for name in _TAKEN),
            costs[0],
            *optional,
            *self._judged(rows, table, costs, undated),
        ]

    def _judged(self, rows: ByColumn, table: Table, costs: list[list[str]], undated: frozenset[int]) -> list[list[Any]]:
        """Columns: period, currency, list price, amount, and the last six of STAGED. Raises BadCell."""
        values, payers = table.values, self._of_rows(rows, table.values)
        periods, currencies = [one[:7] for one in values["BillingPeriodStart"]], values["BillingCurrency"]
        contracted, listing, amounts = costs[2], costs[3], costs[list(Basis).index(self._rules.basis)]
        judged = [
            periods,
            currencies[:],
            listing[:],
            amounts[:],
            *map(list, zip(*(one.said for one in payers), strict=True)),
        ]
        if self._plain and not undated:
            usual = periods if self._rules.period is None else [self._rules.period] * len(rows)
            odd = {one for one in set(currencies) if self._is_odd(one)}
            known = ["" if one in odd else one for one in currencies] if odd else currencies
            said = zip(
                amounts, contracted, listing, values["CommitmentDiscountId"], values["ChargeClass"], known,
                periods, usual, strict=True,
            )  # fmt: skip
            special: Iterable[int] = [
                index
                for index, (amount, price, shown, commitment, correction, currency, period, expected) in enumerate(said)
                if not (amount and price and currency and period)
                or commitment
                or correction
                or period != expected
                or not (shown.strip("0.") or not amount.strip("0."))
            ]
        else:
            special = range(len(rows))
        for index in special:
            found = self._special(table, costs, payers[index], index, index in undated)
            for column, value in zip(judged, found, strict=True):
                column[index] = value
        return judged

    def _undated(self, table: Table) -> frozenset[int]:
        """The rows with something else where a date should be; it is taken out of what the ledger shows."""
        found = set()
        for name in _DATES:
            values = table.values[name]
            if any(one[:1] == NO_MOMENT for one in set(values)):
                found |= {index for index, one in enumerate(values) if one[:1] == NO_MOMENT}
                table.values[name] = ["" if one[:1] == NO_MOMENT else one for one in values]
        return frozenset(found)

    def _of_rows(self, rows: ByColumn, values: dict[str, list[str]]) -> list[Payer]:
        tags, allocated = self._place.get("Tags"), self._place.get("AllocatedTags")
        nothing = [""] * len(rows)
        days = (one[:10] for one in values["ChargePeriodStart"]) if self._payers.dated else nothing
        split = (
            nothing
            if allocated is None
            else (
                one if by else "" for one, by in zip(rows.columns[allocated], values["AllocatedMethodId"], strict=True)
            )
        )
        tagged = nothing if tags is None else rows.columns[tags]
        return list(map(self._payers.__getitem__, zip(tagged, split, days, strict=True)))

    def _special(
        self, table: Table, costs: list[list[str]], payer: Payer, index: int, undated: bool
    ) -> tuple[str | bytes, ...]:
        """The same for a row of which something is to be said. Raises BadCell."""
        said = {name: column[index] for name, column in table.values.items()}
        payer = self._payers.overridden(payer, said["ResourceId"], said["ChargePeriodStart"][:10])
        billed, effective, contracted, listing = (cost[index] for cost in costs)
        if not billed:
            raise BadCell("missing", "there is no amount", "BilledCost")
        if not said["BillingPeriodStart"]:
            raise BadCell("missing", "there is no period", "BillingPeriodStart")
        currency = said["BillingCurrency"] or self._no_currency()
        basis = self._rules.basis
        amount = said[basis.column]
        if not amount:
            raise BadCell("missing", f"there is no amount, and this source is charged on {basis}", basis.column)
        covering = said["ChargeCategory"] == "Purchase" and said["CommitmentDiscountId"] != ""
        listed, extra = self._listed(amount, contracted, listing, covering)
        if undated:
            extra.add(Flag.UNREADABLE_DATE)
        if self._is_odd(currency):
            extra.add(Flag.UNKNOWN_CURRENCY)
        extra |= self._flags(said, covering and effective.strip("-0.") != "")
        flags = standing(payer.read_flags | extra, payer.flags | extra) if extra else payer.standing
        if self._excepted(payer, said):
            flags = (flags[0], flags[1], Status.NOT_BILLED.value)
        return (said["BillingPeriodStart"][:7], currency, listed, amount, *payer.digests, *flags)

    def _is_odd(self, currency: str) -> bool:
        """A provider's word for its credits, a sign, or none: who bills in it has to say so."""
        return not is_code(currency) and currency != self._rules.currency

    def _no_currency(self) -> str:
        if "BillingCurrency" in self._without:
            return self._rules.currency or NO_CURRENCY
        raise BadCell("missing", "there is no currency", "BillingCurrency")

    def _listed(self, amount: str, contracted: str, listing: str, covering: bool) -> tuple[str, set[Flag]]:
        """The list price to show. A covering purchase has none, for the usage that it covers shows it. Where it is not
        known it counts as the amount itself, and that is said."""
        flags: set[Flag] = set()
        list_unknown = not listing and "ListCost" not in self._without
        if list_unknown or (not contracted and "ContractedCost" not in self._without):
            flags.add(Flag.UNKNOWN_PRICE)
        if covering:
            return "0", flags
        if not listing.strip("0.") and amount[0] != "-" and amount.strip("0."):
            flags.add(Flag.UNKNOWN_LIST_PRICE)
            return amount, flags
        return listing or amount, flags

    def _flags(self, said: dict[str, str], purchase_is_used: bool) -> set[Flag]:
        flags: set[Flag] = set()
        rules = self._rules
        if rules.period is not None and said["BillingPeriodStart"][:7] != rules.period:
            flags.add(Flag.PERIOD_MISMATCH)
        if said["ChargeClass"].lower() == "correction":
            flags.add(Flag.CORRECTION_TO_CONFIRM)
        if purchase_is_used:
            twice = rules.basis is Basis.EFFECTIVE
            flags.add(Flag.PURCHASE_COUNTS_TWICE if twice else Flag.PURCHASE_WITH_EFFECTIVE_COST)
        searched = (said["ServiceName"], said["ResourceId"], said["ResourceName"])
        if any(one.pattern.search(text) for one in rules.patterns for text in searched):
            flags.add(Flag.PATTERN_MATCH)
        return flags

    def _excepted(self, payer: Payer, said: dict[str, str]) -> bool:
        registry = self._rules.registry
        day = said["ChargePeriodStart"][:10]
        return bool(registry.exceptions) and registry.exception(payer.to, said["ResourceId"], day) is not None

    def _with_currency(self, row: Sequence[str]) -> list[str]:
        """The row with every number written plainly. Raises BadCell, for BilledCost before any other column."""
        mended = list(row)
        place = self._place.get("BillingCurrency")
        currency = text_of(row[place]).upper() if place is not None else self._rules.currency
        names = [name for name in self._columns if name in NUMBERS]
        for name in sorted(names, key=lambda one: (COSTS.index(one) if one in COSTS else 9, one)):
            text = text_of(row[self._place[name]])
            try:
                plain = parse_amount(text, currency, decimal_comma=self._rules.decimal_comma) if text else ""
            except BadAmount as error:
                raise BadCell(error.code, str(error), name) from None
            mended[self._place[name]] = plain.replace(".", ",") if self._rules.decimal_comma else plain
        return mended

    def _refusal(self, row: Sequence[str], number: int, line: int, text: str, error: BadCell) -> Refusal:
        value = row[self._place[error.column]] if error.column in self._place else ""
        code, why = ("total_row", "a total, not a charge") if self._is_total(row) else (error.code, str(error))
        message = f"{error.column} {value[:60]!r}: {why}" if error.column else why
        return Refusal(self._file, line, number, error.column, value[:200], code, message, text[:LONGEST_KEPT_RECORD])

    def _is_total(self, row: Sequence[str]) -> bool:
        start = self._place.get("BillingPeriodStart")
        named = any(cell.strip().lower().startswith(("total", "grand total", "subtotal")) for cell in row)
        return named and (start is None or not text_of(row[start]))
