"""What the amounts of a document come to, with the numbers, where the document says something else.

The official rules say only that a sum is wrong. These findings carry the id of the rule that they explain, and are
information: the decision stays with the official rule. Rounding is XPath's: to the cent, a half towards +infinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import ROUND_FLOOR, Decimal, localcontext
from importlib.metadata import version

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import Element, ElementIndex, element_index_of, location_of
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import CAC, CBC

LAYER = "amounts"
_PRECISION = 60
_AMOUNT = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*", re.ASCII)
_NOTHING = Decimal(0)
LINE_TOLERANCE = Decimal("0.02")  # PEPPOL-EN16931-R120
_TOTALS = {
    "LineExtensionAmount": ("BR-DEC-09", "BT-106"),
    "AllowanceTotalAmount": ("BR-DEC-10", "BT-107"),
    "ChargeTotalAmount": ("BR-DEC-11", "BT-108"),
    "TaxExclusiveAmount": ("BR-DEC-12", "BT-109"),
    "TaxInclusiveAmount": ("BR-DEC-14", "BT-112"),
    "PrepaidAmount": ("BR-DEC-16", "BT-113"),
    "PayableRoundingAmount": ("BR-DEC-17", "BT-114"),
    "PayableAmount": ("BR-DEC-18", "BT-115"),
}


class Amounts:
    """BR-CO-10 to BR-CO-17, BR-DEC and R120, explained. Safe to use from several threads."""

    layer = LAYER

    def __init__(self) -> None:
        self.version = f"clearfacts-assets {version('clearfacts-assets')}"

    def check(self, document: ParsedDocument) -> list[Finding]:
        index = element_index_of(document)
        with localcontext() as context:
            context.prec = _PRECISION
            totals = _only(index.root, f"{{{CAC}}}LegalMonetaryTotal")
            found = [*_lines(index), *_taxes(index)]
            if totals is not None:
                found += [*_totals(index, totals), *_decimals(totals)]
            return found


def cents(amount: Decimal) -> Decimal:
    """``round(x * 100) div 100`` in XPath."""
    return (amount * 100 + Decimal("0.5")).to_integral_value(ROUND_FLOOR) / 100


def _only(element: Element, tag: str) -> Element | None:
    found = element.by.get(tag, ())
    return found[0] if len(found) == 1 else None


def _amount(element: Element, name: str) -> Decimal | None:
    """The one amount of that name; None where there is none, several, or something that is not a number."""
    found = _only(element, f"{{{CBC}}}{name}")
    written = _AMOUNT.fullmatch(found.value) if found is not None else None
    return Decimal(written.group(1)) if written else None


def _shown(amount: Decimal) -> str:
    return f"{amount:,.2f}" if amount == cents(amount) else f"{amount:,f}"


def _off(rule: str, element: Element, what: str, said: Decimal, expected: Decimal) -> Finding:
    difference = said - expected
    sense = "too much" if difference > 0 else "too little"
    message = f"{what} come to {_shown(expected)}; the document says {_shown(said)}: {_shown(abs(difference))} {sense}"
    return Finding(rule, LAYER, Severity.INFORMATION, message, location_of(element.source))


def _sum(elements: Iterable[Element], name: str) -> Decimal | None:
    """The sum of one amount of each; None where one of them has not exactly one."""
    total = _NOTHING
    for element in elements:
        amount = _amount(element, name)
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


def _document_lines(index: ElementIndex) -> list[Element]:
    return [*index.all(f"{{{CAC}}}InvoiceLine"), *index.all(f"{{{CAC}}}CreditNoteLine")]


def _totals(index: ElementIndex, totals: Element) -> Iterator[Finding]:
    root = index.root
    for rule, name, what, expected in (
        (
            "BR-CO-10",
            "LineExtensionAmount",
            "the net amounts of the lines",
            _sum(_document_lines(index), "LineExtensionAmount"),
        ),
        ("BR-CO-11", "AllowanceTotalAmount", "the allowances", _sum(_modifiers(root, "false"), "Amount")),
        ("BR-CO-12", "ChargeTotalAmount", "the charges", _sum(_modifiers(root, "true"), "Amount")),
    ):
        said = _amount(totals, name)
        if said is not None and expected is not None and said != cents(expected):
            yield _off(rule, totals, what, said, cents(expected))
    net, without, including = (
        _amount(totals, name) for name in ("LineExtensionAmount", "TaxExclusiveAmount", "TaxInclusiveAmount")
    )
    allowances = _amount(totals, "AllowanceTotalAmount") or _NOTHING
    charges = _amount(totals, "ChargeTotalAmount") or _NOTHING
    if net is not None and without is not None and without != cents(net + charges - allowances):
        what = f"lines {_shown(net)} + charges {_shown(charges)} - allowances {_shown(allowances)}"
        yield _off("BR-CO-13", totals, what, without, cents(net + charges - allowances))
    tax = _tax_total(index)
    if without is not None and including is not None and tax is not None and including != cents(without + tax):
        what = f"net {_shown(without)} + VAT {_shown(tax)}"
        yield _off("BR-CO-15", totals, what, including, cents(without + tax))
    due, prepaid = _amount(totals, "PayableAmount"), _amount(totals, "PrepaidAmount") or _NOTHING
    rounding = _amount(totals, "PayableRoundingAmount") or _NOTHING
    if due is not None and including is not None and cents(due - rounding) != cents(including - prepaid):
        what = f"total {_shown(including)} - prepaid {_shown(prepaid)} + rounding {_shown(rounding)}"
        yield _off("BR-CO-16", totals, what, due, cents(including - prepaid) + rounding)


def _tax_total(index: ElementIndex) -> Decimal | None:
    """BT-110: the VAT total in the currency of the document."""
    currency = _only(index.root, f"{{{CBC}}}DocumentCurrencyCode")
    amounts = [
        (total, amount)
        for total in index.root.by.get(f"{{{CAC}}}TaxTotal", ())
        for amount in total.by.get(f"{{{CBC}}}TaxAmount", ())
        if currency is not None and amount.attributes.get("currencyID") == currency.value.strip()
    ]
    return _amount(amounts[0][0], "TaxAmount") if len(amounts) == 1 else None


def _taxes(index: ElementIndex) -> Iterator[Finding]:
    for total in index.root.by.get(f"{{{CAC}}}TaxTotal", ()):
        parts = total.by.get(f"{{{CAC}}}TaxSubtotal", ())
        said, expected = _amount(total, "TaxAmount"), _sum(parts, "TaxAmount")
        if parts and said is not None and expected is not None and said != cents(expected):
            yield _off("BR-CO-14", total, "the VAT amounts of the categories", said, cents(expected))
        for part in parts:
            yield from _category(part)


def _category(part: Element) -> Iterator[Finding]:
    category = _only(part, f"{{{CAC}}}TaxCategory")
    taxable, tax = _amount(part, "TaxableAmount"), _amount(part, "TaxAmount")
    percent = _amount(category, "Percent") if category is not None else None
    if taxable is None or tax is None or percent is None:
        return
    exact = taxable * percent / 100
    expected = cents(exact) if exact >= 0 else -cents(-exact)  # BR-CO-17 compares without the signs
    if tax != expected:
        yield _off("BR-CO-17", part, f"{percent.normalize():f} % of {_shown(taxable)}", tax, expected)


def _decimals(totals: Element) -> Iterator[Finding]:
    for name, (rule, term) in _TOTALS.items():
        amount = _amount(totals, name)
        exponent = amount.as_tuple().exponent if amount is not None else 0
        if isinstance(exponent, int) and exponent < -2:
            message = f"{name} ({term}) {amount} has {-exponent} decimals; two are allowed"
            yield Finding(rule, LAYER, Severity.INFORMATION, message, location_of(totals.source))


def _lines(index: ElementIndex) -> Iterator[Finding]:
    for line in _document_lines(index):
        price = _only(line, f"{{{CAC}}}Price")
        net = _amount(line, "LineExtensionAmount")
        quantity = _amount(line, "InvoicedQuantity" if line.tag.endswith("InvoiceLine") else "CreditedQuantity")
        unit = _amount(price, "PriceAmount") if price is not None else None
        if price is None or net is None or quantity is None or unit is None:
            continue
        base = _amount(price, "BaseQuantity") or Decimal(1)
        charges, allowances = (_sum(_modifiers(line, sense), "Amount") for sense in ("true", "false"))
        if charges is None or allowances is None:
            continue
        expected = quantity * unit / base + charges - allowances
        if abs(net - expected) > LINE_TOLERANCE:
            per = "" if base == 1 else f" for {base.normalize():f}"
            modified = f"charges {_shown(charges)}, allowances {_shown(allowances)}"
            what = f"{quantity.normalize():f} at {unit.normalize():f}{per}, {modified}"
            yield _off("PEPPOL-EN16931-R120", line, what, net, cents(expected))


def rule_set(options: RuleOptions) -> Amounts:
    return Amounts()
