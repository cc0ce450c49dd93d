"""What must hold after every run; a red check is something for a person to look at."""

from collections.abc import Mapping
from uuid import UUID

import dagster as dg

from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.defs.notifications import days_left
from clearfacts_assets.orchestration.metadata import table
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.id_prefixes import SHORTEST
from clearfacts_assets.storage.invoices.jobs import JobRepository
from clearfacts_assets.storage.invoices.review_queue import Waiting, waiting_for_a_person
from clearfacts_assets.storage.invoices.unsettled import unsettled_invoices

MOST_DAYS = 10  # that are named


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
        "Nothing lost, nothing doubled: as many invoices as were retrieved (or carried over from earlier runs) are in "
        "the job, and each is processed, failed, a duplicate or still pending."
    ),
)


def counts_are_conserved(jobs: JobRepository, job_id: UUID) -> dg.AssetCheckResult:
    """The verdict on one job; job_metrics gives it with its numbers."""
    counts, rows, job = jobs.counts(job_id), jobs.rows(job_id), jobs.get(job_id)
    details = job.details if job else {}
    # Unknown where a job was killed before it could note it, or only measured.
    came: int | None = None
    if "retrieval" in details or "carried_over" in details:
        came = details.get("retrieval", {}).get("invoices", 0) + details.get("carried_over", 0)
    return dg.AssetCheckResult(
        check_name=COUNTS_ARE_CONSERVED.name,
        passed=rows == counts.total and came in (rows, None),
        metadata={
            "total": counts.total,
            "rows": rows,
            "came_in": "–" if came is None else came,
            "processed": counts.sent,
            "failed": counts.failed,
            "duplicates": counts.duplicates,
            "pending": counts.pending,
        },
    )


@dg.asset_check(asset="processed_invoices")
def no_delivery_is_unknown(database: DatabaseResource) -> dg.AssetCheckResult:
    """No delivery waits for a person. Red above the setting delivery.parked_threshold, else a warning.

    Parked: the destination may have the invoice, or its tries are used up. Held: its number is known with other
    content, or the destination does not know its receiver. Look each one up there, then say what shall become of it.
    Left behind: it may be sent, but the sensor due_deliveries starts no run for its day any more; materialize that day.
    """
    engine = database.engine()
    waiting, left = waiting_for_a_person(engine), days_left(engine)
    too_many = waiting.parked > effective_settings().delivery.parked_threshold
    return dg.AssetCheckResult(
        passed=not (waiting.parked or waiting.held or left),
        severity=dg.AssetCheckSeverity.ERROR if too_many else dg.AssetCheckSeverity.WARN,
        description=_in_words(waiting, left),
        metadata={
            "parked": waiting.parked,
            "held": waiting.held,
            "left_behind": sum(left.values()),
            **({"waiting_since": dg.MetadataValue.timestamp(waiting.since)} if waiting.since else {}),
            "look": "clearfacts deliveries show ID",
            "decide": 'clearfacts deliveries resolve ID --as delivered|resend|waive --seen parked/1 --reason "..."',
            "waiting": table(
                dict.fromkeys(("delivery", "number", "supplier", "state", "since", "reason"), "string"),
                [
                    (
                        str(one.id)[:SHORTEST],
                        one.key.number,
                        one.key.supplier,
                        one.state.value,
                        f"{one.updated_at:%Y-%m-%d %H:%M} UTC",
                        one.reason or "–",
                    )
                    for one in waiting.longest
                ],
            ),
        },
    )


@dg.asset_check(asset="processed_invoices")
def nothing_is_nowhere(database: DatabaseResource) -> dg.AssetCheckResult:
    """Over all days, each invoice has an end, or waits for a person, for a time or for a run. Red where one waits for
    nobody: that is a fault of this program, and the table says of which invoice.
    """
    found = unsettled_invoices(database.engine())
    return dg.AssetCheckResult(
        passed=not found.for_nobody,
        description=(
            f"{_invoices(found.for_nobody, 'waits', 'wait')} for nobody." if found.for_nobody else "Nothing is nowhere."
        ),
        metadata={
            "waits_for_a_person": found.for_a_person,
            "waits_for_a_time": found.for_a_time,
            "waits_for_a_run": found.for_a_run,
            "waits_for_nobody": found.for_nobody,
            "strays": table(
                dict.fromkeys(("what", "why"), "string"), [(stray.what, stray.why) for stray in found.strays]
            ),
        },
    )


def _in_words(waiting: Waiting, left: Mapping[str, int]) -> str:
    told = []
    if total := waiting.parked + waiting.held:
        told.append(f"{_invoices(total, 'waits', 'wait')} for a person: look, then decide (see below).")
    if left:
        total, days = sum(left.values()), ", ".join(sorted(left)[:MOST_DAYS])
        told.append(
            f"{_invoices(total, 'is', 'are')} left behind, no run is started for them any more: see why the last one "
            f"failed, then materialize processed_invoices of {days}{' and others' if len(left) > MOST_DAYS else ''}."
        )
    return " ".join(told) or "Nothing waits for a person."


def _invoices(number: int, one: str, many: str) -> str:
    return f"{number} {f'invoice {one}' if number == 1 else f'invoices {many}'}"
