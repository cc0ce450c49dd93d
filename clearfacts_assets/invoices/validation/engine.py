"""Validate documents: one, or as many as there are, lazily, in order, on every core that is given.

>>> with Validator(workers=2) as validator:          # doctest: +SKIP
...     for path, report in validator.validate_many((path, path.read_bytes()) for path in folder):
...         print(path, report.decision, report.reason)
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from datetime import date
from types import TracebackType
from typing import Any, TypeVar

from clearfacts_assets.invoices.model import Finding, Invoice, Party, Report
from clearfacts_assets.invoices.validation.inspection import Inspector, ValidationPlan
from clearfacts_assets.invoices.validation.policy import Policy
from clearfacts_assets.invoices.validation.rules import RuleOptions
from clearfacts_assets.invoices.validation.ubl import Limits
from clearfacts_assets.invoices.validation.workers import BATCH, DOCUMENT_SECONDS, Workers

K = TypeVar("K")

AHEAD = 3 * BATCH  # documents for each worker that may be read before the oldest report is taken
AHEAD_BYTES = 64 * 2**20  # ... and their bytes, so that large documents do not fill the memory


class Validator:
    """Gives every document its Report. Safe to use from several threads; close it, or use it in a ``with``.

    ``workers`` processes do the work and live until ``close``; with 0 it is done in the calling thread. ``layers``
    runs just these layers on every document, whatever its profile; ``day`` takes the rules in force on that day.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        workers: int = 1,
        limits: Limits | None = None,
        options: RuleOptions | None = None,
        layers: Sequence[str] | None = None,
        document_seconds: float = DOCUMENT_SECONDS,
        day: date | None = None,
    ) -> None:
        chosen = None if layers is None else tuple(layers)
        self.plan = ValidationPlan(policy or Policy(), limits or Limits(), options or RuleOptions(), chosen, day)
        self._count = workers
        self._inspectors = threading.local()
        self._workers = Workers(self.plan, workers, document_seconds=document_seconds) if workers else None

    def validate(self, content: bytes) -> Report:
        """The report of one document. Raises WorkersFailed where no worker process can be started."""
        if self._workers is not None:
            return self._workers.submit(content).result()
        return self._inspector().inspect(content)

    def validate_many(self, items: Iterable[tuple[K, bytes]]) -> Iterator[tuple[K, Report]]:
        """Reports in the order of the items, lazily: reads only as far ahead as keeps the workers busy.

        Where the items end with an exception, it is raised after the reports of all that came before it.
        """
        if self._workers is None:
            for key, content in items:
                yield key, self.validate(content)
            return
        waiting: deque[tuple[K, int, Future[Report]]] = deque()
        ahead = 0
        failure: Exception | None = None
        source = iter(items)
        try:
            while True:
                try:
                    key, content = next(source)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001 - raised again when all that came before it is reported
                    failure = error
                    break
                waiting.append((key, len(content), self._workers.submit(content)))
                ahead += len(content)
                del content  # its worker has it, or will soon
                while waiting and (len(waiting) > AHEAD * self._count or ahead > AHEAD_BYTES or waiting[0][2].done()):
                    oldest, size, future = waiting.popleft()
                    ahead -= size
                    yield oldest, future.result()
            while waiting:
                oldest, _, future = waiting.popleft()
                yield oldest, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()
        if failure is not None:
            raise failure

    @property
    def worker_pids(self) -> list[int]:
        """The worker processes that run now."""
        return self._workers.pids if self._workers is not None else []

    def close(self) -> None:
        if self._workers is not None:
            self._workers.close()

    def __enter__(self) -> Validator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _inspector(self) -> Inspector:
        inspector: Inspector | None = getattr(self._inspectors, "inspector", None)
        if inspector is None:
            inspector = self._inspectors.inspector = Inspector(self.plan)
        return inspector


def report_as_json(report: Report) -> dict[str, Any]:
    """A report in plain JSON types: amounts as text, dates as ISO 8601, missing values as null."""
    return {
        "sha256": report.sha256,
        "size": report.size,
        "profile": report.profile,
        "decision": report.decision.value,
        "reason": report.reason,
        "duration": round(report.duration, 6),
        "versions": dict(report.versions),
        "findings": [_finding(finding) for finding in report.findings],
        **_head(report.invoice),
    }


def _head(invoice: Invoice | None) -> dict[str, Any]:
    if invoice is None:
        names = ("type", "type_code", "number", "issue_date", "payable", "supplier", "customer")
        return dict.fromkeys((*names, "customization_id", "profile_id"))
    return {
        "type": invoice.document_type.value,
        "type_code": invoice.type_code,
        "number": invoice.number,
        "issue_date": invoice.issue_date.isoformat(),
        "payable": {"amount": format(invoice.payable.amount, "f"), "currency": invoice.payable.currency},
        "supplier": _party(invoice.supplier),
        "customer": _party(invoice.customer),
        "customization_id": invoice.customization_id,
        "profile_id": invoice.profile_id,
    }


def _party(party: Party) -> dict[str, Any]:
    return {**asdict(party), "other_ids": list(party.other_ids)}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "layer": finding.layer,
        "severity": finding.severity.value,
        "location": finding.location,
        "line": finding.line,
        "message": finding.message,
        "hint": finding.hint,
    }
