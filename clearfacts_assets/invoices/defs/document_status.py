"""``delivered_documents``: every morning, what became of the documents that Clearfacts has.

(No postponed annotations here: Dagster reads them as they are.)
"""

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from clearfacts_assets.configuration import effective_settings
from clearfacts_assets.invoices.defs.assets import BATCH, GROUP, OWNERS
from clearfacts_assets.invoices.defs.resources import ClearfactsResource
from clearfacts_assets.invoices.delivery.status_polling import DocumentStatus, DueDocument, Reply, poll
from clearfacts_assets.invoices.ports import ReportsDocumentStatus
from clearfacts_assets.orchestration.metadata import LONGEST_TABLE, table
from clearfacts_assets.orchestration.tags import correlation_of
from clearfacts_assets.resources import DatabaseResource
from clearfacts_assets.storage.invoices.document_status import DeliveredDocuments

ASSET = "delivered_documents"
MOST_MISSING = 1000  # that are counted
MISSING_TODO = (
    "look for it in Clearfacts; then clearfacts deliveries resolve ID --as send_again --reason ..., or, where nothing "
    "is to be done, clearfacts deliveries acknowledge ID --reason ..."
)
KNOWN = dg.AssetCheckSpec(
    "every_delivered_document_is_known",
    asset=ASSET,
    description="Clearfacts still has every document that it accepted; one that is gone is for a person to look at.",
)
ANSWERED = dg.AssetCheckSpec(
    "every_question_was_answered",
    asset=ASSET,
    description="Clearfacts answered about every document that it was asked about; the others are asked again.",
)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)


@dg.asset(
    name=ASSET,
    deps=["processed_invoices"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"http"},
    check_specs=[KNOWN, ANSWERED],
)
def delivered_documents(
    context: dg.AssetExecutionContext, clearfacts: ClearfactsResource, database: DatabaseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """What became of the delivered documents: Clearfacts is asked every morning, until they are paid.

    Not about single days: those that were not asked about for longest come first, at most `delivery.follow_at_once` in
    a run. A question without an answer is asked again next time. A document that Clearfacts does not know any more
    turns a check yellow: look for it there. What is known of one document: `clearfacts deliveries show ID`.
    """
    pace, now = effective_settings().delivery, datetime.now(UTC)
    documents = DeliveredDocuments(database.engine())
    correlation_id, over = correlation_of(context.run), threading.Event()
    with clearfacts.open(correlation_id, over.is_set) as destination:
        if not isinstance(destination, ReportsDocumentStatus):
            yield _nothing_to_ask(clearfacts.transport)
            return
        due = documents.due(
            now=now, again_after=pace.follow_again, followed_days=pace.follow_days, limit=pace.follow_at_once
        )
        changes, problems, answered, first = list[Reply](), Counter[str](), 0, 0
        for replies in poll(
            _batches(due),
            destination,
            concurrency=pace.concurrency,
            give_up_after=pace.unknowns_in_a_row,
            over=over,
        ):
            documents.record(replies, now=datetime.now(UTC))
            problems.update(reply.problem for reply in replies if reply.problem)
            answered += sum(not reply.problem for reply in replies)
            first += sum(reply.is_first for reply in replies)
            changes += [reply for reply in replies if reply.changed]
            context.log.info(f"{answered} of {len(due)} documents answered")
    missing = documents.missing(followed_days=pace.follow_days, now=now, limit=MOST_MISSING)
    unasked = len(due) - answered - problems.total()
    yield dg.MaterializeResult(
        metadata={
            "due": len(due),
            "answered": answered,
            "could_not_be_asked": problems.total() + unasked,
            "answered_for_the_first_time": first,
            "changed": len(changes),
            "missing": len(missing),
            **_by_payment_state(documents),
            "changes": table(
                {"invoice": "string", "supplier": "string", "before": "string", "now": "string", "delivery": "string"},
                [
                    (one.document.number, one.document.supplier, one.before, one.after, one.document.delivery_id)
                    for one in changes
                ],
            ),
            "missing_documents": table(
                {"invoice": "string", "supplier": "string", "document": "string", "delivery": "string"},
                [(one.number, one.supplier, one.document_id, one.delivery_id) for one in missing],
            ),
            "why_some_could_not_be_asked": table({"documents": "int", "reason": "string"}, _reasons(problems, unasked)),
        },
        check_results=[
            _check(KNOWN, missing=len(missing), what_to_do=MISSING_TODO),
            _check(ANSWERED, unanswered=problems.total() + unasked),
        ],
    )


def _batches(due: Sequence[DueDocument]) -> Iterator[Sequence[DueDocument]]:
    return (due[start : start + BATCH] for start in range(0, len(due), BATCH))


def _by_payment_state(documents: DeliveredDocuments) -> dict[str, int]:
    """All documents that Clearfacts has, by payment state, under names that plot: ``documents_unpaid``."""
    numbers: Counter[str] = Counter()
    for (status, payment_state), count in documents.counts().items():
        if status is DocumentStatus.FOUND:
            plain = payment_state and _PLAIN_NAME.fullmatch(payment_state)
            numbers[f"documents_{payment_state.lower()}" if payment_state and plain else "documents_other"] += count
    return dict(numbers)


def _reasons(problems: Counter[str], unasked: int) -> list[tuple[int, str]]:
    rest = [(unasked, "not asked: too many questions in a row had no answer")] if unasked else []
    return [(count, reason) for reason, count in problems.most_common(LONGEST_TABLE - 1)] + rest


def _nothing_to_ask(transport: str) -> dg.MaterializeResult[None]:
    why = f"the transport {transport} has no question about a delivered document: nothing was asked"
    return dg.MaterializeResult(
        metadata={"due": 0, "answered": 0, "why_nothing_was_asked": why},
        check_results=[_check(KNOWN, missing=0, what_to_do=why), _check(ANSWERED, unanswered=0)],
    )


def _check(spec: dg.AssetCheckSpec, **found: int | str) -> dg.AssetCheckResult:
    """Passed if every number is 0; nothing here has to stop anything."""
    return dg.AssetCheckResult(
        check_name=spec.name,
        passed=not any(value for value in found.values() if isinstance(value, int)),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=found,
    )
