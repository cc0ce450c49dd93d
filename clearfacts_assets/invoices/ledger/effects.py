"""What each event of an attempt notes of a version; where the version stands then is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from clearfacts_assets.invoices.ledger.model import DeliveryRecord, Settlement
from clearfacts_assets.invoices.lifecycle import Event

NO_DOUBT: Mapping[str, object] = {
    "in_doubt": False,
    "in_doubt_before": False,
    "may_repeat": False,
    "given_up": False,
}


def _accepted(one: DeliveryRecord, settlement: Settlement, now: datetime) -> dict[str, object]:
    return {
        **NO_DOUBT,
        "delivered_at": now,
        "ordered": None,
        "waived": False,
        "replaced": False,
        "refused": False,
        "not_before": None,
    }


def _later(settlement: Settlement, now: datetime) -> datetime:
    return now + timedelta(seconds=settlement.delay or 0)


EFFECTS: Mapping[Event, Callable[[DeliveryRecord, Settlement, datetime], dict[str, object]]] = {
    Event.ACCEPTED: _accepted,
    Event.FOUND: _accepted,
    Event.REFUSED: lambda one, said, now: {"refused": True, "waived": False, "ordered": None, "not_before": None},
    Event.NOT_SENT: lambda one, said, now: {"attempts": one.attempts + 1, "not_before": _later(said, now)},
    Event.DENIED: lambda one, said, now: {"not_before": None},
    Event.RELEASED: lambda one, said, now: {"not_before": None},
    Event.LOST: lambda one, said, now: {
        "attempts": one.attempts + 1,
        "in_doubt": True,
        "may_repeat": False,
        "waived": False,
        "not_before": None,
    },
    Event.NOT_FOUND: lambda one, said, now: {
        "in_doubt": False,
        "may_repeat": False,
        "not_before": _later(said, now),
    },
    Event.REPEATABLE: lambda one, said, now: {"may_repeat": True, "not_before": _later(said, now)},
    Event.GIVEN_UP: lambda one, said, now: {
        "given_up": True,
        "ordered": None,
        "refused": False,
        "waived": False,
        "not_before": None,
    },
}
