"""The four daily assets: what the ERP has, what is valid, what Clearfacts got, and what it all came to.

Data passes through our database; Dagster keeps what people look at. Each asset reads, calls one function of the core,
writes, and says what happened. (No postponed annotations here: Dagster reads them as they are.)
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import dagster as dg

from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.days import home_day, part_of, window_of
from clearfacts_assets.invoices.defs.automation import DAYS
from clearfacts_assets.invoices.defs.checks import COUNTS_ARE_CONSERVED, counts_are_conserved
from clearfacts_assets.invoices.defs.delivery_options import force_of, pace_from, remembering, signals_of
from clearfacts_assets.invoices.defs.inherited_rows import left_by_others, take_over
from clearfacts_assets.invoices.defs.resources import ClearfactsResource, SourceResource, destination_name
from clearfacts_assets.invoices.defs.runs import JobRun, dead_runs, job_of
from clearfacts_assets.invoices.defs.validation_summary import Verdicts
from clearfacts_assets.invoices.delivery import sending
from clearfacts_assets.invoices.delivery.job import DeliveryJob
from clearfacts_assets.invoices.model import InvoiceStatus, Report, SourceDocument, Window
from clearfacts_assets.invoices.ports import SourceError
from clearfacts_assets.invoices.retrieval import Retrieval, Stored, retrieve_chosen, retrieve_window
from clearfacts_assets.invoices.validation.engine import report_as_json
from clearfacts_assets.invoices.validation.fingerprint import fingerprint, is_for_good
from clearfacts_assets.orchestration.dagster_internals import capture_interrupts, check_captured_interrupt
from clearfacts_assets.orchestration.metadata import links, table
from clearfacts_assets.resources import DatabaseResource, ValidationResource
from clearfacts_assets.storage.invoices.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.invoices.invoices import InvoiceRepository
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.known_reports import marked, take_known_reports
from clearfacts_assets.storage.invoices.reasons import reasons_of
from clearfacts_assets.storage.invoices.takeover import Takeover

BATCH = 200  # rows written in one transaction
GROUP, OWNERS = "invoice_delivery", ["team:finance"]

T = TypeVar("T")


class RetrievalRequest(dg.Config):
    """What to take, other than the day's whole window."""

    invoice_ids: list[str] = []
    force_processing: bool = False
    part: str = ""


class DeliveryRequest(dg.Config):
    """Whether to send again, knowingly, what was delivered before."""

    force_processing: bool = False


