"""The four daily assets: what the ERP has, what is valid, what Clearfacts got, and what it all came to.

Data passes through our database; Dagster keeps what people look at. Each asset reads, calls one function of the core,
writes, and says what happened.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt

from clearfacts_assets import settings
from clearfacts_assets.invoices import delivery
from clearfacts_assets.invoices.automation import DAYS, window_of
from clearfacts_assets.invoices.metadata import job_command, table
from clearfacts_assets.invoices.model import Decision, InvoiceStatus
from clearfacts_assets.invoices.ports import SourceError
from clearfacts_assets.invoices.retrieval import Retrieval, Stored, retrieve_chosen, retrieve_window
from clearfacts_assets.invoices.runs import job_of, reconcile
from clearfacts_assets.invoices.validation import report_as_json, validator_from
from clearfacts_assets.resources import ClearfactsResource, DatabaseResource, SettingMissing, SourceResource
from clearfacts_assets.storage.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices import InvoiceRepository
from clearfacts_assets.storage.jobs import JobRepository

BATCH = 200  # rows written in one transaction
GROUP, OWNERS = "invoice_delivery", ["team:finance"]

T = TypeVar("T")


class RetrievalRequest(dg.Config):
    """What to take, other than the day's whole window."""

    invoice_ids: list[str] = []
    force_processing: bool = False


class DeliveryRequest(dg.Config):
    """Whether to send again, knowingly, what was delivered before."""

    force_processing: bool = False


@dg.asset(partitions_def=DAYS, group_name=GROUP, owners=OWNERS, kinds={"java", "xml"})
def raw_invoices(
    context: dg.AssetExecutionContext, config: RetrievalRequest, source: SourceResource, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Every invoice that the ERP created or changed on the day (Brussels time, half-open window in UTC).

    Takes them page by page and stores each page at once. A record that cannot be used fails alone. When the ERP stops
    answering after some pages, what came goes on to Clearfacts, and the run ends as failed and says which page is
    missing: materialize the partition again, nothing is sent twice.

    Configuration: `invoice_ids` takes just these, whatever their day; `force_processing` sends again what was
    delivered before.
    """
    engine = database.engine()
    rows = InvoiceRepository(engine)
    with job_of(context, engine) as book, source.open(book.job.correlation_id) as erp:
        window = window_of(book.job.partition_key)

        def store(page: Sequence[SourceDocument]) -> Stored:
            return rows.store(book.job.id, page, now=_now(), skip_delivered=not config.force_processing)

        def progress(so_far: Retrieval) -> None:
            context.log.info(f"{so_far.rows} invoices in {so_far.pages} pages")

        try:
            if config.invoice_ids:
                retrieval = retrieve_chosen(erp, config.invoice_ids, store, progress)
            else:
                retrieval = retrieve_window(erp, window, store, progress)
        except SourceError as error:
            raise dg.Failure(f"Nothing was retrieved. {error}", allow_retries=False) from error
        book.note(
            window=[window.start.isoformat(), window.end.isoformat()],
            invoice_ids=config.invoice_ids,
            force_processing=config.force_processing,
            retrieval=asdict(retrieval),
        )
        if retrieval.stopped:
            book.note_problem(f"The ERP gave only {retrieval.pages} pages. {retrieval.stopped}")
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": retrieval.rows,
                "new": retrieval.new,
                "delivered_before": retrieval.known,
                "repeated_rows": retrieval.repeated + retrieval.replaced,
                "unusable": retrieval.unusable,
                "pages": retrieval.pages,
                "megabytes": round(retrieval.bytes / 1e6, 3),
                "window": f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}",
                "complete": not retrieval.stopped,
                "stopped_because": retrieval.stopped or "–",
                "show": job_command(book.job.id),
            }
        )


@dg.asset(partitions_def=DAYS, deps=[raw_invoices], group_name=GROUP, owners=OWNERS, kinds={"xml"})
def validated_invoices(
    context: dg.AssetExecutionContext, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """The day's invoices with all that the rule sets found in them, and the decision: accept, hold or reject.

    A rejected invoice is failed, with its reason, and never leaves. One on hold waits for a person. The findings are
    kept with each invoice: `clearfacts invoices show ID`.
    """
    engine = database.engine()
    rows = InvoiceRepository(engine)
    decisions: Counter[Decision] = Counter()
    rules: Counter[tuple[str, str]] = Counter()
    refused: list[tuple[str, str, str]] = []
    started = time.monotonic()
    with job_of(context, engine) as book, validator_from(settings.load().validation) as validator:
        adopt_rows(book, rows, "raw_invoices")
        documents = (
            ((row.id, row.invoice_id), row.content)
            for batch in rows.batches_to_validate(book.job.id, BATCH)
            for row in batch
        )
        for reports in in_batches(validator.validate_many(documents)):
            rows.record_reports(
                book.job.id, [(row, report, report_as_json(report)) for (row, _), report in reports], now=_now()
            )
            for (_, invoice_id), report in reports:
                decisions[report.decision] += 1
                rules.update({(finding.rule, finding.layer) for finding in report.findings})
                if report.decision is not Decision.ACCEPT:
                    refused.append((invoice_id, report.decision.value, report.reason))
        seconds = time.monotonic() - started
        total = decisions.total()
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": total,
                "accepted": decisions[Decision.ACCEPT],
                "on_hold": decisions[Decision.HOLD],
                "rejected": decisions[Decision.REJECT],
                "documents_per_second": round(total / seconds, 1) if total else 0,
                "not_accepted": table({"invoice": "string", "decision": "string", "reason": "string"}, refused),
                "most_frequent_rules": table(
                    {"rule": "string", "layer": "string", "documents": "int"},
                    [(rule, layer, count) for (rule, layer), count in rules.most_common(15)],
                ),
                "show": job_command(book.job.id),
            }
        )
