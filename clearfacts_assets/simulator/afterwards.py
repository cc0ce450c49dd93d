"""What becomes of a document at the simulated Clearfacts: it is paid some days after it came, sooner or later.

On which day follows from the document itself, so that the same seed gives the same history. Days pass by the clock or
by order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from clearfacts_assets.simulator.erp import parse_moment
from clearfacts_assets.simulator.ledger import AcceptedDocument

SOONEST_DAYS, LATEST_DAYS = 2, 45  # after which a document is paid
PAYMENT_STATES = ("UNPAID", "PAID")


@dataclass(frozen=True, slots=True)
class Filed:
    """A document as Clearfacts tells of it."""

    date: str  # YYYY-MM-DD
    type: str
    payment_state: str


class Afterwards:
    """Orders of the control routes, over what follows from the documents."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.clear()

    def clear(self) -> None:
        self._days = 0
        self._told: dict[str, str] = {}  # payment states by order
        self._forgotten: set[str] = set()

    def change(
        self,
        *,
        days: int = 0,
        uuid: str | None = None,
        payment_state: str | None = None,
        forgotten: bool | None = None,
    ) -> None:
        """Let days pass; give one document a payment state, forget it or know it again. Raises ValueError."""
        if uuid is None and (payment_state, forgotten) != (None, None):
            raise ValueError("payment_state and forgotten are of one document: name its uuid")
        if not isinstance(days, int) or days < 0:
            raise ValueError("days is a number of days that pass")
        self._days += days
        if uuid is not None and payment_state is not None:
            self._told[uuid] = str(payment_state)
        if uuid is not None and forgotten is not None:
            (self._forgotten.add if forgotten else self._forgotten.discard)(uuid)

    def of(self, document: AcceptedDocument) -> Filed | None:
        """None for a document that is forgotten."""
        if document.uuid in self._forgotten:
            return None
        age = self._now() + timedelta(days=self._days) - parse_moment(document.time)
        usual = PAYMENT_STATES[age >= timedelta(days=days_until_paid(document.sha256))]
        return Filed(document.time[:10], document.invoice_type, self._told.get(document.uuid, usual))


def days_until_paid(sha256: str) -> int:
    """Of a document, by its SHA-256."""
    return SOONEST_DAYS + int(sha256[:8], 16) % (LATEST_DAYS - SOONEST_DAYS + 1)
