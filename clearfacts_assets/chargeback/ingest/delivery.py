"""A delivery from its files to the ledger: read, stage, compare, apply. One way through for everybody who imports."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from clearfacts_assets.chargeback.cells import moment_of, text_of
from clearfacts_assets.chargeback.cost_sources.detection import is_use, open_export
from clearfacts_assets.chargeback.cost_sources.opening import digest_of, refused
from clearfacts_assets.chargeback.cost_sources.usage import Usage
from clearfacts_assets.chargeback.focus import Dataset
from clearfacts_assets.chargeback.garbage_collection import few_collections
from clearfacts_assets.chargeback.ingest.row_totals import TIE_OUT, RowTotals
from clearfacts_assets.chargeback.ingest.rows import RowReader, Taken
from clearfacts_assets.chargeback.ingest.rules import ReadingRules
from clearfacts_assets.chargeback.ports import Batch, Delivery, Limits, Opened, Outcome
from clearfacts_assets.messages import Message
from clearfacts_assets.money import EXACT, BadAmount, parse_amount, plain


class StagedFile(Protocol):
    """One file of a delivery under way."""

    tie_out: list[dict[str, Any]]
    totals: RowTotals
    rows: int
    refused: int


class Staging(Protocol):
    """Where rows wait until they are compared with the ledger."""

    def begin(self, opened: Opened) -> StagedFile: ...

    def add(self, file: Any, batch: Batch, taken: Taken) -> None: ...

    def end(self, file: Any) -> None: ...


class Ledger(Protocol):
    """What an import needs of the ledger."""

    def unchanged(self, delivery: Delivery, content: str, rules: str) -> Outcome | None:
        """The last outcome, where these very files were the last to be imported and nothing else came since."""
        ...

    def staging(self) -> AbstractContextManager[Staging]: ...

    def apply(self, staging: Any, delivery: Delivery, content: str, rules: str) -> Outcome: ...

    def stopped(self, staging: Any, why: str) -> Outcome: ...


def ingest(
    files: Sequence[Path],
    delivery: Delivery,
    rules: ReadingRules,
    ledger: Ledger,
    *,
    limits: Limits | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Outcome:
    """Import the files as one. Raises FileRefused, FileNotFoundError, NotAllowed; then nothing has changed."""
    content = content_digest([digest_of(path)[0] for path in files])
    usage = rules.usage or Usage(rules.source)
    rules = replace(rules, usage=usage, priced=any(is_use(path, usage) for path in files))
    if not delivery.dry_run:
        known = ledger.unchanged(delivery, content, rules.digest())
        if known is not None:
            return known
    with ledger.staging() as staging, few_collections():
        rows, unbilled, notes = 0, 0, list[str]()
        for path in files:
            export = open_export(path, limits, usage)
            file = staging.begin(export.opened)
            if export.opened.dataset is not Dataset.COST_AND_USAGE:
                kept = _keep(staging, file, export.opened, export.batches())
                notes.append(f"{path.name}: {kept} records of {export.opened.dataset} are kept, and not billed")
                continue
            reader = RowReader(export.opened, rules)
            for batch in export.batches():
                taken = reader.take(batch)
                staging.add(file, batch, taken)
                if progress is not None:
                    progress(path.name, file.rows)
            staging.end(file)
            file.tie_out = file.totals.tie_out()
            rows, unbilled = rows + file.rows, unbilled + file.refused
        if delivery.strict and unbilled:
            return ledger.stopped(staging, f"{unbilled} rows are refused, and --strict imports all or nothing")
        if not rows and not unbilled and not notes:
            return ledger.stopped(staging, "there is no row in it")
        return replace(ledger.apply(staging, delivery, content, rules.digest()), notes=tuple(notes))


def content_digest(digests: Sequence[str]) -> str:
    """Of a delivery: its files, in whatever order they were named."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _keep(staging: Staging, file: StagedFile, opened: Opened, batches: Any) -> int:
    """A data set that is not billed: its records are kept, and what its invoices add up to. Returns how many."""
    totals, records = _Invoiced(), 0
    for batch in batches:
        records += len(batch.rows)
        totals.add(opened, batch)
        staging.add(file, batch, Taken(refusals=list(batch.refusals)))
    staging.end(file)
    file.tie_out = totals.result()
    return records


class _Invoiced:
    """What an Invoice Detail says was invoiced, as ``RowTotals.tie_out`` has it of rows."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
        self._rows: dict[tuple[str, ...], int] = defaultdict(int)

    def add(self, opened: Opened, batch: Batch) -> None:
        """An Invoice Detail; the other data sets have no BilledCost."""
        if opened.dataset is not Dataset.INVOICE_DETAIL:
            return
        place = {name: index for index, name in enumerate(opened.columns)}
        for row in batch.rows:
            said = {name: text_of(row[index]) for name, index in place.items()}
            period = moment_of(said.get("BillingPeriodStart", ""))[:7]
            names = ("BillingAccountId", "InvoiceId", "InvoiceIssuerName", "BillingCurrency")
            key = (period, *(said.get(name, "") for name in names))
            try:
                billed = parse_amount(said.get("BilledCost") or "0", key[4])
            except BadAmount as error:
                raise refused(
                    opened.path,
                    error.code,
                    Message("BilledCost {said!r}: {error}", {"said": said["BilledCost"], "error": error}),
                ) from None
            self._sums[key] = EXACT.add(self._sums[key], Decimal(billed))
            self._rows[key] += 1

    def result(self) -> list[dict[str, Any]]:
        return [
            {**dict(zip(TIE_OUT, key, strict=True)), "rows": self._rows[key], "billed": plain(billed)}
            for key, billed in sorted(self._sums.items())
        ]
