"""One delivery on a terminal: what it is, its versions, what was tried, what people decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clearfacts_assets.cli.console import instant, print_table
from clearfacts_assets.cli.id_prefixes import short

if TYPE_CHECKING:
    from clearfacts_assets.invoices.delivery.status_polling import DocumentState
    from clearfacts_assets.invoices.ledger.model import Shown
    from clearfacts_assets.storage.invoices.delivery_review import DeliveryDetail


def print_delivery(detail: DeliveryDetail) -> None:
    """All that is known of it, as tables."""
    from clearfacts_assets.invoices.delivery.addressing import file_name
    from clearfacts_assets.invoices.destinations import title_of

    record = detail.record
    whom = title_of(record.key.destination)
    facts = {
        "state": f"{record.state} (when you decide: --seen {record.state}/{record.generation})",
        "reason": record.reason or "–",
        "document": f"{record.key.document_type} {record.key.number} of {record.key.issue_year}",
        "supplier": record.key.supplier,
        "receiver": record.key.receiver,
        "revision": record.revision,
        "generation": f"{record.generation} (higher after every resend)",
        "tries": record.attempts,
        f"file name at {whom}": file_name(record),
        f"id at {whom}": record.document_id or "–",
        "delivered": instant(record.delivered_at),
        f"at {whom} now": _what_became(detail.document),
        "due": instant(record.not_before),
        "day whose runs send it": record.day or "–",
        "sha256": record.content_sha256,
        "idempotency key": record.idempotency_key,
    }
    print_table(f"Delivery {record.id}", ("", ""), facts.items())
    _print_history(detail)
    print_table(
        "Seen in",
        ("job", "day", "invoice", "status"),
        [(short(one.job_id), one.partition_key, one.invoice_id, one.status) for one in detail.seen],
        whole=("job", "day", "status"),
    )


def _print_history(detail: DeliveryDetail) -> None:
    """The invoice's versions, what the ERP shows, what was tried and what people decided."""
    if len(detail.versions) > 1:
        print_table(
            "Versions of this invoice",
            ("revision", "delivery", "state", "reason"),
            [(one.revision, short(one.id), one.state, one.reason) for one in detail.versions],
            right=("revision",),
            whole=("delivery", "state"),
        )
    print_table(
        "Shown by the ERP",
        ("as", "changed", "day", "now"),
        [(one.source_id, instant(one.source_updated_at), one.day, _shown_now(one)) for one in detail.shown],
        whole=("changed", "day", "now"),
    )
    if detail.attempts:
        print_table(
            "Tries",
            ("started", "outcome", "run", "reason", "answer"),
            [
                (
                    instant(one.started_at),
                    f"{one.outcome or 'none yet'}{f', then proved {one.proof}' if one.proof else ''}",
                    short(one.run_id) if one.run_id else "",
                    one.reason,
                    one.response,
                )
                for one in detail.attempts
            ],
            whole=("started", "outcome", "run"),
        )
    if detail.decisions:
        print_table(
            "Decisions",
            ("when", "what", "who", "why"),
            [
                (instant(one.created_at), one.action, one.details.get("actor"), one.details.get("reason"))
                for one in detail.decisions
            ],
        )


def _shown_now(shown: Shown) -> str:
    if shown.withdrawn_at is not None:
        return f"withdrawn, noticed {instant(shown.withdrawn_at)}"
    return "yes" if shown.is_current else "no, something else"


def _what_became(document: DocumentState | None) -> str:
    if document is None:
        return "not asked yet"
    told = [document.in_words, *(text for text in (document.document_type, document.document_date) if text)]
    return f"{', '.join(told)} (asked {instant(document.asked_at)})"
