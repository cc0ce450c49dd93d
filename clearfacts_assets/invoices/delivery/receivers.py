"""Receivers: before anything is sent, whether Clearfacts keeps an administration to file it under.

A document without one would be refused, or worse, filed where nobody looks. It is held for a person, with the reason,
and is ready again as soon as a run finds the administration. Nothing is held but on an answer of this very run, and
nothing is sent while there is none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from clearfacts_assets.invoices.delivery.addressing import PURCHASE, administration, company_number
from clearfacts_assets.invoices.ledger.model import HELD_FOR_RECEIVER, Candidate, DeliveryRecord, Registration
from clearfacts_assets.invoices.lifecycle import Event, State, before
from clearfacts_assets.invoices.parties import in_words, is_belgian
from clearfacts_assets.invoices.ports import DeliveryLedger, DestinationDenied, DestinationError, ListsAdministrations

# What may go on of what was registered, in the same order; the function it is given stops the run, for a reason.
Admit = Callable[[Sequence[Candidate], Sequence[Registration], Callable[[str], None]], Sequence[Registration]]

HOW_IT_IS_ASKED = "with the scope read_administrations; destination.check_receivers=false sends without asking"


def everything(
    candidates: Sequence[Candidate], answers: Sequence[Registration], stop: Callable[[str], None]
) -> Sequence[Registration]:
    """Admit all."""
    return answers


class Directory:
    """The company numbers of all administrations, as they were told last; shared by the runs of a process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._lock = monotonic, threading.Lock()
        self._numbers: Collection[str] = frozenset()
        self._told_at = float("-inf")

    def now(self) -> float:
        return self._monotonic()

    def missing(self, numbers: Collection[str], of: ListsAdministrations, *, fresh: float, since: float) -> set[str]:
        """Those of the numbers for which there is no administration. Raises DestinationError.

        What was told at most ``fresh`` seconds ago proves that an administration is there. That one is not there takes
        what was told after ``since``; after it, nobody is asked a second time.
        """
        with self._lock:
            absent = set(numbers).difference(self._numbers)
            if self._told_at < since and (absent or self._monotonic() - self._told_at > fresh):
                told = frozenset(one.company_number for one in of.administrations())
                if not told:
                    raise DestinationError("Clearfacts names no administration at all")
                self._numbers, self._told_at = told, self._monotonic()
                absent = set(numbers).difference(told)
            return absent


@dataclass(slots=True)
class ReceiverCheck:
    """The check of one run; ``admit`` is what ``deliver`` asks. Sent without it is only what a person resent."""

    ledger: DeliveryLedger
    destination: ListsAdministrations
    directory: Directory
    invoice_type: str
    fresh: float  # seconds
    since: float = field(init=False)
    trouble: str = ""

    def __post_init__(self) -> None:
        self.since = self.directory.now()

    def admit(
        self, candidates: Sequence[Candidate], answers: Sequence[Registration], stop: Callable[[str], None]
    ) -> Sequence[Registration]:
        """Hold what has no administration, release what has one now. Stops the run where nobody can tell."""
        concerned = {
            answer.delivery.id: (answer.delivery, administration(candidate.invoice, self.invoice_type))
            for candidate, answer in zip(candidates, answers, strict=True)
            if _is_open(answer.delivery)
        }
        if not concerned or self.trouble:
            return answers
        numbers = {company_number(number) for _, number in concerned.values()}
        try:
            missing = self.directory.missing(numbers, self.destination, fresh=self.fresh, since=self.since)
        except DestinationError as error:
            how = f" ({HOW_IT_IS_ASKED})" if isinstance(error, DestinationDenied) else ""
            self.trouble = f"the receivers could not be checked: {error}{how}"
            stop(self.trouble)
            return answers
        known = [one.id for one, number in concerned.values() if company_number(number) not in missing]
        changed = self.ledger.release([one for one in known if concerned[one][0].state is State.HELD])
        changed |= self.ledger.hold(
            {
                one.id: self._reason(number)
                for one, number in concerned.values()
                if one.id not in known and one.state is not State.HELD
            }
        )
        return [replace(answer, delivery=changed.get(answer.delivery.id, answer.delivery)) for answer in answers]

    def _reason(self, number: str) -> str:
        role = "receiver" if self.invoice_type == PURCHASE else "supplier"
        if not is_belgian(number):
            return (
                f"{role} {number}: no administration is addressed by {in_words(number)}, only by a Belgian enterprise "
                "number: correct the document, or `clearfacts deliveries resolve ID --as waive` if it is not for here"
            )
        return (
            f"{role} {number} is not an administration of this Clearfacts account: add it there and run the day "
            "again, or `clearfacts deliveries resolve ID --as resend` sends it all the same, `--as waive` never"
        )


def _is_open(delivery: DeliveryRecord) -> bool:
    """Whether the receiver decides what becomes of it. What a person resent is sent, whoever receives it."""
    if delivery.state is State.HELD:
        return delivery.held_for == HELD_FOR_RECEIVER
    return delivery.generation == 1 and delivery.state in before(Event.UNRECOGNISED)
