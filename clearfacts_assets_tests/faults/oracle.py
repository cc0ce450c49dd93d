"""What must hold in the small world around a ledger, judged by what Clearfacts accepted, what was told and wished.

Of the ledger itself it only believes what is to be proved: it keeps a record of its own of orders and of what the ERP
has shown, by rules that stand in docs/delivery.md, and never asks decisions.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from clearfacts_assets.invoices.ledger.model import Candidate, DeliveryRecord, Force, Settlement
from clearfacts_assets.invoices.lifecycle import OVER, TRANSITIONS, WAITS_FOR_A_PERSON, State, Verdict
from clearfacts_assets.invoices.model import InvoiceKey
from clearfacts_assets.invoices.ports import Outcome
from clearfacts_assets_tests.fixtures.memory_ledger import MemoryLedger

TELLS_WHY = WAITS_FOR_A_PERSON | {State.WAIVED, State.REJECTED, State.SUPERSEDED, State.WITHDRAWN}
TRANSPORTS = ("graphql", "rest", "keyed")


def digest_of(number: str, content: str) -> str:
    """Of the content; what the ERP shows from before is known by its digest alone."""
    return content if len(content) == 64 else sha256(f"{number} {content}".encode()).hexdigest()


class Violation(AssertionError):
    """The promise was broken; the message says how."""


@dataclass
class Clearfacts:
    """What it has accepted, over whichever transport; ``transport`` is the one that the settings name."""

    transport: str
    accepted: list[tuple[str, str]] = field(default_factory=list)  # digest of the invoice's key, content
    keys: dict[tuple[str, str], str] = field(default_factory=dict)  # transport, idempotency key: the document's id
    by_hand: set[tuple[str, str]] = field(default_factory=set)

    def has(self, digest: str, content: str) -> bool:
        return (digest, content) in self.accepted or (digest, content) in self.by_hand

    @property
    def destination(self) -> Destination:
        return Destination(self, self.transport)


@dataclass(frozen=True)
class Destination:
    """A way to Clearfacts, as a run has it: its settings may have changed since.

    ``rest`` can be asked and honours idempotency keys, ``graphql`` does neither, ``keyed`` honours keys alone.
    """

    clearfacts: Clearfacts
    transport: str
    name: str = "clearfacts"

    @property
    def can_look_up(self) -> bool:
        return self.transport == "rest"

    @property
    def honours_idempotency_key(self) -> bool:
        return self.transport != "graphql"

    def knows(self, key: str) -> str | None:
        return self.clearfacts.keys.get((self.transport, key)) if self.honours_idempotency_key else None

    def take(self, digest: str, content: str, key: str) -> tuple[str, bool]:
        """The document's id, and whether it is one more than before."""
        known = self.knows(key)
        if known is not None:
            return known, False
        self.clearfacts.accepted.append((digest, content))
        document_id = f"doc-{len(self.clearfacts.accepted)}"
        self.clearfacts.keys[self.transport, key] = document_id
        return document_id, True


@dataclass
class Call:
    """One upload under way: what is written of it, if anybody hears the answer."""

    run: Run
    delivery: DeliveryRecord
    outcome: Outcome | None  # None: the process let go of it before a byte left
    lands: bool = False  # Clearfacts takes it only when it answers
    denied: bool = False  # ... and said before that it does not have it


@dataclass
class Run:
    """One run of a job: what it has still to do."""

    id: UUID
    begun: datetime
    destination: Destination
    rows: list[Candidate] = field(default_factory=list)  # what it took from the ERP, for its re-execution
    force: Force | None = None
    left: list[Candidate] = field(default_factory=list)  # rows that the ledger has not met yet
    todo: list[UUID] = field(default_factory=list)
    alive: bool = True
    whole: bool = False  # it has the whole day, and has not said yet what is missing in it
    asks: bool = True  # it has not asked yet about what earlier runs left in doubt


@dataclass
class Told:
    """What the ledger was told last of one of the ERP's ids."""

    digest: str
    content: str
    at: datetime
    retrieved: datetime
    withdrawn: datetime | None = None  # when the day was retrieved in which it was missing


