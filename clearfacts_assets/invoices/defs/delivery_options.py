"""What a delivery is told by the run that it belongs to: its wish, its pace, and when to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from clearfacts_assets.invoice_settings import DeliverySettings
from clearfacts_assets.invoices.defs.runs import JobRecorder, JobRun
from clearfacts_assets.invoices.delivery.job import Signals
from clearfacts_assets.invoices.delivery.outcomes import Pace
from clearfacts_assets.invoices.ledger.model import Candidate, Force
from clearfacts_assets.orchestration.dagster_internals import check_captured_interrupt

WHAT_IS_LEFT = "What was not sent keeps its place: materialize the partition again to send it."


def signals_of(recorder: JobRecorder) -> Signals:
    """Dagster's interrupt ends the delivery, and the job notes why it ended early."""

    def note(reason: str) -> None:
        recorder.note_problem(f"Delivery stopped: {reason}. {WHAT_IS_LEFT}")

    return Signals(should_stop=check_captured_interrupt, on_stop=note)


def remembering(names: dict[UUID, str], batches: Iterable[list[Candidate]]) -> Iterator[list[Candidate]]:
    """The batches, while ``names`` knows the ERP's ids of the invoices that are under way.

    Whoever collects the results takes each name out again, so that memory does not grow with a day. A result has no
    name of its own: the ledger, which makes some of them, knows rows and no ERP.
    """
    for batch in batches:
        names.update({candidate.row_id: candidate.invoice_id for candidate in batch})
        yield batch


def force_of(job: JobRun, *, asked: bool) -> Force | None:
    """The wish to send again: asked of this asset, or of raw_invoices in the same run."""
    if not (asked or job.details.get("force_processing")):
        return None
    return Force(actor=job.triggered_by, reason=f"force_processing in job {job.wish}", request=job.wish)


def pace_from(configured: DeliverySettings) -> Pace:
    return Pace(
        concurrency=configured.concurrency,
        lease=configured.lease,
        attempts=configured.attempts,
        patience=configured.patience,
        unknowns_in_a_row=configured.unknowns_in_a_row,
    )
