"""The sums that the norm and Peppol ask of an invoice, with the amounts of one document put in.

The official rules say only that a sum is wrong. Here stands which amounts go in, what they come to, and what the
document says. Rounding is XPath's: to the cent, a half towards +infinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache

from clearfacts_assets.invoices.validation.elements import Element, ElementIndex
from clearfacts_assets.invoices.validation.ubl import CAC, CBC

_PRECISION = 60
SHORT = 40  # characters of an amount that is remembered: it comes again in the same document
CBC_TAG = f"{{{CBC}}}"
_WIDE = Context(prec=_PRECISION)
_AMOUNT = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*", re.ASCII)
_NOTHING = Decimal(0)
LINE_TOLERANCE = Decimal("0.02")  # PEPPOL-EN16931-R120
BELOW_ONE = Decimal(1)  # BR-CO-17, BR-S-08, BR-S-09: off by less than this is still right
# The VAT categories by the letters in the names of their rules.
CATEGORIES = {"S": "S", "Z": "Z", "E": "E", "AE": "AE", "K": "IC", "G": "G", "O": "O", "L": "AF", "M": "AG"}
_BY_RATE = ("S", "L", "M")


@dataclass(frozen=True, slots=True)
class Sum:
    """One sum of a document. ``kind`` names its sentence in ``sum_words.py``; ``amounts`` are what goes into that."""

    rule: str
    kind: str
    element: Element  # where the document says the result
    amounts: Mapping[str, Decimal]
    expected: Decimal
    said: Decimal
    allowed: Decimal = _NOTHING  # the rule minds no difference below this
    addends: tuple[Element, ...] = ()  # elements whose amounts were added up

    @property
    def difference(self) -> Decimal:
        return _WIDE.subtract(self.said, self.expected)

    @property
    def minded(self) -> bool:
        """Whether the official rule finds fault with it."""
        return self.difference != 0 and self.difference.copy_abs() >= self.allowed


def wrong_sums(index: ElementIndex) -> Iterator[Sum]:
    """Where a document says something else than its own amounts come to, also where the official rule lets it be.

    One at a time: all lines of a long document may be wrong.
    """
    sums = _sums(index, every=False)
    while True:
        with localcontext() as context:  # not while somebody else works with what was yielded
            context.prec = _PRECISION
            one = next(sums, None)
        if one is None:
            return
        yield one


def all_sums(index: ElementIndex) -> list[Sum]:
    """Every sum that can be computed, right or wrong; with the taxable amounts by category (BR-S-08 and its like)."""
    with localcontext() as context:
        context.prec = _PRECISION
        return [*_sums(index, every=True), *_taxable(index)]


def cents(amount: Decimal) -> Decimal:
    """``round(x * 100) div 100`` in XPath."""
    return (amount * 100 + Decimal("0.5")).to_integral_value(ROUND_FLOOR) / 100


def only(element: Element, tag: str) -> Element | None:
    """The one child of that name; None where there is none, or several."""
    found = element.by.get(tag, ())
    return found[0] if len(found) == 1 else None


def amount_of(element: Element, name: str) -> Decimal | None:
    """The one amount of that name; None where there is none, several, or something that is not a number."""
    found = only(element, CBC_TAG + name)
    return read_amount(found.value) if found is not None else None


def read_amount(text: str) -> Decimal | None:
    """None where it is not a number."""
    return _short_amount(text) if len(text) <= SHORT else _amount(text)


@lru_cache(maxsize=1000)
def _short_amount(text: str) -> Decimal | None:
    return _amount(text)


def _amount(text: str) -> Decimal | None:
    written = _AMOUNT.fullmatch(text)
    return Decimal(written.group(1)) if written else None


def monetary_total(index: ElementIndex) -> Element | None:
    return only(index.root, f"{{{CAC}}}LegalMonetaryTotal")


def _sums(index: ElementIndex, *, every: bool) -> Iterator[Sum]:
    yield from _lines(index, every)
    yield from _taxes(index, every)
    totals = monetary_total(index)
    if totals is not None:
        yield from _added(index, totals, every)
        yield from _totals(index, totals, every)


def _total(elements: Iterable[Element], name: str) -> Decimal | None:
    """The sum of one amount of each; None where one of them has not exactly one."""
    total = _NOTHING
    for element in elements:
        amount = amount_of(element, name)
        if amount is None:
            return None
        total += amount
    return total


def _modifiers(element: Element, indicator: str) -> list[Element]:
    """Allowances (false) or charges (true) of a document or a line."""
    truth = {"true": ("true", "1"), "false": ("false", "0")}[indicator]
    return [
        modifier
        for modifier in element.by.get(f"{{{CAC}}}AllowanceCharge", ())
        if any(each.value.strip() in truth for each in modifier.by.get(f"{{{CBC}}}ChargeIndicator", ()))
    ]


def document_lines(index: ElementIndex) -> list[Element]:
    return [*index.all(f"{{{CAC}}}InvoiceLine"), *index.all(f"{{{CAC}}}CreditNoteLine")]


def _added(index: ElementIndex, totals: Element, every: bool) -> Iterator[Sum]:
    """Totals that are nothing but amounts added up."""
    for rule, kind, name, addends, addend in (
        ("BR-CO-10", "lines", "LineExtensionAmount", document_lines(index), "LineExtensionAmount"),
        ("BR-CO-11", "allowances", "AllowanceTotalAmount", _modifiers(index.root, "false"), "Amount"),
        ("BR-CO-12", "charges", "ChargeTotalAmount", _modifiers(index.root, "true"), "Amount"),
    ):
        said = amount_of(totals, name)
        exact = _total(addends, addend) if said is not None else None
        if said is None or exact is None:
            continue
        expected = cents(exact)
        if every or said != expected:
            yield Sum(rule, kind, totals, {}, expected, said, addends=tuple(addends))


def _totals(index: ElementIndex, totals: Element, every: bool) -> Iterator[Sum]:
    net, without, including, due = (
        amount_of(totals, name)
        for name in ("LineExtensionAmount", "TaxExclusiveAmount", "TaxInclusiveAmount", "PayableAmount")
    )
    if net is not None and without is not None:
        allowances = amount_of(totals, "AllowanceTotalAmount") or _NOTHING
        charges = amount_of(totals, "ChargeTotalAmount") or _NOTHING
        expected = cents(net + charges - allowances)
        if every or without != expected:
            parts = {"net": net, "charges": charges, "allowances": allowances}
            yield Sum("BR-CO-13", "without_vat", totals, parts, expected, without)
    tax = _tax_total(index)
    if without is not None and including is not None and tax is not None:
        expected = cents(without + tax)
        if every or including != expected:
            yield Sum("BR-CO-15", "with_vat", totals, {"without": without, "tax": tax}, expected, including)
    if due is not None and including is not None:
        prepaid = amount_of(totals, "PrepaidAmount") or _NOTHING
        rounding = amount_of(totals, "PayableRoundingAmount") or _NOTHING
        if every or cents(due - rounding) != cents(including - prepaid):
            parts = {"including": including, "prepaid": prepaid, "rounding": rounding}
            yield Sum("BR-CO-16", "due", totals, parts, cents(including - prepaid) + rounding, due)


def _tax_total(index: ElementIndex) -> Decimal | None:
    """BT-110: the VAT total in the currency of the document."""
    currency = only(index.root, f"{{{CBC}}}DocumentCurrencyCode")
    amounts = [
        (total, amount)
        for total in index.root.by.get(f"{{{CAC}}}TaxTotal", ())
        for amount in total.by.get(f"{{{CBC}}}TaxAmount", ())
        if currency is not None and amount.attributes.get("currencyID") == currency.value.strip()
    ]
    return amount_of(amounts[0][0], "TaxAmount") if len(amounts) == 1 else None


def _taxes(index: ElementIndex, every: bool) -> Iterator[Sum]:
    for total in index.root.by.get(f"{{{CAC}}}TaxTotal", ()):
        parts = total.by.get(f"{{{CAC}}}TaxSubtotal", ())
        said, exact = amount_of(total, "TaxAmount"), _total(parts, "TaxAmount")
        if parts and said is not None and exact is not None and (every or said != cents(exact)):
            yield Sum("BR-CO-14", "vat", total, {}, cents(exact), said, addends=tuple(parts))
        for part in parts:
            yield from _category(part, every)


def _category(part: Element, every: bool) -> Iterator[Sum]:
    category = only(part, f"{{{CAC}}}TaxCategory")
    taxable, tax = amount_of(part, "TaxableAmount"), amount_of(part, "TaxAmount")
    percent = amount_of(category, "Percent") if category is not None else None
    if taxable is None or tax is None or percent is None:
        return
    exact = taxable * percent / 100
    expected = cents(exact) if exact >= 0 else -cents(-exact)  # BR-CO-17 compares without the signs
    if every or tax != expected:
        parts = {"percent": percent, "taxable": taxable}
        yield Sum("BR-CO-17", "category", part, parts, expected, tax, BELOW_ONE)


def _lines(index: ElementIndex, every: bool) -> Iterator[Sum]:
    for line in document_lines(index):
        price = only(line, f"{{{CAC}}}Price")
        net = amount_of(line, "LineExtensionAmount")
        quantity = amount_of(line, "InvoicedQuantity" if line.tag.endswith("InvoiceLine") else "CreditedQuantity")
        unit = amount_of(price, "PriceAmount") if price is not None else None
        if price is None or net is None or quantity is None or unit is None:
            continue
        base = amount_of(price, "BaseQuantity") or Decimal(1)
        charges, allowances = (_total(_modifiers(line, sense), "Amount") for sense in ("true", "false"))
        if charges is None or allowances is None:
            continue
        exact = quantity * unit / base + charges - allowances
        wrong = abs(net - exact) > LINE_TOLERANCE
        if every or wrong:
            parts = {"quantity": quantity, "price": unit, "base": base, "charges": charges, "allowances": allowances}
            kind = "line" if base == 1 else "line_for_base"
            # Two cents are measured from the exact amount, of which people see the rounded one.
            allowed = _NOTHING if wrong else abs(net - cents(exact)) + LINE_TOLERANCE
            yield Sum("PEPPOL-EN16931-R120", kind, line, parts, cents(exact), net, allowed)


def _taxable(index: ElementIndex) -> Iterator[Sum]:
    """BR-S-08 and its like: a taxable amount is what stands in its category, and for some categories at its rate."""
    for part in index.all(f"{{{CAC}}}TaxSubtotal"):
        category = only(part, f"{{{CAC}}}TaxCategory")
        said = amount_of(part, "TaxableAmount")
        code = _code(category)
        if category is None or said is None or code not in CATEGORIES:
            continue
        rate = amount_of(category, "Percent") if code in _BY_RATE else None
        lines = [line for line in document_lines(index) if _is_of(_item(line), "ClassifiedTaxCategory", code, rate)]
        modifiers = (
            [each for each in _modifiers(index.root, sense) if _is_of(each, "TaxCategory", code, rate)]
            for sense in ("true", "false")
        )
        net = _total(lines, "LineExtensionAmount")
        charges, allowances = (_total(each, "Amount") for each in modifiers)
        if net is None or charges is None or allowances is None:
            continue
        parts = {"net": net, "charges": charges, "allowances": allowances}
        allowed = BELOW_ONE if code in _BY_RATE else _NOTHING
        yield Sum(f"BR-{CATEGORIES[code]}-08", "taxable", part, parts, net + charges - allowances, said, allowed)


def _item(line: Element) -> Element | None:
    return only(line, f"{{{CAC}}}Item")


def _code(category: Element | None) -> str:
    found = only(category, f"{{{CBC}}}ID") if category is not None else None
    return found.value.strip() if found is not None else ""


def _is_of(element: Element | None, name: str, code: str, rate: Decimal | None) -> bool:
    category = only(element, f"{{{CAC}}}{name}") if element is not None else None
    if category is None or _code(category) != code:
        return False
    return rate is None or amount_of(category, "Percent") == rate
