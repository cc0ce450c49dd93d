"""Why a version of an invoice stands where it stands, in words for a person, where that comes from its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearfacts_assets.invoices.ledger.decisions import Row
from clearfacts_assets.invoices.ledger.model import DeliveryRecord


def in_words(
    row: Row, one: DeliveryRecord, others: Sequence[DeliveryRecord], is_shown: Callable[[DeliveryRecord], bool]
) -> str | None:
    """The reason that a row of the table of decisions gives; None where what happened last says it better."""
    if row.name == "other content":
        rival = next(other for other in reversed(others) if _is_rival(other))
        return f"this number came before with other content (revision {rival.revision}, {_said(rival)})"
    if row.name == "other waived":
        waived = next(other for other in reversed(others) if other.waived)
        return f"a person decided that revision {waived.revision} of it is not sent: decide about this one, too"
    if row.name == "other ordered":
        ordered = next(other for other in reversed(others) if other.ordered is not None)
        return f"a person ordered revision {ordered.revision} of it, which is sent first"
    if row.name == "twin":
        return "the ERP has this number under two of its ids, with different content"
    if row.name == "barrier":
        return one.held_because
    if row.name == "withdrawn":
        return "the ERP withdrew it before it was sent"
    if row.name == "superseded":
        newer = [other.revision for other in others if is_shown(other)]
        what = f"revision {newer[-1]} of it" if newer else "another invoice"
        return f"the ERP shows {what} in its place, and it had not been sent"
    return None


def _is_rival(one: DeliveryRecord) -> bool:
    return one.lease_until is not None or one.in_doubt or one.in_doubt_before or one.delivered_at is not None


def _said(one: DeliveryRecord) -> str:
    return "delivered" if one.delivered_at is not None else one.state.value
