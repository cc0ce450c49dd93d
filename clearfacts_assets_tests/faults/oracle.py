"""What must hold in the small world around a ledger, judged by what Clearfacts accepted, what was told and wished."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryRecord, Force
from clearfacts_assets.invoices.lifecycle import TRANSITIONS, WAITS_FOR_A_PERSON, State, Verdict
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.invoices.ports import Outcome
from clearfacts_assets_tests.fixtures.memory_ledger import MemoryLedger


class Violation(AssertionError):
    """The promise was broken; the message says how."""


@dataclass
class Clearfacts:
    """What it has accepted, and by which rules it may be spoken to."""

    transport: str
    accepted: list[tuple[str, str]] = field(default_factory=list)  # digest of the invoice's key, content
    keys: dict[str, str] = field(default_factory=dict)  # idempotency keys that it has taken, with the document's id
    by_hand: set[tuple[str, str]] = field(default_factory=set)

    @property
    def can_look_up(self) -> bool:
        return self.transport == "rest"

    @property
    def honours_idempotency_key(self) -> bool:
        return self.transport == "rest"

    def take(self, digest: str, content: str, key: str) -> str:
        if self.honours_idempotency_key and key in self.keys:
            return self.keys[key]
        self.accepted.append((digest, content))
        self.keys[key] = f"doc-{len(self.accepted)}"
        return self.keys[key]

    def has(self, digest: str, content: str) -> bool:
        return (digest, content) in self.accepted or (digest, content) in self.by_hand


@dataclass
class Call:
    """One upload under way: what Clearfacts did, and what it will say, if anybody hears it."""

    run: Run
    delivery: DeliveryRecord
    outcome: Outcome
    heard: bool = True


@dataclass
class Run:
    """One run of a job: what it has still to do."""

    id: UUID
    todo: list[UUID]
    alive: bool = True
    rows: list[Candidate] = field(default_factory=list)  # what it took from the ERP, for its re-execution
    force: Force | None = None


@dataclass
class Told:
    """What the ledger was told last of one of the ERP's ids."""

    digest: str
    content: str
    at: datetime
    retrieved: datetime
    withdrawn: bool = False


