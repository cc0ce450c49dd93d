"""Findings as CSV for a spreadsheet: a row a finding, and one for each document without any."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from clearfacts_assets.invoices.model import Finding, Report
from clearfacts_assets.spreadsheet import neutralised

COLUMNS = (
    *("path", "sha256", "profile", "decision", "number", "issue_date", "supplier", "customer", "amount", "currency"),
    *("rule", "layer", "severity", "line", "location", "message", "hint"),
)
LINE_END = "\r\n"  # RFC 4180


def as_csv(reports: Iterable[tuple[str, Report]]) -> Iterator[str]:
    """RFC 4180 with a header, piece by piece. Amounts are exact numbers; all text is harmless in a spreadsheet."""
    yield _written(COLUMNS)
    for path, report in reports:
        head = _head(path, report)
        for finding in report.findings or (None,):
            yield _written([*head, *_finding(finding)])


def _head(path: str, report: Report) -> list[str]:
    invoice = report.invoice
    start = [neutralised(path), report.sha256, report.profile, report.decision.value]
    if invoice is None:
        return [*start, *[""] * 6]
    return [
        *start,
        neutralised(invoice.number),
        invoice.issue_date.isoformat(),
        neutralised(invoice.supplier.name),
        neutralised(invoice.customer.name),
        format(invoice.payable.amount, "f"),
        neutralised(invoice.payable.currency),
    ]


def _finding(finding: Finding | None) -> list[str]:
    if finding is None:
        return [""] * 7
    return [
        neutralised(finding.rule),
        finding.layer,
        finding.severity.value,
        str(finding.line or ""),
        neutralised(finding.location),
        neutralised(finding.message),
        neutralised(finding.hint),
    ]


def _written(row: Iterable[str]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator=LINE_END).writerow(row)
    return file.getvalue()
