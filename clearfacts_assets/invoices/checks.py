"""What must hold after every run; a red check is something for a person to look at."""

from uuid import UUID

import dagster as dg

from clearfacts_assets.invoices.lifecycle import WAITS_FOR_A_PERSON
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.deliveries import SqlDeliveryLedger
from clearfacts_assets.storage.jobs import JobRepository


@dg.asset_check(asset="raw_invoices")
def retrieval_is_complete(context: dg.AssetCheckExecutionContext, database: DatabaseResource) -> dg.AssetCheckResult:
    """The ERP gave the whole window, to its last page."""
    job = JobRepository(database.engine()).get(UUID(context.run.run_id))
    retrieval = job.details.get("retrieval", {}) if job else {}
    return dg.AssetCheckResult(
        passed=bool(retrieval) and not retrieval["stopped"],
        metadata={"rows": retrieval.get("rows", 0), "stopped_because": retrieval.get("stopped") or "–"},
    )


COUNTS_ARE_CONSERVED = dg.AssetCheckSpec(
    "counts_are_conserved",
    asset="job_metrics",
    description=(
        "Nothing lost, nothing doubled: total = processed + failed + duplicates + still pending, and as retrieved."
    ),
)


def counts_are_conserved(jobs: JobRepository, job_id: UUID) -> dg.AssetCheckResult:
    """The verdict on one job; job_metrics gives it with its numbers."""
    counts, job = jobs.counts(job_id), jobs.get(job_id)
    retrieval = job.details.get("retrieval", {}) if job else {}
    adds_up = counts.total == counts.sent + counts.failed + counts.duplicates + counts.pending
    # Overlapping pages repeat rows; each invoice counts once.
    expected = retrieval["rows"] - retrieval["repeated"] - retrieval["replaced"] if retrieval else counts.total
    return dg.AssetCheckResult(
        check_name=COUNTS_ARE_CONSERVED.name,
        passed=adds_up and counts.total == expected,
        metadata={
            "total": counts.total,
            "retrieved": expected,
            "processed": counts.sent,
            "failed": counts.failed,
            "duplicates": counts.duplicates,
            "pending": counts.pending,
        },
    )


@dg.asset_check(asset="processed_invoices")
def no_delivery_is_unknown(database: DatabaseResource) -> dg.AssetCheckResult:
    """No delivery waits for a person: none is parked or held, none is in doubt."""
    waiting = SqlDeliveryLedger(database.engine()).count_by_state()
    in_doubt = {state.value: count for state, count in waiting.items() if state in WAITS_FOR_A_PERSON and count}
    return dg.AssetCheckResult(
        passed=not in_doubt,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={**in_doubt, "what_to_do": "clearfacts deliveries list --state parked"},
    )