class Oracle:
    """What is remembered to judge by; the world fills it."""

    ledger: MemoryLedger
    clearfacts: Clearfacts
    erp: dict[str, tuple[str, str, datetime]]  # what it has now; by id: number, content or its digest, changed
    told: dict[str, Told]
    before: defaultdict[str, list[str]]  # id: keys that it was, and had arrived by then
    wishes: Counter[str]  # by key: how many times people wished that it be sent
    made: set[str]  # the names of all wishes
    orders: dict[UUID, str]  # versions that a person ordered, while the order stands: by which wish
    contents: defaultdict[str, set[str]]  # by key: what the ledger has met
    barred: dict[tuple[str, str], bool]  # whether validation left it to a person when the ledger met it last
    uploads: Counter[tuple[str, str]]  # accepted ones, by key and order; "" for those that nobody ordered
    waived: set[str]
    known: set[UUID]  # versions that were known to be accepted
    struck: Counter[str]

    def _arrived(self, digest: str) -> bool:
        return any(key == digest for key, _ in [*self.clearfacts.accepted, *self.clearfacts.by_hand])

    # What is noted

    def _tell(self, one: Candidate) -> None:
        """What the ledger learns by a registration, by the oracle's own rule."""
        digest, before = InvoiceKey.of(one.invoice, "clearfacts").digest, self.told.get(one.invoice_id)
        assert one.updated_at is not None
        assert one.retrieved_at is not None
        self.barred[digest, one.content_sha256] = one.barrier is not None
        if one.content_sha256 not in self.contents[digest]:
            self.contents[digest].add(one.content_sha256)
            self._lapse({digest})
        if before is not None and self._comes_too_late(one, digest, before):
            return
        if before is not None and before.digest != digest and self._arrived(before.digest):
            self.before[one.invoice_id].append(digest)
        told = Told(digest, one.content_sha256, one.updated_at, one.retrieved_at)
        if before is None or replace(told, retrieved=before.retrieved) != before:  # else it is no news
            self.told[one.invoice_id] = told

    def _comes_too_late(self, one: Candidate, digest: str, before: Told) -> bool:
        """Whether a run brings what the ERP had before what is known of the id by now."""
        assert one.updated_at is not None
        assert one.retrieved_at is not None
        if before.withdrawn is not None:
            return one.retrieved_at < before.withdrawn
        same = (before.digest, before.content) == (digest, one.content_sha256)
        return not same and one.updated_at < before.at and one.retrieved_at <= before.retrieved

    def _missed(self, run: Run) -> None:
        """The ERP has given a whole day to the run; what another one saw later than that is not missing."""
        shown_ids = {one.invoice_id for one in run.rows}
        for source_id, told in self.told.items():
            if source_id in shown_ids or told.withdrawn is not None or told.retrieved > run.begun:
                continue
            told.withdrawn = run.begun
            for one in self.ledger.records():
                if (one.key.digest, one.content_sha256) == (told.digest, told.content) and not self._is_shown(one):
                    self.orders.pop(one.id, None)

    def _lapse(self, digests: set[str]) -> None:
        """Who ordered a version did not know of the one that has come now."""
        for one in self.ledger.records():
            if one.key.digest in digests:
                self.orders.pop(one.id, None)

    def _is_shown(self, one: DeliveryRecord) -> bool:
        mine = (one.key.digest, one.content_sha256)
        return any((told.digest, told.content) == mine and told.withdrawn is None for told in self.told.values())

    def _erp_has(self, one: DeliveryRecord) -> bool:
        """Whether it is there now, whatever clocks that were set back make of it."""
        has = [(number, digest_of(number, content)) for number, content, _ in self.erp.values()]
        return (one.key.number, one.content_sha256) in has

    def _ordered(self, one: DeliveryRecord, wish: str) -> None:
        for other in self.ledger.records():
            if other.key.digest == one.key.digest:
                self.orders.pop(other.id, None)  # the last word counts
        self.orders[one.id] = wish
        self.made.add(wish)
        self.waived.discard(one.key.digest)
        for keys in self.before.values():  # ... and answers whether the id was reused
            keys[:] = [key for key in keys if key != one.key.digest]

    def _noted(self, one: DeliveryRecord, verdict: Verdict, wish: str) -> None:
        """A verdict that the ledger took."""
        self.struck[f"verdict: {verdict}"] += 1
        digest = one.key.digest
        if verdict in (Verdict.RESEND, Verdict.SEND_AGAIN):
            self.wishes[digest] += 1
            self._ordered(one, wish)
            return
        self.orders.pop(one.id, None)
        if verdict is Verdict.WAIVE:
            self.waived.add(digest)
            return
        self.known.add(one.id)
        if not self.clearfacts.has(digest, one.content_sha256):
            self.clearfacts.by_hand.add((digest, one.content_sha256))

    def _heard(self, said: Settlement) -> None:
        """An acceptance that the ledger was told of: orders that were given without knowing it lapse."""
        if said.document_id is not None and said.delivery_id not in self.known:
            self.known.add(said.delivery_id)
            self._lapse({one.key.digest for one in self.ledger.records() if one.id == said.delivery_id})

    def _uploaded(self, one: DeliveryRecord) -> None:
        """Clearfacts has one more document: each order brings one at most, and one comes without any."""
        order = f"revision {one.revision} ordered {one.generation - 1} times" if one.generation > 1 else ""
        self.uploads[one.key.digest, order] += 1
        if self.uploads[one.key.digest, order] > 1:
            raise Violation(f"{one.key.number} was accepted twice by {order or 'itself'}")

    # What must hold

    def _may_leave(self, one: DeliveryRecord, destination: Destination) -> None:
        """Asked when bytes leave: nothing outdated leaves, and nothing that may be there leaves by itself."""
        digest, content = one.key.digest, one.content_sha256
        name = f"{one.key.number} revision {one.revision}"
        if one.ordered is not None:
            if one.ordered not in self.made:
                raise Violation(f"{name} leaves by an order that nobody gave")
            if one.id not in self.orders:
                raise Violation(f"{name} leaves by an order that has lapsed: {one.ordered}")
            return
        others = [key for key in [*self.clearfacts.accepted, *self.clearfacts.by_hand] if key[0] == digest]
        if destination.knows(one.idempotency_key):
            others.remove((digest, content))  # it is the same call once more
        if others:
            raise Violation(f"{name} leaves by itself, and is there: {others}")
        if digest in self.waived:
            raise Violation(f"{name} leaves, and a person waived the invoice")
        if not self._is_shown(one) and not self._erp_has(one):
            raise Violation(f"{name} leaves, and the ERP does not show it any more")
        if self.barred.get((digest, content)) and one.generation == 1:
            raise Violation(f"{name} leaves, and validation left it to a person")
        ids = [source_id for source_id, told in self.told.items() if (told.digest, told.content) == (digest, content)]
        if ids and all(digest in self.before[source_id] for source_id in ids):
            raise Violation(f"{name} leaves, and its id {ids} was another invoice that had arrived")

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
        name = f"{one.key.number} revision {one.revision}"
        accepted = one.delivered_at is not None
        if one.id in self.known and not accepted:
            raise Violation(f"the acceptance of {name} was forgotten: {one}")
        open_again = one.ordered is not None or one.in_doubt or one.in_doubt_before or one.state is State.SENDING
        if accepted and not open_again and one.state is not State.DELIVERED:
            raise Violation(f"{name} was accepted, nobody ordered it again, and it is {one.state}")
        if one.state is State.DELIVERED and not self.clearfacts.has(one.key.digest, one.content_sha256):
            raise Violation(f"{name} is said to be delivered, and is not there")
        if one.state in TELLS_WHY and not one.reason:
            raise Violation(f"{name} is {one.state}, and nobody is told why")
        if one.state is State.WAITING and one.not_before is None:
            raise Violation(f"{name} waits for a time, and there is none")

    def _nothing_is_nowhere(self) -> None:
        """When all is quiet: each version is over; what the ERP has is there, refused or a person's decision."""
        by_key: defaultdict[str, list[DeliveryRecord]] = defaultdict(list)
        for one in self.ledger.records():
            by_key[one.key.digest].append(one)
            if one.state not in OVER:
                raise Violation(f"{one.key.number} revision {one.revision} is {one.state} for ever")
            if one.state in (State.SUPERSEDED, State.WITHDRAWN) and self._is_shown(one):
                raise Violation(f"{one.key.number} revision {one.revision} is {one.state}, and the ERP shows it")
        for told in self.told.values():
            if told.withdrawn is not None or self._arrived(told.digest) or told.digest in self.waived:
                continue
            states = {one.state for one in by_key[told.digest]}
            by_a_person = any(one.waived and one.content_sha256 == told.content for one in by_key[told.digest])
            if State.REJECTED not in states and not by_a_person:
                raise Violation(f"lost: {told.digest[:8]} stands as {states}")