@dg.asset(partitions_def=DAYS, group_name=GROUP, owners=OWNERS, kinds={"java", "xml"})
def raw_invoices(
    context: dg.AssetExecutionContext, config: RetrievalRequest, source: SourceResource, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Every invoice that the ERP created or changed on the day (Brussels time, half-open window in UTC).

    Takes them page by page and stores each page at once. A record that cannot be used fails alone. When the ERP stops
    answering after some pages, what came goes on to the destination, and the run ends as failed and says which page is
    missing: materialize the partition again, nothing is sent twice.

    Configuration: `invoice_ids` takes just these, whatever their day; `force_processing` sends again what was
    delivered before; `part` (`3/10`) takes the third of ten equal parts of the day, the others are other runs', at the
    same time or not. The day counts as processed when each part was.
    """
    engine = database.engine()
    rows = InvoiceRepository(engine, destination_name())
    with job_of(context, engine) as recorder, source.open(recorder.job.correlation_id) as erp:
        window = _window(recorder.job.partition_key, config)
        whole = not config.invoice_ids

        def store(page: Sequence[SourceDocument]) -> Stored:
            return rows.store(recorder.job.id, page, now=_now(), skip_delivered=not config.force_processing)

        def progress(so_far: Retrieval) -> None:
            context.log.info(f"{so_far.rows} invoices in {so_far.pages} pages")

        try:
            if config.invoice_ids:
                retrieval = retrieve_chosen(erp, config.invoice_ids, store, progress)
            else:
                retrieval = retrieve_window(erp, window, store, progress)
        except SourceError as error:
            raise dg.Failure(f"Nothing was retrieved. {error}", allow_retries=False) from error
        recorder.note(
            window=[window.start.isoformat(), window.end.isoformat()],
            invoice_ids=config.invoice_ids,
            force_processing=config.force_processing,
            asked_part=config.part,
            retrieval=asdict(retrieval),
            whole_day=whole and not retrieval.stopped and not config.part,
            part=config.part if whole and config.part and not retrieval.stopped else None,
        )
        Takeover(engine).close_left(recorder.job.id, recorder.job.partition_key, now=_now())
        if whole and not retrieval.stopped and not config.part:
            SqlDeliveryLedger(engine).withdraw(recorder.job.id, recorder.job.partition_key)
        if retrieval.stopped:
            pages = "1 page" if retrieval.pages == 1 else f"{retrieval.pages} pages"
            recorder.note_problem(f"The ERP gave only {pages}. {retrieval.stopped}")
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": retrieval.rows,
                "new": retrieval.new,
                "delivered_before": retrieval.delivered_before,
                "repeated_rows": retrieval.repeated + retrieval.replaced,
                "unusable": retrieval.unusable,
                "pages": retrieval.pages,
                "megabytes": round(retrieval.bytes / 1e6, 3),
                "window": f"{window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}",
                "complete": not retrieval.stopped,
                "stopped_because": retrieval.stopped or "–",
                **links(recorder.job.id),
            }
        )


def _window(partition_key: str, config: RetrievalRequest) -> Window:
    if not config.part:
        return window_of(partition_key)
    try:
        return part_of(window_of(partition_key), config.part)
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@dg.asset(partitions_def=DAYS, deps=[raw_invoices], group_name=GROUP, owners=OWNERS, kinds={"xml"})
def validated_invoices(
    context: dg.AssetExecutionContext, validation: ValidationResource, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """The day's invoices with all that the rule sets found in them, and the decision: accept, hold or reject.

    What these rules have said of the same content before, in whatever run, is not asked again.
    A rejected invoice is failed, with its reason, and never leaves. One on hold waits for a person. The findings are
    kept with each invoice: `clearfacts invoices show ID`.
    """
    engine, verdicts = database.engine(), Verdicts()
    rows = InvoiceRepository(engine)
    with job_of(context, engine) as recorder:
        take_over(recorder, Takeover(engine), "raw_invoices")
        validator = validation.validator()
        rules = fingerprint(validator.plan)
        for known in take_known_reports(engine, recorder.job.id, rules, now=_now()):
            for invoice_id, said in known:
                verdicts.add(invoice_id, said, known=True)
        documents = (
            ((row.id, row.invoice_id), row.content)
            for batch in rows.batches_to_validate(recorder.job.id, BATCH)
            for row in batch
        )
        started = time.monotonic()
        for reports in in_batches(validator.validate_many(documents)):
            told = [(key, report, _to_keep(report, rules)) for key, report in reports]
            rows.record_reports(recorder.job.id, [(row, report, kept) for (row, _), report, kept in told], now=_now())
            for (_, invoice_id), _, kept in told:
                verdicts.add(invoice_id, kept)
        yield dg.MaterializeResult(metadata={**verdicts.metadata(time.monotonic() - started), **links(recorder.job.id)})


@dg.asset(
    partitions_def=DAYS,
    deps=[validated_invoices],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"http", "xml"},
    pool="clearfacts",
)
def processed_invoices(
    context: dg.AssetExecutionContext,
    config: DeliveryRequest,
    clearfacts: ClearfactsResource,
    database: DatabaseResource,
) -> Iterator[dg.MaterializeResult[None]]:
    """The accepted invoices, each delivered once, to Clearfacts or the folder of a Peppol access point.

    An invoice that was delivered before is a duplicate and is not sent. One whose number is known with other content,
    whose receiver has no administration at Clearfacts, or of which nobody can tell whether it arrived, waits for a
    person: `clearfacts deliveries list`. No step here is retried blindly: materialize the partition again, and what
    is left is sent. `force_processing` sends again, knowingly, what was delivered before.
    """
    engine = database.engine()
    rows, ledger = InvoiceRepository(engine), SqlDeliveryLedger(engine)
    statuses, started = Counter[InvoiceStatus](), time.monotonic()
    not_sent: list[tuple[str, str, str]] = []
    with job_of(context, engine) as recorder:
        # What is under way when Dagster is told to stop (SIGTERM, Ctrl-C, *Terminate*) is finished and written down.
        with (
            clearfacts.open(recorder.job.correlation_id, check_captured_interrupt) as destination,
            capture_interrupts(),
        ):
            takeover = Takeover(engine, destination.name)
            take_over(recorder, takeover, "validated_invoices")
            names, day_of = dict[UUID, str](), partial(_home_day, recorder.job)
            job = DeliveryJob(
                recorder.job.id,
                invoice_type=clearfacts.invoice_type,
                correlation_id=recorder.job.correlation_id,
                force=force_of(recorder.job, asked=config.force_processing),
                dead_run_ids=dead_runs(context.instance, engine),
                admit=clearfacts.admit(destination, ledger),
                more=remembering(names, left_by_others(recorder, rows, takeover, BATCH, day_of)),
            )
            for results in sending.deliver(
                remembering(names, rows.batches_to_deliver(recorder.job.id, BATCH, day_of)),
                ledger=ledger,
                destination=destination,
                job=job,
                pace=pace_from(effective_settings().delivery),
                signals=signals_of(recorder),
            ):
                rows.record_results(recorder.job.id, results, now=_now())
                for result in results:
                    statuses[result.status] += 1
                    name = names.pop(result.row_id, "")
                    if result.status in (InvoiceStatus.FAILED, InvoiceStatus.PENDING):
                        not_sent.append((name, result.status.value, result.message))
            interrupted = check_captured_interrupt()
        seconds = time.monotonic() - started
        sent = statuses[InvoiceStatus.SENT]
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": statuses.total(),
                "sent": sent,
                "duplicates": statuses[InvoiceStatus.DUPLICATE],
                "refused": statuses[InvoiceStatus.FAILED],
                "waiting": statuses[InvoiceStatus.PENDING],
                "deliveries_per_second": round(sent / seconds, 1) if sent else 0,
                "not_sent": table({"invoice": "string", "status": "string", "reason": "string"}, not_sent),
                **links(recorder.job.id),
            }
        )
        if interrupted:
            raise dg.DagsterExecutionInterruptedError


@dg.asset(
    partitions_def=DAYS,
    deps=[processed_invoices],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"metrics"},
    check_specs=[COUNTS_ARE_CONSERVED],
)
def job_metrics(context: dg.AssetExecutionContext, database: DatabaseResource) -> Iterator[dg.MaterializeResult[None]]:
    """What the day came to: counts, amounts and times, which plot over the partitions.

    total = processed + failed + duplicates + pending. When something went wrong on the way that did not stop the run
    (a page that the ERP did not give, a token that was refused), the run ends here as failed, and says so.
    Materialized alone, it measures the day's newest job anew.
    """
    engine = database.engine()
    jobs, rows = JobRepository(engine), InvoiceRepository(engine)
    with job_of(context, engine) as recorder:
        measured = recorder.measured()
        rows.follow_deliveries(measured, now=_now())
        counts, amounts = jobs.counts(measured), rows.amounts_sent(measured)
        reasons = reasons_of(engine, measured)
        seconds = recorder.seconds_of(measured)
        results = {
            "total_invoices": counts.total,
            "processed": counts.sent,
            "failed": counts.failed,
            "duplicates": counts.duplicates,
        }
        recorder.note(results=results, measures=str(measured))
        yield dg.MaterializeResult(
            metadata={
                **results,
                "pending": counts.pending,
                "seconds": round(seconds, 2),
                "invoices_per_second": round(counts.total / seconds, 1) if counts.total else 0,
                "amounts_delivered": table(
                    {"document": "string", "currency": "string", "amount": "string"},
                    [(document, currency, f"{amount:f}") for (document, currency), amount in sorted(amounts.items())],
                ),
                "why_some_did_not_leave": table(
                    {"invoices": "int", "reason": "string", "for_example": "string"},
                    [(reason.invoices, reason.text, ", ".join(reason.examples)) for reason in reasons],
                ),
                **links(measured),
            },
            # Here and not beside it: it is wanted most of all when the run ends as failed, just below.
            check_results=[counts_are_conserved(jobs, measured)],
        )


def _to_keep(report: Report, rules: str) -> dict[str, Any]:
    said = report_as_json(report)
    return marked(said, rules) if is_for_good(report) else said


def _home_day(job: JobRun, changed: datetime | None) -> str:
    return home_day(changed, job.partition_key, _now())


def in_batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of BATCH items, so that rows are written in as few transactions as memory allows."""
    remaining = iter(items)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _now() -> datetime:
    return datetime.now(UTC)