class Oracle:
    """What is remembered to judge by; the world fills it."""

    ledger: MemoryLedger
    clearfacts: Clearfacts
    told: dict[str, Told]
    before: defaultdict[str, list[str]]  # id: keys that it was, and had arrived by then
    wishes: Counter[str]  # by key: how many times people wished that it be sent
    waived: set[str]
    known: set[UUID]  # versions that were known to be accepted
    struck: Counter[str]

    def _arrived(self, digest: str) -> bool:
        return any(key == digest for key, _ in [*self.clearfacts.accepted, *self.clearfacts.by_hand])

    def _tell(self, one: Candidate) -> None:
        """What the ledger learns by a registration, by the oracle's own rule."""
        if one.delivery_id is not None:
            return
        digest, before = InvoiceKey.of(one.invoice, "clearfacts").digest, self.told.get(one.invoice_id)
        assert one.updated_at is not None
        assert one.retrieved_at is not None
        older = before is not None and one.updated_at < before.at and one.retrieved_at <= before.retrieved
        same = before is not None and (before.digest, before.content) == (digest, one.content_sha256)
        if before is not None and not before.withdrawn and older and not same:
            return
        if before is not None and before.digest != digest and self._arrived(before.digest):
            self.before[one.invoice_id].append(digest)
        retrieved = max(one.retrieved_at, before.retrieved) if same and before is not None else one.retrieved_at
        self.told[one.invoice_id] = Told(digest, one.content_sha256, one.updated_at, retrieved)

    def _noted(self, one: DeliveryRecord, verdict: Verdict) -> None:
        self.struck[f"verdict: {verdict}"] += 1
        if verdict in (Verdict.RESEND, Verdict.SEND_AGAIN):
            self.wishes[one.key.digest] += 1
            self.waived.discard(one.key.digest)  # the last word counts
            for keys in self.before.values():  # ... and answers whether the id was reused
                keys[:] = [key for key in keys if key != one.key.digest]
        elif verdict is Verdict.WAIVE:
            self.waived.add(one.key.digest)
        elif not self.clearfacts.has(one.key.digest, one.content_sha256):
            self.clearfacts.by_hand.add((one.key.digest, one.content_sha256))
        if verdict is Verdict.DELIVERED:
            self.known.add(one.id)

    def _may_leave(self, one: DeliveryRecord) -> None:
        """Asked when bytes leave: nothing outdated leaves, and nothing that may be there leaves by itself."""
        digest, content, ordered = one.key.digest, one.content_sha256, one.ordered is not None
        if ordered:
            return
        repeat = one.may_repeat and self.clearfacts.honours_idempotency_key
        others = [key for key in [*self.clearfacts.accepted, *self.clearfacts.by_hand] if key[0] == digest]
        if others and not (repeat and set(others) == {(digest, content)}):
            raise Violation(f"{one.key.number} revision {one.revision} leaves by itself, and is there: {others}")
        if digest in self.waived:
            raise Violation(f"{one.key.number} revision {one.revision} leaves, and a person waived the invoice")
        shown = [told for told in self.told.values() if (told.digest, told.content) == (digest, content)]
        if not repeat and not any(not told.withdrawn for told in shown):
            raise Violation(f"{one.key.number} revision {one.revision} leaves, and the ERP does not show it any more")
        ids = [source_id for source_id, told in self.told.items() if (told.digest, told.content) == (digest, content)]
        if ids and all(digest in self.before[source_id] for source_id in ids):
            raise Violation(f"{one.key.number} leaves, and its id {ids} was another invoice that had arrived")

    def check(self) -> None:
        """After every act."""
        for digest, count in Counter(digest for digest, _ in self.clearfacts.accepted).items():
            if count > 1 + self.wishes[digest]:
                raise Violation(f"accepted {count} times, with {self.wishes[digest]} wishes: {digest[:8]}")
        for history in self.ledger.histories:
            for state, event, became in history.moves:
                if became not in TRANSITIONS.get((state, event), ()):
                    raise Violation(f"no edge: {state} --{event}--> {became}")
                self.struck[f"edge: {state} {event} {became}"] += 1
            history.moves.clear()
            for one in history.versions:
                self._stands_well(one)

    def _stands_well(self, one: DeliveryRecord) -> None:
        if one.id in self.known and one.delivered_at is None:
            raise Violation(f"the acceptance of {one.key.number} revision {one.revision} was forgotten: {one}")
        if one.state is State.DELIVERED and not self.clearfacts.has(one.key.digest, one.content_sha256):
            raise Violation(f"{one.key.number} revision {one.revision} is said to be delivered, and is not there")
        if one.state in (State.WAIVED, State.REJECTED, State.SUPERSEDED, State.WITHDRAWN) and one.id in self.known:
            raise Violation(f"{one.key.number} revision {one.revision} was accepted, and is {one.state}")
        if one.state in WAITS_FOR_A_PERSON and not one.reason:
            raise Violation(f"{one.key.number} revision {one.revision} waits for a person who is not told why")

    def _nothing_is_lost(self) -> None:
        """What the ERP still has is there, or stands as refused or as a person's decision."""
        by_key: defaultdict[str, list[DeliveryRecord]] = defaultdict(list)
        for one in self.ledger.records():
            by_key[one.key.digest].append(one)
        for told in self.told.values():
            if told.withdrawn or self._arrived(told.digest) or told.digest in self.waived:
                continue
            states = {one.state for one in by_key[told.digest]}
            by_a_person = any(one.waived and one.content_sha256 == told.content for one in by_key[told.digest])
            if State.REJECTED not in states and not by_a_person:
                raise Violation(f"lost: {told.digest[:8]} stands as {states}")
