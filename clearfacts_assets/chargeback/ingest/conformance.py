"""What an export says against FOCUS: missing columns, refused rows, and amounts that do not go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from clearfacts_assets.chargeback.cells import text_of
from clearfacts_assets.chargeback.cost_sources.detection import open_export
from clearfacts_assets.chargeback.focus import CATEGORIES, MANDATORY, NAMES, Dataset
from clearfacts_assets.chargeback.ingest.rows import RowReader
from clearfacts_assets.chargeback.ingest.rules import ReadingRules
from clearfacts_assets.money import EXACT, BadAmount, parse_amount, plain

MOST_FINDINGS = 1000


@dataclass(slots=True)
class Conformance:
    """The report. Each finding has line, rule and message; beyond MOST_FINDINGS they are only counted."""

    dataset: str
    version: str
    dialect: str
    missing: list[str]
    unknown: list[str]
    rows: int = 0
    refused: int = 0
    found: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def as_result(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def add(self, line: int, rule: str, message: str) -> None:
        self.found += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append({"line": line, "rule": rule, "message": message})


def examine(path: Path) -> Conformance:
    """Raises FileRefused, FileNotFoundError."""
    export = open_export(path)
    opened = export.opened
    billed = opened.dataset is Dataset.COST_AND_USAGE
    missing = [name for name in MANDATORY if name not in opened.columns] if billed else []
    unknown = [name for name in opened.columns if name not in NAMES] if billed else []
    report = Conformance(opened.dataset.value, opened.version, opened.dialect, missing, unknown)
    reader = RowReader(opened, ReadingRules("conformance"))
    for batch in export.batches():
        report.rows += len(batch.rows)
        if not billed:
            continue
        for refusal in reader.take(batch).refusals:
            report.refused += 1
            report.add(refusal.line, refusal.code, refusal.message)
        for row, line in zip(batch.rows, batch.lines, strict=True):
            _row(report, {name: text_of(cell) for name, cell in zip(opened.columns, row, strict=True)}, line)
    report.findings.sort(key=lambda one: one["line"])
    return report


def _row(report: Conformance, said: dict[str, str], line: int) -> None:
    category = said.get("ChargeCategory", "")
    if category and category not in CATEGORIES:
        report.add(line, "ChargeCategory", f"{category!r} is none of {', '.join(sorted(CATEGORIES))}")
    if said.get("ChargeClass") and said["ChargeClass"] != "Correction":
        report.add(line, "ChargeClass", f"{said['ChargeClass']!r} is neither null nor Correction")
    effective = _number(said, "EffectiveCost")
    if category == "Purchase" and said.get("CommitmentDiscountId") and effective:
        why = f"a covering purchase has EffectiveCost {plain(effective)} and not 0: on that basis it counts twice"
        report.add(line, "EffectiveCost of a covering purchase = 0", why)
    if said.get("ChargeClass") != "Correction":
        for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
            _product(report, line, cost, price, [_number(said, name) for name in (cost, price, "PricingQuantity")])
    billed = _number(said, "BilledCost")
    for name in ("ListCost", "ContractedCost"):
        if billed and billed > 0 and _number(said, name) == 0:
            report.add(line, f"{name} is known", f"{name} is 0 where BilledCost is {plain(billed)}: it is not known")


def _product(report: Conformance, line: int, cost: str, price: str, values: Sequence[Decimal | None]) -> None:
    total, unit, quantity = values
    if total is None or unit is None or quantity is None:
        return
    product = EXACT.multiply(unit, quantity)
    # Prices are given rounded: half a unit of their last place, times the quantity, is no finding.
    exponent = unit.as_tuple().exponent
    slack = EXACT.multiply(abs(quantity), Decimal(1).scaleb(int(exponent)) / 2) + Decimal("0.01")
    if abs(EXACT.subtract(total, product)) > slack:
        why = f"{cost} is {plain(total)}, {price} x PricingQuantity {plain(product)}"
        report.add(line, f"{cost} = {price} x PricingQuantity", why)


def _number(said: dict[str, str], name: str) -> Decimal | None:
    text = said.get(name, "")
    try:
        return Decimal(parse_amount(text, said.get("BillingCurrency", ""))) if text else None
    except BadAmount:
        return None
