"""The ERP of the small world, and what validation thinks of its documents: it changes its mind in every way."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid5

from clearfacts_assets.invoices.ledger.model import HELD_FOR_VALIDATION, Barrier, Candidate
from clearfacts_assets_tests.faults.oracle import Oracle, digest_of
from clearfacts_assets_tests.fixtures.submissions import invoice

DAY, NAMESPACE = "2026-11-20", UUID(int=20)
SIZES = ((1, 2), (2, 3), (3, 4))  # numbers and ids of a world: in a small one, more happens to each invoice
BARRIER = Barrier(HELD_FOR_VALIDATION, "validation leaves it to a person: a profile that nobody knows")


class ErpActs(Oracle):
    """What the ERP has now, and how it changes. Times are of its own clock, the world's."""

    random: Random
    now: datetime
    doubtful: set[str]  # digests of contents that validation leaves to a person
    serial: int
    numbers: int
    ids: int

    def _content(self) -> str:
        self.serial += 1
        return f"content {self.serial}"

    def _change(self, source_id: str, number: str, content: str) -> None:
        self.now += timedelta(seconds=1)
        self.erp[source_id] = (number, content, self.now)

    def _any_id(self) -> str:
        return self.random.choice(sorted(self.erp))

    def _any_number(self) -> str:
        return f"F-{self.random.randrange(self.numbers)}"

    def erp_creates(self) -> None:
        self._change(f"E{self.random.randrange(self.ids)}", self._any_number(), self._content())

    def erp_corrects(self) -> None:
        if self.erp:
            source_id = self._any_id()
            self._change(source_id, self.erp[source_id][0], self._content())

    def erp_withdraws(self) -> None:
        if self.erp:
            del self.erp[self._any_id()]

    def erp_renumbers(self) -> None:
        if self.erp:
            source_id, number = self._any_id(), self._any_number()
            content = self._content() if self.random.random() < 0.5 else f"{self.erp[source_id][1]} as {number}"
            self._change(source_id, number, content)

    def erp_shows_old_content(self) -> None:
        if self.erp:
            source_id = self._any_id()
            number = self.erp[source_id][0]
            known = [one.content_sha256 for one in self.ledger.records() if one.key.number == number]
            if known:
                self._change(source_id, number, self.random.choice(known))

    def erp_shows_a_twin(self) -> None:
        if self.erp:
            number, content, _ = self.erp[self._any_id()]
            same = self.random.random() < 0.5
            self._change(f"E{self.random.randrange(self.ids)}", number, content if same else self._content())

    def erp_touches(self) -> None:
        """Changed again, with the same content."""
        if self.erp:
            source_id = self._any_id()
            number, content, _ = self.erp[source_id]
            self._change(source_id, number, content)

    def validation_doubts(self) -> None:
        if self.erp:
            number, content, _ = self.erp[self._any_id()]
            self.doubtful.add(digest_of(number, content))

    def validation_accepts(self) -> None:
        self.doubtful.clear()

    def _candidate(self, source_id: str) -> Candidate:
        number, content, changed = self.erp[source_id]
        digest = digest_of(number, content)
        self.serial += 1
        return Candidate(
            uuid5(NAMESPACE, f"row {self.serial}"),
            source_id,
            invoice(number),
            content.encode(),
            digest,
            updated_at=changed,
            retrieved_at=self.now,
            day=DAY,
            barrier=BARRIER if digest in self.doubtful else None,
        )
