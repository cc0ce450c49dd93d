"""What the amounts of a document come to, with the numbers, where the document says something else.

The official rules say only that a sum is wrong. These findings carry the id of the rule that they explain, and are
information: the decision stays with the official rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from clearfacts_assets.invoices.model import Finding, Severity
from clearfacts_assets.invoices.ports import ParsedDocument
from clearfacts_assets.invoices.validation.elements import Element, element_index_of, location_of
from clearfacts_assets.invoices.validation.rules import RuleOptions, bounded
from clearfacts_assets.invoices.validation.sum_words import sentence
from clearfacts_assets.invoices.validation.sums import amount_of, monetary_total, wrong_sums

LAYER = "amounts"
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
        found = bounded(
            Finding(one.rule, LAYER, Severity.INFORMATION, sentence(one), location_of(one.element))
            for one in wrong_sums(index)
        )
        totals = monetary_total(index)
        return [*found, *_decimals(totals)] if totals is not None else found


def _decimals(totals: Element) -> Iterator[Finding]:
    for name, (rule, term) in _TOTALS.items():
        amount = amount_of(totals, name)
        exponent = amount.as_tuple().exponent if amount is not None else 0
        if isinstance(exponent, int) and exponent < -2:
            message = f"{name} ({term}) {amount} has {-exponent} decimals; two are allowed"
            yield Finding(rule, LAYER, Severity.INFORMATION, message, location_of(totals))


def rule_set(options: RuleOptions) -> Amounts:
    return Amounts()
